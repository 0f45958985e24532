// row.h — one row's fields, read by path, and the decimal and text forms that drafts want.
//
// A path is a JSON Pointer (RFC 6901) through objects, "/tender/value/amount". What stands inside
// arrays is checked for well-formedness but not kept. Numbers keep the text that stands in the
// file.
//
// Pure. Errors are kInvalid with a reason for people; its byte is counted from the file's
// beginning.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "replicator/base/status.h"

namespace kembar::import {

struct Field {
  enum class Type { kNull, kBool, kNumber, kString, kObject, kArray };
  Type type = Type::kNull;
  std::string text;  // of numbers as written, of strings decoded; else empty
};

class Row {
 public:
  // Null when the row has no such field.
  const Field* Find(std::string_view path) const;
  bool Has(std::string_view path) const { return Find(path) != nullptr; }
  // The field's text if it is a string, tidied; else empty.
  std::string Text(std::string_view path) const;
  // The field's exact decimal if it is a number, or a string that holds one; else empty.
  std::string Decimal(std::string_view path) const;

 private:
  friend class RowBuilder;
  std::map<std::string, Field, std::less<>> fields_;
};

// Refuses what is not one JSON object, invalid UTF-8, a key that stands twice in an object on a
// path, and nesting deeper than 128.
Result<Row> ParseRow(std::string_view slice, size_t slice_begin);

// White space and control characters become single spaces, none at the ends; cut at `bytes_max`
// between characters, with an ellipsis. `utf8` is valid.
std::string Tidy(std::string_view utf8, size_t bytes_max);

// U+0000–001F, U+007F and U+0080–009F.
bool HasControlCharacter(std::string_view utf8);

// "-?digits[.digits]" without leading zeros, equal to the JSON number `text` ("1.5e3" is "1500");
// empty when it is none, or would have more than 60 digits.
std::string ExactDecimal(std::string_view text);
// Also of an empty text: no amount is as good as zero.
bool IsZero(std::string_view decimal);

// A code such as kd_tender or id: a number or a string of digits from 1 to 2^63-1.
Result<std::string> ReadCode(const Row& row, std::string_view key);

}  // namespace kembar::import
