// deadline.cc — see deadline.h.
#include "tools/client/deadline.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>

namespace kembar::client {
namespace {

constexpr std::chrono::hours kYear{24 * 365};

int64_t RandomBelow(int64_t bound) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(bound - 1, 0))(generator);
}

}  // namespace

Deadline Deadline::After(Millis wait) {
  return Deadline(std::chrono::steady_clock::now() + std::min<Millis>(wait, kYear));
}

Deadline Deadline::Never() { return After(kYear); }

Millis Deadline::remaining() const {
  return std::chrono::ceil<Millis>(when_ - std::chrono::steady_clock::now());
}

Deadline Deadline::Within(Millis wait) const { return After(std::min(wait, remaining())); }

void Deadline::ApplyTo(grpc::ClientContext* context) const {
  context->set_deadline(std::chrono::system_clock::now() + remaining());
}

Backoff::Backoff(Millis first, Millis longest) : first_(first), longest_(longest), next_(first) {}

bool Backoff::Wait(const Deadline& deadline) {
  if (deadline.expired()) return false;
  const Millis jittered = next_ / 2 + Millis(RandomBelow(next_.count()));
  next_ = std::min(next_ * 2, longest_);
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable nobody;
  nobody.wait_until(lock, deadline.Within(jittered).when(), [] { return false; });
  return true;
}

}  // namespace kembar::client
