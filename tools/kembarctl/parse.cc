// parse.cc — see parse.h.
#include "tools/kembarctl/parse.h"

#include <charconv>

#include "tools/kembarctl/format.h"

namespace kembar::ctl {

Result<Member> ParseMember(std::string_view text) {
  const size_t equals = text.find('=');
  const size_t colon = text.rfind(':');
  const bool good = equals != std::string_view::npos && equals > 0 &&
                    colon != std::string_view::npos && colon > equals + 1 &&
                    colon + 1 < text.size() && text.find_first_of(" \t,") == text.npos;
  unsigned port = 0;
  if (good) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error != std::errc() || stop != end) port = 0;
  }
  if (port == 0 || port > 65'535) {
    return Status(Code::kInvalid, "\"" + std::string(text) + "\" is not NAME=HOST:PORT",
                  "for example tebo=10.1.2.3:7301");
  }
  return Member{.name = std::string(text.substr(0, equals)),
                .address = std::string(text.substr(equals + 1))};
}

Result<v1::AsOf> ParseAsOf(const std::string& text) {
  v1::AsOf as_of;
  if (text.empty()) return as_of;
  if (text.find_first_not_of("0123456789") == std::string::npos) {
    uint64_t index = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || index == 0) {
      return Status(Code::kInvalid, "--as-of " + text + " is not an index");
    }
    as_of.set_index(index);
    return as_of;
  }
  ASSIGN_OR_RETURN(const int64_t time_us, ParseTime(text));
  as_of.set_time_us(time_us);
  return as_of;
}

}  // namespace kembar::ctl
