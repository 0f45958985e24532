// decimal.cc — see decimal.h.
#include "replicator/base/decimal.h"

#include <algorithm>

namespace kembar {

bool IsDecimal(std::string_view text) {
  auto take_digits = [&text] {
    size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count > 0;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  if (!take_digits()) return false;
  if (text.empty()) return true;
  if (text.front() != '.') return false;
  text.remove_prefix(1);
  return take_digits() && text.empty();
}

}  // namespace kembar
