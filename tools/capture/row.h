// row.h — a captured row as a payload: a JSON object of column name to text or null, in column
// order. The encoding is canonical (no blanks; only what JSON must escape is escaped), so that
// equal rows have equal bytes and a SHA-256 tells whether two rows are equal (docs/capture.md).
//
// Values are PostgreSQL's text forms and must be UTF-8; nothing is interpreted, so NaN, infinity,
// arrays and bytea pass unchanged, and NULL differs from the empty text.
//
// Thread-safety: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::capture {

// nullopt is NULL.
using Value = std::optional<std::string>;
using ValueView = std::optional<std::string_view>;

struct Row {
  std::vector<std::string> columns;
  std::vector<Value> values;  // as many

  // Null when there is no such column.
  const Value* Find(std::string_view column) const;
  bool operator==(const Row&) const = default;
};

// `columns` and `values` are of the same length (CHECKed).
std::string EncodeRow(std::span<const std::string> columns, std::span<const ValueView> values);
std::string EncodeRow(const Row& row);
// kCorrupt when `payload` is not an object of texts and nulls. Total: any bytes give a row or an
// error.
Result<Row> DecodeRow(std::string_view payload);

}  // namespace kembar::capture
