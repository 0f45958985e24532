// thresholds.cc — see thresholds.h.
#include "tools/restore/thresholds.h"

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>

#include "replicator/base/check.h"
#include "tools/restore/decimal.h"
#include "tools/restore/thresholds_data.h"

namespace kembar::restore {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Status Invalid(const std::string& name, const toml::node& node, const std::string& what) {
  return Status(Code::kInvalid,
                name + ":" + std::to_string(node.source().begin.line) + ": " + what);
}

// The text of a key; a date may be written as text or as TOML's own.
Result<std::string> Text(const std::string& name, const toml::table& table, std::string_view key) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return Invalid(name, table, std::string(key) + " is missing");
  if (const auto text = node->value_exact<std::string>()) return *text;
  if (const auto date = node->value_exact<toml::date>()) {
    char text[16];
    std::snprintf(text, sizeof text, "%04d-%02d-%02d", date->year, date->month, date->day);
    return std::string(text);
  }
  return Invalid(name, *node, std::string(key) + " is no text");
}

Status CheckKeys(const std::string& name, const toml::table& table,
                 const std::set<std::string_view>& known) {
  for (const auto& [key, node] : table) {
    if (!known.contains(key.str())) {
      return Invalid(name, node, "unknown key " + std::string(key.str()));
    }
  }
  return {};
}

}  // namespace

bool IsDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  int year = 0;
  unsigned month = 0, day = 0;
  const auto number = [](std::string_view digits, auto* value) {
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), *value);
    return end.ec == std::errc() && end.ptr == digits.data() + digits.size();
  };
  return number(text.substr(0, 4), &year) && number(text.substr(5, 2), &month) &&
         number(text.substr(8, 2), &day) &&
         std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(month),
                                     std::chrono::day(day))
             .ok();
}

Result<Thresholds> Thresholds::Parse(std::string_view text, const std::string& name) {
  toml::table root;
  try {
    root = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return Status(Code::kInvalid, name + ":" + std::to_string(error.source().begin.line) +
                                      ": not TOML: " + std::string(error.description()));
  }
  RETURN_IF_ERROR(CheckKeys(name, root, {"threshold", "category"}));
  Thresholds thresholds;
  std::set<std::string> kinds;
  const toml::array* rules = root["threshold"].as_array();
  if (rules == nullptr) return Invalid(name, root, "[[threshold]] is missing");
  for (const toml::node& node : *rules) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return Invalid(name, node, "threshold is no table");
    RETURN_IF_ERROR(CheckKeys(name, *table, {"kind", "from", "limit", "rule"}));
    Rule rule;
    ASSIGN_OR_RETURN(rule.kind, Text(name, *table, "kind"));
    ASSIGN_OR_RETURN(rule.from, Text(name, *table, "from"));
    ASSIGN_OR_RETURN(rule.limit, Text(name, *table, "limit"));
    if (!IsDate(rule.from)) return Invalid(name, *table, "from is no date");
    if (!IsDecimal(rule.limit)) return Invalid(name, *table, "limit is no decimal text");
    kinds.insert(rule.kind);
    thresholds.rules_.push_back(std::move(rule));
  }
  const toml::table* categories = root["category"].as_table();
  if (categories == nullptr) return Invalid(name, root, "[category] is missing");
  for (const auto& [key, node] : *categories) {
    const auto kind = node.value_exact<std::string>();
    if (!kind || !kinds.contains(*kind)) {
      return Invalid(name, node, "category " + std::string(key.str()) + ": no such kind");
    }
    thresholds.kinds_[Lower(std::string(key.str()))] = *kind;
  }
  return thresholds;
}

const Thresholds& Thresholds::BuiltIn() {
  static const Thresholds* const built_in = [] {
    Result<Thresholds> parsed = Parse(kThresholdsToml, "deploy/config/thresholds.toml");
    CHECK(parsed.ok());
    return new Thresholds(*std::move(parsed));
  }();
  return *built_in;
}

Procurement Thresholds::Judge(std::string_view value, const std::string& category,
                              std::string_view date) const {
  const auto kind = kinds_.find(Lower(category));
  if (!IsDecimal(value) || kind == kinds_.end()) return Procurement::kUnknown;
  const Rule* in_force = nullptr;
  for (const Rule& rule : rules_) {
    if (rule.kind != kind->second || rule.from > date) continue;
    if (in_force == nullptr || rule.from > in_force->from) in_force = &rule;
  }
  if (in_force == nullptr) return Procurement::kUnknown;
  return CompareDecimals(value, in_force->limit) > 0 ? Procurement::kTenderNeeded
                                                     : Procurement::kDirectPossible;
}

}  // namespace kembar::restore
