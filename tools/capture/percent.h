// percent.h — percent-encoding of names and paths, so that what a log refuses in an item's name can
// be written there and every name has one spelling (RFC 3986, section 2.1; upper-case digits).
//
// Letters, digits, '_', '-' and well-formed characters above U+007F that are no control characters
// stand for themselves; the rest, and bytes that are not UTF-8, is %XX.
//
// Thread-safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kembar::capture {

// `also_plain`: further ASCII characters that stand for themselves.
std::string PercentEncode(std::string_view text, std::string_view also_plain);
// Only what PercentEncode gives is taken.
std::optional<std::string> PercentDecode(std::string_view text, std::string_view also_plain);

}  // namespace kembar::capture
