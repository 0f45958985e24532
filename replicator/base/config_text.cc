// config_text.cc — see config_text.h.
#include "replicator/base/config_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace kembar {
namespace {

// Longer words are near to no key, and the distance costs the product of both lengths.
constexpr size_t kWordBytesMax = 200;
constexpr std::array<std::string_view, 6> kUnits = {"", "KiB", "MiB", "GiB", "TiB", "PiB"};

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  size_t distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    if (word.size() > kWordBytesMax || candidate.size() > kWordBytesMax) continue;
    if (const size_t d = EditDistance(word, candidate); d < distance) {
      distance = d;
      best = candidate;
    }
  }
  if (!best.empty()) return "did you mean " + std::string(best) + "?";
  std::string all = "known here:";
  for (const std::string_view candidate : known) all += " " + std::string(candidate);
  return all;
}

std::optional<int> ParseMinuteOfDay(std::string_view text) {
  const auto digit = [text](size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  if (text.size() != 5 || text[2] != ':' || !digit(0) || !digit(1) || !digit(3) || !digit(4)) {
    return std::nullopt;
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (hour > 23 || minute > 59) return std::nullopt;
  return hour * 60 + minute;
}

std::string MinuteText(int minute) {
  const auto two = [](int n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  return two(minute / 60) + ":" + two(minute % 60);
}

std::optional<int64_t> ParseSize(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  const auto* at = std::find(kUnits.begin(), kUnits.end(), unit);
  if (at == kUnits.end()) return std::nullopt;
  const auto shift = static_cast<unsigned>(10 * (at - kUnits.begin()));
  if (number > (static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) >> shift)) {
    return std::nullopt;
  }
  return static_cast<int64_t>(number << shift);
}

std::string SizeText(uint64_t bytes) {
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + std::string(kUnits[unit]);
}

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

Result<HostPort> ParseHostPort(std::string_view text) {
  const auto bad = [text](const std::string& why) {
    return Status(Code::kInvalid, Quoted(text) + " is not HOST:PORT: " + why);
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address stands in brackets, [::1]:7401");
  }
  if (host.empty()) return bad("no host");
  if (host.find_first_of(" \t/[]\"") != std::string_view::npos) return bad("odd host");
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return bad("the port is a number, 0 to 65535");
  }
  return HostPort{std::string(host), number};
}

bool IsWildcard(std::string_view host) { return host == "0.0.0.0" || host == "::" || host == "*"; }

std::string JoinHostPort(std::string_view host, uint16_t port) {
  const bool brackets = host.find(':') != std::string_view::npos;
  return (brackets ? "[" : "") + std::string(host) + (brackets ? "]:" : ":") + std::to_string(port);
}

}  // namespace kembar
