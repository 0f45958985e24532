// percent.cc — see percent.h.
#include "tools/capture/percent.h"

#include <algorithm>

#include "tools/capture/utf8.h"

namespace kembar::capture {
namespace {

constexpr char kPercentDigits[] = "0123456789ABCDEF";

bool IsPlain(char c, std::string_view also_plain) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || also_plain.find(c) != std::string_view::npos;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string PercentEncode(std::string_view text, std::string_view also_plain) {
  std::string out;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    const bool raw = length == 1 ? IsPlain(text.front(), also_plain)
                                 : length > 1 && !IsControlCharacter(character);
    if (raw) {
      out.append(character);
    } else {
      for (const char c : character) {
        const auto byte = static_cast<unsigned char>(c);
        out.push_back('%');
        out.push_back(kPercentDigits[byte >> 4]);
        out.push_back(kPercentDigits[byte & 0xf]);
      }
    }
    text.remove_prefix(character.size());
  }
  return out;
}

std::optional<std::string> PercentDecode(std::string_view text, std::string_view also_plain) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  if (PercentEncode(out, also_plain) != text) return std::nullopt;
  return out;
}

}  // namespace kembar::capture
