// json_text.h — the one way in which this directory writes JSON texts: canonical, escaping only
// what JSON says must be escaped.
//
// Pure function; internal to tools/capture.
#pragma once

#include <string>
#include <string_view>

namespace kembar::capture {

// Appends `text` in quotes. Bytes above 127 pass as they are.
void AppendJsonText(std::string_view text, std::string* out);

}  // namespace kembar::capture
