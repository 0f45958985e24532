// check.cc — see check.h.
#include "replicator/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace kembar {

void CheckFailed(std::string_view condition, std::string_view detail, const char* file, int line,
                 const char* function) {
  std::fprintf(stderr, "CHECK failed at %s:%d in %s: %.*s %.*s\n", file, line, function,
               static_cast<int>(condition.size()), condition.data(),
               static_cast<int>(detail.size()), detail.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace kembar
