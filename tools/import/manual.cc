// manual.cc — see manual.h: from CSV to records.
#include "tools/import/manual.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "replicator/base/digest.h"
#include "tools/import/csv.h"
#include "tools/import/row.h"

namespace kembar::import {
namespace {

constexpr size_t kFileBytesMax = size_t{64} << 20;
constexpr size_t kColumnBytesMax = 4'096;

struct Column {
  std::string_view name;
  std::string ManualRecord::*field;  // null: attachments
  bool in_header;                    // the header must have it
  bool filled;                       // and every row something in it
};

constexpr std::array<Column, 10> kColumns = {{
    {"package", &ManualRecord::package, true, true},
    {"title", &ManualRecord::title, true, true},
    {"unit", &ManualRecord::unit, true, true},
    {"value", &ManualRecord::value, true, true},
    {"method", &ManualRecord::method, true, true},
    {"vendor", &ManualRecord::vendor, true, true},
    {"contract_number", &ManualRecord::contract_number, true, true},
    {"contract_date", &ManualRecord::contract_date, true, true},
    {"recommendation_letter", &ManualRecord::recommendation_letter, false, false},
    {"attachments", nullptr, false, false},
}};

bool AllDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

std::string ColumnNames() {
  std::string names;
  for (const Column& column : kColumns)
    names += (names.empty() ? "" : ",") + std::string(column.name);
  return names;
}

Status BadHeader(const std::string& what) {
  return {Code::kInvalid, "row 1: " + what, "the header is " + ColumnNames()};
}

// Which column each field of a row is.
Result<std::vector<const Column*>> ReadHeader(const CsvRow& row) {
  if (!row.broken.empty()) return BadHeader(row.broken);
  if (row.fields.size() == 1 && row.fields[0].find(';') != std::string::npos) {
    return BadHeader("fields are separated by \";\": save the file with commas");
  }
  std::vector<const Column*> columns;
  for (const std::string& field : row.fields) {
    const std::string name = Trim(field);
    const auto* at = std::find_if(kColumns.begin(), kColumns.end(),
                                  [&name](const Column& column) { return column.name == name; });
    if (at == kColumns.end()) return BadHeader("unknown column \"" + Tidy(name, 80) + "\"");
    if (std::find(columns.begin(), columns.end(), at) != columns.end()) {
      return BadHeader("column \"" + name + "\" stands twice");
    }
    columns.push_back(at);
  }
  for (const Column& column : kColumns) {
    if (column.in_header && std::find(columns.begin(), columns.end(), &column) == columns.end()) {
      return BadHeader("column \"" + std::string(column.name) + "\" is missing");
    }
  }
  return columns;
}

std::vector<std::string> SplitAttachments(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const size_t end = std::min(text.find(';'), text.size());
    std::string path = Trim(text.substr(0, end));
    if (!path.empty()) paths.push_back(std::move(path));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return paths;
}

Status Odd(std::string_view column, const std::string& what) {
  return {Code::kInvalid, "column \"" + std::string(column) + "\": " + what};
}

Status CheckColumn(const Column& column, const std::string& text) {
  if (column.filled && text.empty()) return Odd(column.name, "is empty");
  if (text.size() > kColumnBytesMax) {
    return Odd(column.name, "is longer than " + std::to_string(kColumnBytesMax) + " bytes");
  }
  return Status::Ok();
}

// Reads amounts and dates; refuses what a log would not take.
Status Interpret(ManualRecord* record) {
  for (const Column& column : kColumns) {
    if (column.field == nullptr) continue;
    if (HasControlCharacter(record->*column.field))
      return Odd(column.name, "has a control character");
  }
  if (record->package.size() > kTextBytesMax) {
    return Odd("package", "is longer than " + std::to_string(kTextBytesMax) + " bytes");
  }
  const std::string value = ReadAmount(record->value);
  if (value.empty() || IsZero(value)) {
    return Odd("value", "\"" + Tidy(record->value, 60) +
                            "\" is not an amount in rupiah such as 150000000 or 150000000.50");
  }
  record->value = value;
  const std::string date = ReadDate(record->contract_date);
  if (date.empty()) {
    return Odd("contract_date", "\"" + Tidy(record->contract_date, 60) +
                                    "\" is not a date such as 2026-11-24 or 24-11-2026");
  }
  record->contract_date = date;
  return Status::Ok();
}

Result<ManualRecord> ReadRow(const CsvRow& row, const std::vector<const Column*>& columns) {
  if (!row.broken.empty()) {
    return Status(Code::kInvalid, row.broken);
  }
  if (row.fields.size() != columns.size()) {
    return Status(Code::kInvalid, "has " + std::to_string(row.fields.size()) +
                                      " fields, the header has " + std::to_string(columns.size()));
  }
  ManualRecord record;
  record.row = row.number;
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string text = Trim(row.fields[i]);
    RETURN_IF_ERROR(CheckColumn(*columns[i], text));
    if (columns[i]->field == nullptr) {
      record.attachments = SplitAttachments(text);
    } else if (columns[i]->name == "title") {
      record.title = Tidy(text, kTextBytesMax);  // cells of spreadsheets may hold line breaks
    } else {
      record.*columns[i]->field = text;
    }
  }
  RETURN_IF_ERROR(Interpret(&record));
  return record;
}

bool SameRow(const ManualRecord& a, const ManualRecord& b) {
  for (const Column& column : kColumns) {
    if (column.field != nullptr && a.*column.field != b.*column.field) return false;
  }
  return a.attachments == b.attachments;
}

// Rows one by one; finds the contracts that stand twice.
class Collector {
 public:
  Collector(ManualFile* file, std::vector<const Column*> columns)
      : file_(file), columns_(std::move(columns)) {}

  void Add(const CsvRow& row) {
    if (row.blank()) return;
    ++file_->rows;
    Result<ManualRecord> record = ReadRow(row, columns_);
    if (!record.ok()) return Reject(row, record.status().message());
    const auto [at, fresh] =
        seen_.try_emplace({record->package, record->contract_number}, file_->records.size());
    if (fresh) {
      file_->records.push_back(*std::move(record));
    } else if (SameRow(*record, file_->records[at->second])) {
      ++file_->repeats;
    } else {
      Reject(row, "column \"contract_number\": row " +
                      std::to_string(file_->records[at->second].row) +
                      " has this package and contract already, with other contents");
    }
  }

 private:
  void Reject(const CsvRow& row, std::string why) {
    file_->rejected.push_back({file_->path, row.number, std::move(why)});
  }

  ManualFile* const file_;
  const std::vector<const Column*> columns_;
  std::map<std::pair<std::string, std::string>, size_t> seen_;
};

// "150.000.000" without its dots, if they group thousands.
std::optional<std::string> Ungroup(std::string_view text) {
  std::string digits;
  for (bool first = true; !text.empty(); first = false) {
    const size_t dot = std::min(text.find('.'), text.size());
    const std::string_view group = text.substr(0, dot);
    if (!AllDigits(group) || (first ? group.size() > 3 : group.size() != 3)) return std::nullopt;
    digits += group;
    if (dot + 1 == text.size()) return std::nullopt;
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return digits;
}

}  // namespace

std::string ReadAmount(std::string_view text) {
  if (text.starts_with("Rp")) {
    text.remove_prefix(2);
    if (text.starts_with('.')) text.remove_prefix(1);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  const auto dots = std::count(text.begin(), text.end(), '.');
  size_t point = text.find(',');
  if (point == std::string_view::npos && dots == 1) point = text.find('.');
  std::string digits(text.substr(0, point));
  if (digits.find('.') != std::string::npos) digits = Ungroup(digits).value_or("");
  if (!AllDigits(digits)) return {};
  if (point == std::string_view::npos) return ExactDecimal(digits);
  const std::string_view sen = text.substr(point + 1);
  if (!AllDigits(sen) || sen.size() > 2) return {};
  return ExactDecimal(digits + "." + std::string(sen));
}

std::string ReadDate(std::string_view text) {
  if (text.size() != 10) return {};
  const bool iso = text[4] == '-' && text[7] == '-';
  const bool local = text[2] == '-' && text[5] == '-';
  if (!iso && !local) return {};
  const std::string_view year = iso ? text.substr(0, 4) : text.substr(6, 4);
  const std::string_view month = iso ? text.substr(5, 2) : text.substr(3, 2);
  const std::string_view day = iso ? text.substr(8, 2) : text.substr(0, 2);
  if (!AllDigits(year) || !AllDigits(month) || !AllDigits(day)) return {};
  const std::chrono::year_month_day date{
      std::chrono::year{std::stoi(std::string(year))},
      std::chrono::month{static_cast<unsigned>(std::stoi(std::string(month)))},
      std::chrono::day{static_cast<unsigned>(std::stoi(std::string(day)))}};
  // A year with a digit too few or too many is the commonest slip of all.
  if (!date.ok() || int{date.year()} < 1990 || int{date.year()} > 2199) return {};
  return std::string(year) + "-" + std::string(month) + "-" + std::string(day);
}

std::string ManualItem(std::string_view contract_number) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string item(kManualPrefix);
  for (const char c : contract_number) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
    if (plain) {
      item += c;
    } else {
      item += '%';
      item += kHex[byte >> 4];
      item += kHex[byte & 0xf];
    }
  }
  if (item.size() <= kTextBytesMax) return item;
  return std::string(kManualPrefix) + "~" + ToHex(Sha256({contract_number}));
}

Result<ManualFile> ParseManual(const std::string& name, std::string_view bytes) {
  const auto refuse = [&name](const Status& why) { return why.Prepend(name); };
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff")) {
    return refuse(Status(Code::kInvalid, "is UTF-16 text", "save it as CSV UTF-8"));
  }
  const std::vector<CsvRow> rows = ReadCsv(bytes);
  if (rows.empty()) return refuse(Status(Code::kInvalid, "is empty"));
  Result<std::vector<const Column*>> columns = ReadHeader(rows.front());
  if (!columns.ok()) return refuse(columns.status());
  ManualFile file;
  file.path = name;
  Collector collector(&file, *std::move(columns));
  for (size_t i = 1; i < rows.size(); ++i) collector.Add(rows[i]);
  return file;
}

Result<ManualFile> ReadManualFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Status(Code::kNotFound, path + ": cannot be opened");
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return Status(Code::kIo, path + ": cannot be read");
  if (bytes.size() > kFileBytesMax) return Status(Code::kInvalid, path + ": larger than 64 MiB");
  return ParseManual(path, bytes);
}

}  // namespace kembar::import
