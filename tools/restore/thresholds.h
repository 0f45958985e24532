// thresholds.h — up to which value a package may be procured directly, by date and category: rules
// that change are data (deploy/config/thresholds.toml).
//
// Thread-safety: a const Thresholds may be read from many threads.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::restore {

enum class Procurement : uint8_t {
  kUnknown,  // no value, no category, or no rule for that day
  kTenderNeeded,
  kDirectPossible,
};

class Thresholds {
 public:
  // kInvalid names `name`, line and key.
  static Result<Thresholds> Parse(std::string_view toml, const std::string& name);
  // deploy/config/thresholds.toml as it was when this program was built.
  static const Thresholds& BuiltIn();

  // `value`: exact decimal. `category`: an id or name as the database has it, in any case. `date`:
  // "YYYY-MM-DD".
  Procurement Judge(std::string_view value, const std::string& category,
                    std::string_view date) const;

 private:
  struct Rule {
    std::string kind, from, limit;
  };
  std::vector<Rule> rules_;
  std::map<std::string, std::string> kinds_;  // category in lower case -> kind
};

// "YYYY-MM-DD" of a day that exists.
bool IsDate(std::string_view text);

}  // namespace kembar::restore
