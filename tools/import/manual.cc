// manual.cc — see manual.h: from CSV to records.
#include "tools/import/manual.h"

#include <algorithm>
#include <array>
#include <chrono>
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

struct Sheet {
  char separator = ',';
  std::vector<const Column*> columns;  // what each field of a row is
  std::vector<CsvRow> rows;            // the header is the first
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

// Where the comma is the decimal sign, as in Indonesia, spreadsheets separate by semicolons. The
// header says it for the whole file.
Result<Sheet> ReadSheet(std::string_view bytes) {
  Sheet sheet;
  sheet.rows = ReadCsv(bytes);
  if (sheet.rows.empty()) return Status(Code::kInvalid, "is empty");
  Result<std::vector<const Column*>> columns = ReadHeader(sheet.rows.front());
  if (!columns.ok()) {
    std::vector<CsvRow> rows = ReadCsv(bytes, ';');
    // The separator that cuts the header into more pieces is the one that was meant.
    const bool meant = rows.front().fields.size() > sheet.rows.front().fields.size();
    Result<std::vector<const Column*>> other = ReadHeader(rows.front());
    if (!other.ok()) return meant ? other.status() : columns.status();
    sheet.separator = ';';
    sheet.rows = std::move(rows);
    columns = std::move(other);
  }
  sheet.columns = *std::move(columns);
  return sheet;
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

bool LeadsUp(std::string_view path) {
  while (true) {
    const size_t slash = std::min(path.find('/'), path.size());
    if (path.substr(0, slash) == "..") return true;
    if (slash == path.size()) return false;
    path.remove_prefix(slash + 1);
  }
}

// The file comes from a unit, and what it names goes into a log for ever: nothing that is elsewhere
// on the operator's machine.
Status CheckAttachment(const std::string& path) {
  const auto odd = [&path](const std::string& why) {
    return Odd("attachments", "\"" + Tidy(path, 80) + "\" " + why);
  };
  if (HasControlCharacter(path)) return odd("has a control character");
  if (path.starts_with('/')) return odd("is absolute: attachments stand beside the CSV file");
  if (LeadsUp(path)) return odd("has a part \"..\": attachments stand beside the CSV file");
  return Status::Ok();
}

// Refuses what a log would not take.
Status CheckTexts(const ManualRecord& record) {
  for (const Column& column : kColumns) {
    if (column.field == nullptr) continue;
    const std::string& text = record.*column.field;
    // Once more: tidying may have left nothing of it.
    if (column.filled && text.empty()) return Odd(column.name, "is empty");
    if (HasControlCharacter(text)) return Odd(column.name, "has a control character");
    const bool named = column.name == "package" || column.name == "unit";
    if (named && text.size() > kTextBytesMax) {
      return Odd(column.name, "is longer than " + std::to_string(kTextBytesMax) + " bytes");
    }
  }
  for (const std::string& path : record.attachments) RETURN_IF_ERROR(CheckAttachment(path));
  return Status::Ok();
}

// Reads amounts and dates.
Status Interpret(ManualRecord* record) {
  const std::string value = ReadAmount(record->value);
  if (value.empty() || IsZero(value)) {
    return Odd("value", "\"" + Tidy(record->value, 60) +
                            "\" is not an amount in rupiah such as 150000000 or 150000000.50");
  }
  record->value = value;
  const std::string date = ReadDate(record->contract_date);
  if (date.empty()) {
    return Odd("contract_date",
               "\"" + Tidy(record->contract_date, 60) +
                   "\" is not a date such as 2026-11-24, 24-11-2026 or 24/11/2026");
  }
  record->contract_date = date;
  return Status::Ok();
}

Status WrongCount(const CsvRow& row, const Sheet& sheet) {
  std::string what = "has " + std::to_string(row.fields.size()) + " fields, the header has " +
                     std::to_string(sheet.columns.size());
  if (sheet.separator == ';' && row.fields.size() > sheet.columns.size()) {
    what += ": several attachments stand in quotes, \"a.pdf;b.pdf\"";
  }
  return {Code::kInvalid, std::move(what)};
}

Result<ManualRecord> ReadRow(const CsvRow& row, const Sheet& sheet) {
  const std::vector<const Column*>& columns = sheet.columns;
  if (!row.broken.empty()) return Status(Code::kInvalid, row.broken);
  if (row.fields.size() != columns.size()) return WrongCount(row, sheet);
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
  RETURN_IF_ERROR(CheckTexts(record));
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
  // `sheet` outlives the collector.
  Collector(ManualFile* file, const Sheet* sheet) : file_(file), sheet_(sheet) {}

  void Add(const CsvRow& row) {
    if (row.blank()) return;
    ++file_->rows;
    Result<ManualRecord> record = ReadRow(row, *sheet_);
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
  const Sheet* const sheet_;
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

// What stands behind "Rp", "RP." and the like.
std::string_view WithoutCurrency(std::string_view text) {
  const bool rupiah =
      text.size() >= 2 && (text[0] == 'R' || text[0] == 'r') && (text[1] == 'P' || text[1] == 'p');
  if (!rupiah) return text;
  text.remove_prefix(2);
  if (text.starts_with('.')) text.remove_prefix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

}  // namespace

std::string ReadAmount(std::string_view text) {
  text = WithoutCurrency(text);
  const auto dots = std::count(text.begin(), text.end(), '.');
  size_t point = text.find(',');
  if (point == std::string_view::npos && dots == 1) point = text.find('.');
  std::string digits(text.substr(0, point));
  if (digits.find('.') != std::string::npos) digits = Ungroup(digits).value_or("");
  if (!AllDigits(digits)) return {};
  if (point == std::string_view::npos) return ExactDecimal(digits);
  const std::string_view sen = text.substr(point + 1);
  // "150.000,-": no sen. The comma before it says that the dots are none.
  if (sen == "-" && text[point] == ',') return ExactDecimal(digits);
  if (!AllDigits(sen) || sen.size() > 2) return {};
  return ExactDecimal(digits + "." + std::string(sen));
}

std::string ReadDate(std::string_view text) {
  if (text.size() != 10) return {};
  const bool iso = text[4] == '-' && text[7] == '-';
  const bool local = (text[2] == '-' || text[2] == '/') && text[5] == text[2];
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

PackageFacts SaysOfPackage(const PackageFacts& known, const ManualRecord& previous,
                           const ManualRecord& next) {
  const auto say = [](const std::string& said, const std::string& before, const std::string& now) {
    return said.empty() || (said == before && said != now) ? now : std::string();
  };
  return {.title = say(known.title, previous.title, next.title),
          .value = say(known.value, previous.value, next.value),
          .unit = say(known.unit, previous.unit, next.unit)};
}

Result<ManualFile> ParseManual(const std::string& name, std::string_view bytes) {
  const auto refuse = [&name](const Status& why) { return why.Prepend(name); };
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff")) {
    return refuse(Status(Code::kInvalid, "is UTF-16 text", "save it as CSV UTF-8"));
  }
  const Result<Sheet> sheet = ReadSheet(bytes);
  if (!sheet.ok()) return refuse(sheet.status());
  ManualFile file;
  file.path = name;
  Collector collector(&file, &*sheet);
  for (size_t i = 1; i < sheet->rows.size(); ++i) collector.Add(sheet->rows[i]);
  return file;
}

Result<ManualFile> ReadManualFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  if (bytes.size() > kFileBytesMax) return Status(Code::kInvalid, path + ": larger than 64 MiB");
  return ParseManual(path, bytes);
}

}  // namespace kembar::import
