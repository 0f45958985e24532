// config_text.h — the small notations of a configuration: sizes, addresses, quoted text, and the
// guess at what a misspelt word was meant to be.
//
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar {

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;
};
// "HOST:PORT", "[IPv6]:PORT". kInvalid says what is wrong with it.
Result<HostPort> ParseHostPort(std::string_view text);
std::string JoinHostPort(std::string_view host, uint16_t port);
// Whether a server that listens there is reached under no single address ("0.0.0.0", "::").
bool IsWildcard(std::string_view host);

// "07:00" as minutes of the day, 00:00 to 23:59.
std::optional<int> ParseMinuteOfDay(std::string_view text);
std::string MinuteText(int minute);

// "512MiB" as bytes; units KiB to PiB, or none.
std::optional<int64_t> ParseSize(std::string_view text);
// The same back, in the largest unit that loses nothing.
std::string SizeText(uint64_t bytes);

// As TOML writes a string.
std::string Quoted(std::string_view text);

// "did you mean NAME?" for the nearest of `known` when it is near enough, else all of them.
std::string DidYouMean(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace kembar
