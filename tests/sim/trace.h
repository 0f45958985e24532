// trace.h — what happened in a run: always as a hash (two runs of one seed must agree), and as
// readable lines when somebody will read them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace kembar::sim {

class Trace {
 public:
  // Keeps the last `lines_max` lines; 0: none, the hash only.
  explicit Trace(size_t lines_max) : lines_max_(lines_max) {}

  bool wanted() const { return lines_max_ > 0 || sink_ != nullptr; }
  void set_sink(std::function<void(const std::string&)> sink) { sink_ = std::move(sink); }

  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001b3ULL + (hash_ >> 29); }
  void Mix(std::string_view text) {
    for (char c : text) Mix(static_cast<uint64_t>(static_cast<unsigned char>(c)));
  }
  // Only when wanted(): the line is for people and does not enter the hash.
  void Line(int64_t time_us, const std::string& text);

  uint64_t hash() const { return hash_; }
  const std::deque<std::string>& lines() const { return lines_; }

 private:
  const size_t lines_max_;
  uint64_t hash_ = 0xcbf29ce484222325ULL;
  std::deque<std::string> lines_;
  std::function<void(const std::string&)> sink_;
};

// Thrown by a checker (and by a failed CHECK of the code under test): the run has failed.
struct Violation {
  std::string what;
};

}  // namespace kembar::sim
