// decimal.h — amounts as a record's value states them: exact decimal text, never floating point.
//
// Pure.
#pragma once

#include <string_view>

namespace kembar {

// -?digits[.digits], nothing else: "999995334.78".
bool IsDecimal(std::string_view text);

}  // namespace kembar
