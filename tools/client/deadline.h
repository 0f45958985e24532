// deadline.h — how long a tool keeps trying, and how it waits between attempts.
//
// Value types over the monotonic clock. Not shared between threads.
#pragma once

#include <chrono>
#include <cstdint>

namespace grpc {
class ClientContext;
}

namespace kembar::client {

using Millis = std::chrono::milliseconds;

// A point in time after which nothing is tried any more.
class Deadline {
 public:
  static Deadline After(Millis wait);
  static Deadline Never();

  bool expired() const { return remaining() <= Millis(0); }
  // Zero or less once it has passed; a year for Never().
  Millis remaining() const;
  // The earlier of this and `wait` from now.
  Deadline Within(Millis wait) const;
  std::chrono::steady_clock::time_point when() const { return when_; }
  void ApplyTo(grpc::ClientContext* context) const;

 private:
  explicit Deadline(std::chrono::steady_clock::time_point when) : when_(when) {}
  std::chrono::steady_clock::time_point when_;
};

// Growing waits with jitter, so that clients which failed together do not return together.
class Backoff {
 public:
  explicit Backoff(Millis first = Millis(20), Millis longest = Millis(500));

  // Waits once. False, without waiting, when the deadline has passed; never waits beyond it.
  bool Wait(const Deadline& deadline);
  void Reset() { next_ = first_; }

 private:
  const Millis first_;
  const Millis longest_;
  Millis next_;
};

}  // namespace kembar::client
