// copy_text.cc — see copy_text.h.
#include "tools/postgres/copy_text.h"

#include <algorithm>
#include <cstring>

namespace kembar::postgres {
namespace {

using capture::ValueView;

// The letter after the backslash, or 0 when `c` stands for itself.
char EscapeLetter(char c) {
  switch (c) {
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case '\v': return 'v';
    case '\\': return '\\';
    default: return 0;
  }
}

void AppendEscaped(std::string_view text, std::string* out) {
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char letter = EscapeLetter(text[i]);
    if (letter == 0) continue;
    out->append(text.substr(from, i - from));
    out->push_back('\\');
    out->push_back(letter);
    from = i + 1;
  }
  out->append(text.substr(from));
}

int Digit(char c, int base) {
  int digit = -1;
  if (c >= '0' && c <= '9') digit = c - '0';
  if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
  return digit < base ? digit : -1;
}

// Up to `digits_max` digits of `base` from *at on; -1 when there is none.
int TakeDigits(std::string_view text, int base, int digits_max, size_t* at) {
  int number = -1;
  for (int n = 0; n < digits_max && *at < text.size(); ++n, ++*at) {
    const int digit = Digit(text[*at], base);
    if (digit < 0) break;
    number = std::max(number, 0) * base + digit;
  }
  return number;
}

// Where the first field ends: at a tab without a backslash before it.
size_t FieldEnd(std::string_view line) {
  size_t at = line.find_first_of("\t\\");
  while (at < line.size() && line[at] == '\\') at = line.find_first_of("\t\\", at + 2);
  return std::min(at, line.size());
}

// False: a backslash ends the text.
bool Unescape(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out->push_back(text[i++]);
      continue;
    }
    if (++i == text.size()) return false;
    // \ooo and \xhh; only COPY FROM of people's files has them, PostgreSQL never writes them.
    if (int byte = TakeDigits(text, 8, 3, &i); byte >= 0) {
      out->push_back(static_cast<char>(byte & 0xff));
      continue;
    }
    const char c = text[i++];
    switch (c) {
      case 'b': out->push_back('\b'); break;
      case 'f': out->push_back('\f'); break;
      case 'n': out->push_back('\n'); break;
      case 'r': out->push_back('\r'); break;
      case 't': out->push_back('\t'); break;
      case 'v': out->push_back('\v'); break;
      case 'x': {
        const int byte = TakeDigits(text, 16, 2, &i);
        out->push_back(byte < 0 ? 'x' : static_cast<char>(byte));
        break;
      }
      default: out->push_back(c);
    }
  }
  return true;
}

}  // namespace

void AppendCopyRow(std::span<const ValueView> values, std::string* out) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out->push_back('\t');
    if (values[i]) {
      AppendEscaped(*values[i], out);
    } else {
      out->append("\\N");
    }
  }
  out->push_back('\n');
}

Result<std::vector<ValueView>> ParseCopyRow(std::string_view line,
                                            std::vector<std::string>* storage) {
  if (line.find_first_of("\n\r") != std::string_view::npos) {
    return Status(Code::kCorrupt, "COPY row: a line end inside the row");
  }
  storage->clear();
  const auto columns = static_cast<size_t>(std::count(line.begin(), line.end(), '\t')) + 1;
  // Never grows below: views into short texts would dangle when it moved them.
  storage->reserve(columns);
  std::vector<ValueView> values;
  values.reserve(columns);
  while (true) {
    const size_t end = FieldEnd(line);
    const std::string_view field = line.substr(0, end);
    if (field == "\\N") {
      values.emplace_back(std::nullopt);
    } else if (field.find('\\') == std::string_view::npos) {
      values.emplace_back(field);
    } else {
      if (!Unescape(field, &storage->emplace_back())) {
        return Status(Code::kCorrupt, "COPY row: column " + std::to_string(values.size() + 1) +
                                          " ends in a backslash");
      }
      values.emplace_back(storage->back());
    }
    if (end == line.size()) return values;
    line.remove_prefix(end + 1);
  }
}

}  // namespace kembar::postgres
