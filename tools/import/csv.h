// csv.h — strict comma-separated values (RFC 4180) in UTF-8, row by row, with recovery. Where the
// comma is the decimal sign spreadsheets write another separator: the caller says which it is.
//
// Strict: a quote stands only around a whole field, doubled inside it; nothing is guessed. Rows end
// with LF or CRLF; a byte order mark at the beginning is skipped. A row that breaks one of these
// rules costs itself: reading goes on at the next line. Work is linear in the size of the input.
//
// Pure. Rows are numbered as a spreadsheet shows them: 1 is the first row, blank rows count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kembar::import {

struct CsvRow {
  uint64_t number = 0;
  std::vector<std::string> fields;
  std::string broken;  // empty: a whole row; else why not, with the place inside the row

  bool blank() const;  // nothing but blanks in it
};

std::vector<CsvRow> ReadCsv(std::string_view bytes, char separator = ',');

// True when `text` is well-formed UTF-8.
bool IsUtf8Text(std::string_view text);

}  // namespace kembar::import
