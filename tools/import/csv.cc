// csv.cc — see csv.h.
#include "tools/import/csv.h"

#include <algorithm>

#include "tools/import/scanner.h"

namespace kembar::import {
namespace {

// One past the line end behind `pos`, or the end of the input.
size_t NextLine(std::string_view bytes, size_t pos) {
  const size_t end = bytes.find('\n', pos);
  return end == std::string_view::npos ? bytes.size() : end + 1;
}

// Length of the line end at `pos`: 0 if there is none, also when a CR stands alone.
size_t LineEnd(std::string_view bytes, size_t pos) {
  if (bytes[pos] == '\n') return 1;
  return bytes.substr(pos, 2) == "\r\n" ? 2 : 0;
}

class RowReader {
 public:
  RowReader(std::string_view bytes, char separator, size_t begin)
      : bytes_(bytes), separator_(separator), pos_(begin) {}

  // Moves past the row's end. Of a broken row: past its first line.
  CsvRow Read(size_t* end) {
    const size_t begin = pos_;
    CsvRow row;
    do {
      row.fields.emplace_back();
      ReadField(&row.fields.back());
    } while (broken_.empty() && TakeSeparator());
    if (broken_.empty() && !std::all_of(row.fields.begin(), row.fields.end(), IsUtf8Text)) {
      broken_ = "invalid UTF-8: save the file as UTF-8";
    }
    row.broken =
        broken_.empty() ? "" : "field " + std::to_string(row.fields.size()) + ": " + broken_;
    *end = broken_.empty() ? pos_ : NextLine(bytes_, begin);
    return row;
  }

 private:
  void ReadField(std::string* field) {
    if (pos_ < bytes_.size() && bytes_[pos_] == '"') {
      ++pos_;
      ReadQuoted(field);
    } else {
      ReadPlain(field);
    }
  }

  void ReadPlain(std::string* field) {
    for (; pos_ < bytes_.size(); ++pos_) {
      const char c = bytes_[pos_];
      if (c == separator_ || LineEnd(bytes_, pos_) > 0) return;
      if (c == '"') {
        broken_ = "a quote inside a field that does not begin with one";
        return;
      }
      if (c == '\r') {
        broken_ = "a carriage return without line feed";
        return;
      }
      field->push_back(c);
    }
  }

  void ReadQuoted(std::string* field) {
    while (true) {
      const size_t quote = bytes_.find('"', pos_);
      if (quote == std::string_view::npos) {
        broken_ = "a quote that is never closed";
        return;
      }
      field->append(bytes_.substr(pos_, quote - pos_));
      pos_ = quote + 1;
      if (bytes_.substr(pos_, 1) != "\"") break;
      field->push_back('"');
      ++pos_;
    }
    if (pos_ < bytes_.size() && bytes_[pos_] != separator_ && LineEnd(bytes_, pos_) == 0) {
      broken_ = "something between the closing quote and the next separator";
    }
  }

  // False at the row's end, which is then behind us.
  bool TakeSeparator() {
    if (pos_ == bytes_.size()) return false;
    if (bytes_[pos_] == separator_) {
      ++pos_;
      return true;
    }
    pos_ += LineEnd(bytes_, pos_);
    return false;
  }

  const std::string_view bytes_;
  const char separator_;
  size_t pos_;
  std::string broken_;
};

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Length of the well-formed sequence at the beginning of `text`; 0 if there is none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first < 0xc2   ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool outside = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return overlong || outside ? 0 : length;
}

}  // namespace

bool IsUtf8Text(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool CsvRow::blank() const {
  return broken.empty() && std::all_of(fields.begin(), fields.end(), [](const std::string& field) {
           return field.find_first_not_of(" \t") == std::string::npos;
         });
}

std::vector<CsvRow> ReadCsv(std::string_view bytes, char separator) {
  std::vector<CsvRow> rows;
  size_t pos = bytes.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  uint64_t number = 0;
  while (pos < bytes.size()) {
    rows.push_back(RowReader(bytes, separator, pos).Read(&pos));
    rows.back().number = ++number;
  }
  return rows;
}

}  // namespace kembar::import
