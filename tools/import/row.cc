// row.cc — see row.h. The only file of the importer that knows the JSON library.
#include "tools/import/row.h"

#include <cctype>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace kembar::import {
namespace {

constexpr size_t kDepthMax = 128;
constexpr size_t kDigitsMax = 60;

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The library's reason without its own places and quotations, which may be invalid UTF-8.
std::string PlainReason(std::string_view what) {
  for (std::string_view plain :
       {"ill-formed UTF-8 byte", "invalid literal", "invalid number", "missing closing quote",
        "control character", "forbidden character after backslash", "surrogate", "unexpected end",
        "number overflow", "'\\u' must be followed by 4 hex digits"}) {
    if (what.find(plain) == std::string_view::npos) continue;
    return plain == "ill-formed UTF-8 byte" ? "invalid UTF-8"
                                            : "invalid JSON: " + std::string(plain);
  }
  return "invalid JSON";
}

}  // namespace

// Receives the parser's events and keeps the fields; stops at the first thing that is wrong.
class RowBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  RowBuilder(size_t slice_begin, Row* row) : slice_begin_(slice_begin), row_(row) {}

  const std::string& error() const { return error_; }

  bool null() override { return Keep(Field::Type::kNull, {}); }
  bool boolean(bool) override { return Keep(Field::Type::kBool, {}); }
  bool number_integer(number_integer_t v) override {
    return Keep(Field::Type::kNumber, std::to_string(v));
  }
  bool number_unsigned(number_unsigned_t v) override {
    return Keep(Field::Type::kNumber, std::to_string(v));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Keep(Field::Type::kNumber, text);
  }
  bool string(string_t& text) override { return Keep(Field::Type::kString, std::move(text)); }
  bool binary(binary_t&) override { return Fail("binary value"); }

  bool start_object(std::size_t) override { return Open(Field::Type::kObject); }
  bool start_array(std::size_t) override { return Open(Field::Type::kArray); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (arrays_ > 0) return true;
    path_.resize(path_ends_.back());
    path_ += '/';
    for (char c : name) {
      if (c == '~' || c == '/') {
        path_ += c == '~' ? "~0" : "~1";
      } else {
        path_ += c;
      }
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& e) override {
    size_t at = slice_begin_ + (position > 0 ? position - 1 : 0);
    return Fail(PlainReason(e.what()) + " at byte " + std::to_string(at));
  }

 private:
  bool Keep(Field::Type type, std::string text) {
    if (arrays_ > 0) return true;
    if (path_ends_.empty() && type != Field::Type::kObject) return Fail("not a JSON object");
    auto [place, fresh] = row_->fields_.try_emplace(path_, Field{type, std::move(text)});
    return fresh || Fail("key \"" + Tidy(place->first, 80) + "\" stands twice");
  }

  bool Open(Field::Type type) {
    if (!Keep(type, {})) return false;
    if (++depth_ > kDepthMax) return Fail("nested deeper than " + std::to_string(kDepthMax));
    if (arrays_ > 0 || type == Field::Type::kArray) {
      ++arrays_;
    } else {
      path_ends_.push_back(path_.size());
    }
    return true;
  }

  bool Close() {
    --depth_;
    if (arrays_ > 0) {
      --arrays_;
    } else {
      path_.resize(path_ends_.back());
      path_ends_.pop_back();
    }
    return true;
  }

  bool Fail(std::string reason) {
    if (error_.empty()) error_ = std::move(reason);
    return false;
  }

  const size_t slice_begin_;
  Row* const row_;
  std::string path_;
  std::vector<size_t> path_ends_;  // length of the path of each open object outside arrays
  size_t arrays_ = 0;              // open arrays, and objects inside them
  size_t depth_ = 0;
  std::string error_;
};

Result<Row> ParseRow(std::string_view slice, size_t slice_begin) {
  Row row;
  RowBuilder builder(slice_begin, &row);
  bool ok = false;
  std::string thrown;
  try {
    ok = nlohmann::json::sax_parse(slice.begin(), slice.end(), &builder);
  } catch (const std::exception& e) {
    thrown = PlainReason(e.what());
  }
  if (!thrown.empty()) return Status(Code::kInvalid, thrown);
  if (!ok)
    return Status(Code::kInvalid, builder.error().empty() ? "invalid JSON" : builder.error());
  return row;
}

const Field* Row::Find(std::string_view path) const {
  auto found = fields_.find(path);
  return found == fields_.end() ? nullptr : &found->second;
}

std::string Row::Text(std::string_view path) const {
  const Field* field = Find(path);
  if (field == nullptr || field->type != Field::Type::kString) return {};
  return Tidy(field->text, 1000);
}

std::string Row::Decimal(std::string_view path) const {
  const Field* field = Find(path);
  if (field == nullptr) return {};
  if (field->type == Field::Type::kString) return ExactDecimal(Tidy(field->text, 100));
  return field->type == Field::Type::kNumber ? ExactDecimal(field->text) : std::string();
}

std::string Tidy(std::string_view utf8, size_t bytes_max) {
  std::string out;
  bool space = false;
  for (size_t i = 0; i < utf8.size(); ++i) {
    auto c = static_cast<unsigned char>(utf8[i]);
    bool c1 = c == 0xc2 && i + 1 < utf8.size() && static_cast<unsigned char>(utf8[i + 1]) < 0xa0;
    if (c <= 0x20 || c == 0x7f || c1) {
      space = !out.empty();
      i += c1 ? 1 : 0;
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += utf8[i];
  }
  if (out.size() <= bytes_max) return out;
  size_t cut = bytes_max < 3 ? 0 : bytes_max - 3;
  while (cut > 0 && (static_cast<unsigned char>(out[cut]) & 0xc0) == 0x80) --cut;
  out.resize(cut);
  return out + "…";
}

bool HasControlCharacter(std::string_view utf8) {
  for (size_t i = 0; i < utf8.size(); ++i) {
    auto c = static_cast<unsigned char>(utf8[i]);
    if (c < 0x20 || c == 0x7f) return true;
    if (c == 0xc2 && i + 1 < utf8.size() && static_cast<unsigned char>(utf8[i + 1]) < 0xa0) {
      return true;
    }
  }
  return false;
}

std::string ExactDecimal(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  int exponent = 0;
  if (size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    bool whole = error == std::errc() && end == digits.data() + digits.size();
    if (!whole || exponent > int{kDigitsMax} || exponent < -int{kDigitsMax}) return {};
    text = text.substr(0, e);
  }
  size_t point = std::min(text.find('.'), text.size());
  std::string whole(text.substr(0, point));
  std::string fraction(point < text.size() ? text.substr(point + 1) : std::string_view());
  if (!IsDigits(whole) || (point < text.size() && !IsDigits(fraction))) return {};
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction.front();
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(fraction.begin(), whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  if (whole.empty()) whole = "0";
  if (whole.size() + fraction.size() > kDigitsMax) return {};
  std::string out = fraction.empty() ? whole : whole + "." + fraction;
  return negative && !IsZero(out) ? "-" + out : out;
}

bool IsZero(std::string_view decimal) {
  return decimal.find_first_not_of("-0.") == std::string_view::npos;
}

Result<std::string> ReadCode(const Row& row, std::string_view key) {
  auto odd = [key](std::string_view why) {
    return Status(Code::kInvalid, std::string(key.substr(1)) + " " + std::string(why));
  };
  const Field* field = row.Find(key);
  if (field == nullptr) return odd("is missing");
  if (field->type == Field::Type::kNull) return odd("is null");
  bool text = field->type == Field::Type::kString || field->type == Field::Type::kNumber;
  if (!text) return odd("is not a number");
  if (!IsDigits(field->text)) {
    // Whole numbers beyond 64 bits come from the parser as digits, too, so this one is none.
    return odd("\"" + Tidy(field->text, 40) + "\" is not a whole positive number");
  }
  if (field->text.front() == '0') {
    return odd(field->text == "0" ? "is 0" : "\"" + Tidy(field->text, 40) + "\" begins with 0");
  }
  int64_t code = 0;
  const char* end = field->text.data() + field->text.size();
  if (std::from_chars(field->text.data(), end, code).ec != std::errc()) {
    return odd(Tidy(field->text, 40) + " does not fit in 64 bits");
  }
  return field->text;
}

}  // namespace kembar::import
