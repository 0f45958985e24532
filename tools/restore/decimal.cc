// decimal.cc — see decimal.h.
#include "tools/restore/decimal.h"

#include <algorithm>

#include "replicator/base/check.h"

namespace kembar::restore {
namespace {

bool AllDigits(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

struct Parts {
  bool negative = false;
  std::string digits;  // without the comma, leading zeros kept
  size_t scale = 0;    // of them behind the comma
};

Parts Split(std::string_view text) {
  CHECK(IsDecimal(text));
  Parts parts;
  if (text.front() == '-' || text.front() == '+') {
    parts.negative = text.front() == '-';
    text.remove_prefix(1);
  }
  const size_t point = std::min(text.find('.'), text.size());
  parts.digits = text.substr(0, point);
  if (point < text.size()) {
    parts.digits += text.substr(point + 1);
    parts.scale = text.size() - point - 1;
  }
  return parts;
}

// Same scale and same length.
void Align(Parts* a, Parts* b) {
  const size_t scale = std::max(a->scale, b->scale);
  for (Parts* parts : {a, b}) {
    parts->digits.append(scale - parts->scale, '0');
    parts->scale = scale;
  }
  const size_t length = std::max(a->digits.size(), b->digits.size());
  for (Parts* parts : {a, b}) parts->digits.insert(0, length - parts->digits.size(), '0');
}

std::string Join(Parts parts) {
  while (parts.digits.size() < parts.scale + 1) parts.digits.insert(0, 1, '0');
  const size_t leading = parts.digits.find_first_not_of('0');
  parts.negative = parts.negative && leading != std::string::npos;
  const size_t whole = parts.digits.size() - parts.scale;
  std::string text = parts.digits.substr(std::min(leading, whole - 1));
  if (parts.scale > 0) text.insert(text.size() - parts.scale, 1, '.');
  return parts.negative ? "-" + text : text;
}

// a + b of equal length.
std::string AddDigits(const std::string& a, const std::string& b) {
  std::string sum(a.size(), '0');
  int carry = 0;
  for (size_t i = a.size(); i-- > 0;) {
    const int digit = (a[i] - '0') + (b[i] - '0') + carry;
    sum[i] = static_cast<char>('0' + digit % 10);
    carry = digit / 10;
  }
  return carry > 0 ? "1" + sum : sum;
}

// a - b of equal length, a >= b.
std::string SubtractDigits(const std::string& a, const std::string& b) {
  std::string difference(a.size(), '0');
  int borrow = 0;
  for (size_t i = a.size(); i-- > 0;) {
    int digit = (a[i] - '0') - (b[i] - '0') - borrow;
    borrow = digit < 0 ? 1 : 0;
    if (digit < 0) digit += 10;
    difference[i] = static_cast<char>('0' + digit);
  }
  return difference;
}

}  // namespace

bool IsDecimal(std::string_view text) {
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  if (whole.empty() || !AllDigits(whole)) return false;
  if (point == std::string_view::npos) return true;
  const std::string_view fraction = text.substr(point + 1);
  return !fraction.empty() && AllDigits(fraction);
}

std::string AddDecimals(std::string_view a, std::string_view b) {
  Parts x = Split(a);
  Parts y = Split(b);
  Align(&x, &y);
  Parts sum{.negative = x.negative, .digits = {}, .scale = x.scale};
  if (x.negative == y.negative) {
    sum.digits = AddDigits(x.digits, y.digits);
  } else if (x.digits >= y.digits) {
    sum.digits = SubtractDigits(x.digits, y.digits);
  } else {
    sum.digits = SubtractDigits(y.digits, x.digits);
    sum.negative = y.negative;
  }
  return Join(std::move(sum));
}

int CompareDecimals(std::string_view a, std::string_view b) {
  Parts x = Split(a);
  Parts y = Split(b);
  Align(&x, &y);
  const bool zero = x.digits.find_first_not_of('0') == std::string::npos &&
                    y.digits.find_first_not_of('0') == std::string::npos;
  if (zero) return 0;
  if (x.negative != y.negative) return x.negative ? -1 : 1;
  const int order = x.digits.compare(y.digits);
  return x.negative ? -order : order;
}

}  // namespace kembar::restore
