// scanner.h — finds where one JSON value ends, byte for byte, without building anything.
//
// It knows enough grammar (strings and escapes, nesting, the order of keys, colons and commas) to
// notice a broken row close to the place where it breaks, so that the rows behind it can be saved.
// It does not judge numbers, literals, escapes or UTF-8: the JSON parser does, on the exact slice.
//
// Never recursive; memory is one byte a nesting level. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "replicator/base/status.h"

namespace kembar::import {

struct Scan {
  bool ok = false;
  size_t end = 0;  // one past the value

  // When not ok:
  size_t at = 0;        // the byte that does not fit
  size_t token = 0;     // where the token before it begins; an unclosed quote began there at latest
  std::string why;      // "unexpected 'x'"
  bool at_end = false;  // the input ended inside the value
  bool in_string = false;  // … and inside a string
};

// First byte at or after `pos` that is not JSON white space, or bytes.size().
size_t SkipSpace(std::string_view bytes, size_t pos);

inline constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Scans the value that begins at or after `pos`.
Scan ScanValue(std::string_view bytes, size_t pos);

// The next token as a person may read it: "'x'", "byte 0x07" or "the end".
std::string DescribeByte(std::string_view bytes, size_t pos);

// A member's key as it is written (escapes kept) and where its value begins. The visitor moves *pos
// past the value.
using MemberVisitor = std::function<Status(std::string_view key, size_t* pos)>;

// Walks the members of the object that opens at *pos and moves *pos past its end. kInvalid with the
// place when the object itself is not well-formed or `visit` fails.
Status WalkObject(std::string_view bytes, size_t* pos, const MemberVisitor& visit);

// Whether the well-formed object at `pos` has a member `key` of its own.
bool HasMember(std::string_view bytes, size_t pos, std::string_view key);

}  // namespace kembar::import
