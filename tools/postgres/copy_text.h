// copy_text.h — PostgreSQL's COPY text format: \N for NULL, backslash escapes, tab between columns,
// newline after each row. https://www.postgresql.org/docs/15/sql-copy.html
//
// Thread-safety: pure functions. The parser is total: any bytes give values or kCorrupt.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/row.h"

namespace kembar::postgres {

// Appends one row, newline included.
void AppendCopyRow(std::span<const capture::ValueView> values, std::string* out);
// One row without its newline. `storage` keeps unescaped texts; the views live as long as it and
// `line`.
Result<std::vector<capture::ValueView>> ParseCopyRow(std::string_view line,
                                                     std::vector<std::string>* storage);

}  // namespace kembar::postgres
