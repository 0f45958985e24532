// check.h — CHECK: an invariant that must hold, also in release builds.
//
// A failed CHECK prints the condition and where it stands, and aborts: the process restarts from
// what is durable, which is always a correct state. Operating errors are never CHECKs; they are
// Status values.
#pragma once

#include <string_view>

namespace kembar {

// The defaults give the caller's place; std::source_location is not there in clang 14.
[[noreturn]] void CheckFailed(std::string_view condition, std::string_view detail = {},
                              const char* file = __builtin_FILE(), int line = __builtin_LINE(),
                              const char* function = __builtin_FUNCTION());

}  // namespace kembar

#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::kembar::CheckFailed(#condition))
#define CHECK_MSG(condition, detail) \
  ((condition) ? static_cast<void>(0) : ::kembar::CheckFailed(#condition, (detail)))
