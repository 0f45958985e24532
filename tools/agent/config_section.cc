// config_section.cc — see config_section.h.
#include "tools/agent/config_section.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "replicator/base/config_text.h"

namespace kembar::agent {
namespace {

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

const toml::node* ConfigSection::Find(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

uint32_t ConfigSection::LineOf(std::string_view key) const {
  const toml::node* node = table_ == nullptr ? nullptr : table_->get(key);
  return node == nullptr ? line_ : node->source().begin.line;
}

void ConfigSection::Add(std::string_view key, const std::string& what, std::string hint) {
  if (!error_.ok()) return;
  error_ = Status(Code::kInvalid,
                  file_ + ":" + std::to_string(LineOf(key)) + ": " + std::string(name_) + "." +
                      std::string(key) + ": " + what,
                  std::move(hint));
}

void ConfigSection::WrongType(std::string_view key, const toml::node& node,
                              const std::string& wanted) {
  std::ostringstream type;
  type << node.type();
  Add(key, "must be " + wanted + ", not " + type.str());
}

std::string ConfigSection::String(std::string_view key, std::string fallback) {
  const toml::node* node = Find(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<std::string>();
  if (!value) {
    WrongType(key, *node, "a string in quotes");
    return fallback;
  }
  if (HasControl(*value)) Add(key, "has a control character in it");
  return *value;
}

std::string ConfigSection::Required(std::string_view key, std::string_view example) {
  if (Find(key) == nullptr) {
    Add(key, "is missing", "write e.g. " + std::string(key) + " = " + Quoted(example));
    return {};
  }
  std::string value = String(key, {});
  if (value.empty()) Add(key, "is empty");
  return value;
}

std::string ConfigSection::Address(std::string_view key, std::string fallback, bool port_zero) {
  std::string value = String(key, std::move(fallback));
  if (value.empty()) return value;
  const Result<HostPort> parsed = ParseHostPort(value);
  if (!parsed.ok()) {
    Add(key, parsed.status().message(), "write e.g. \"127.0.0.1:7401\"");
  } else if (parsed->port == 0 && !port_zero) {
    Add(key, Quoted(value) + " has port 0, where nobody can be reached");
  }
  return value;
}

int64_t ConfigSection::Number(std::string_view key, int64_t fallback, NumberRange range) {
  const toml::node* node = Find(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<int64_t>();
  if (!value) {
    WrongType(key, *node, "a whole number");
    return fallback;
  }
  if (*value < range.min || *value > range.max) {
    Add(key, std::to_string(*value) + " is out of range: " + std::to_string(range.min) + " to " +
                 std::to_string(range.max));
  }
  return *value;
}

uint64_t ConfigSection::Size(std::string_view key, uint64_t fallback, NumberRange range) {
  const toml::node* node = Find(key);
  if (node == nullptr) return fallback;
  std::optional<int64_t> value = node->value_exact<int64_t>();
  if (const auto text = node->value_exact<std::string>()) value = ParseSize(*text);
  if (!value) {
    Add(key, "is not a size", "write e.g. \"512MiB\"");
    return fallback;
  }
  if (*value < range.min || *value > range.max) {
    Add(key, "is out of range: " + SizeText(static_cast<uint64_t>(range.min)) + " to " +
                 SizeText(static_cast<uint64_t>(range.max)));
    return fallback;
  }
  return static_cast<uint64_t>(*value);
}

bool ConfigSection::Flag(std::string_view key, bool fallback) {
  const toml::node* node = Find(key);
  if (node == nullptr) return fallback;
  const auto value = node->value_exact<bool>();
  if (!value) WrongType(key, *node, "true or false");
  return value.value_or(fallback);
}

std::vector<std::string> ConfigSection::Strings(std::string_view key,
                                                std::vector<std::string> fallback) {
  const toml::node* node = Find(key);
  if (node == nullptr) return fallback;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    WrongType(key, *node, "a list of strings");
    return fallback;
  }
  std::vector<std::string> values;
  for (const toml::node& element : *array) {
    const auto value = element.value_exact<std::string>();
    if (!value || value->empty() || HasControl(*value)) {
      Add(key, "must be a list of strings");
      return fallback;
    }
    values.push_back(*value);
  }
  return values;
}

Status ConfigSection::Finish() {
  if (table_ == nullptr) return error_;
  for (auto&& [key, node] : *table_) {
    const std::string_view name = key.str();
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    return Status(Code::kInvalid,
                  file_ + ":" + std::to_string(key.source().begin.line) + ": " +
                      std::string(name_) + "." + std::string(name) + ": unknown key",
                  DidYouMean(name, known_));
  }
  return error_;
}

std::string SafeDsn(const std::string& dsn) {
  std::string safe = dsn;
  if (const size_t scheme = safe.find("://"); scheme != std::string::npos) {
    const size_t at = safe.find('@', scheme);
    const size_t colon = safe.find(':', scheme + 3);
    if (at != std::string::npos && colon < at) safe.replace(colon, at - colon, ":…");
  }
  const size_t password = safe.find("password");
  if (password != std::string::npos) safe.replace(password, std::string::npos, "password=…");
  return safe;
}

}  // namespace kembar::agent
