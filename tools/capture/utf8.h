// utf8.h — what this directory must know of UTF-8: where a character ends, and which characters the
// log refuses in names (the rules of replicator/log/record.cc, which this layer may not include).
//
// Pure functions; internal to tools/capture.
#pragma once

#include <cstddef>
#include <string_view>

namespace kembar::capture {

// Length of the well-formed sequence that `text` (not empty) begins with; 0 if there is none
// (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
size_t Utf8Length(std::string_view text);

// U+0000–001F, U+007F, U+0080–009F; `character` is one well-formed sequence.
bool IsControlCharacter(std::string_view character);

}  // namespace kembar::capture
