// config_section.h — one section of the configuration: takes values out, remembers the first error,
// and knows what was not taken.
//
// Thread-safety: none; lives while a file is parsed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <toml++/toml.h>

#include "replicator/base/status.h"

namespace kembar::agent {

struct NumberRange {
  int64_t min;
  int64_t max;
};

// As long as PostgreSQL takes for an application_name.
inline constexpr size_t kSourceNameBytesMax = 63;
inline constexpr NumberRange kLag{1, 31'536'000};  // seconds

class ConfigSection {
 public:
  // `table` null: the section is not there.
  ConfigSection(const std::string& file, std::string_view name, const toml::table* table,
                uint32_t line)
      : file_(file), name_(name), table_(table), line_(line) {}

  std::string String(std::string_view key, std::string fallback);
  std::string Required(std::string_view key, std::string_view example);
  std::string Address(std::string_view key, std::string fallback, bool port_zero);
  int64_t Number(std::string_view key, int64_t fallback, NumberRange range);
  uint64_t Size(std::string_view key, uint64_t fallback, NumberRange range);
  bool Flag(std::string_view key, bool fallback);
  std::vector<std::string> Strings(std::string_view key, std::vector<std::string> fallback);

  // Line of a key that is there, of the section otherwise.
  uint32_t LineOf(std::string_view key) const;
  void Add(std::string_view key, const std::string& what, std::string hint = {});
  // The first error. A misspelt key comes first: it is why another one is missing.
  Status Finish();

 private:
  const toml::node* Find(std::string_view key);
  void WrongType(std::string_view key, const toml::node& node, const std::string& wanted);

  const std::string& file_;
  const std::string_view name_;
  const toml::table* const table_;
  const uint32_t line_;
  std::vector<std::string_view> known_;  // what was asked for
  Status error_;
};

// To be shown: without a password in either of libpq's notations.
std::string SafeDsn(const std::string& dsn);

}  // namespace kembar::agent
