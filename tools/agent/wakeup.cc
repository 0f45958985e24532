// wakeup.cc — see wakeup.h.
#include "tools/agent/wakeup.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "replicator/base/check.h"

namespace kembar::agent {

Wakeup::Wakeup() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { CHECK(fd_ >= 0); }

Wakeup::~Wakeup() { ::close(fd_); }

void Wakeup::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the fd is readable anyway.
  (void)!::write(fd_, &one, sizeof one);
}

void Wakeup::Stop() {
  stopping_ = true;
  Wake();
}

void Wakeup::AskAudit() {
  audit_ = true;
  Wake();
}

void Wakeup::Drain() {
  uint64_t count = 0;
  (void)!::read(fd_, &count, sizeof count);  // nothing there: nothing to take
}

void Wakeup::Wait(int timeout_ms) {
  pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
  (void)::poll(&waiting, 1, timeout_ms);  // woken, timed out or interrupted: the caller looks again
  Drain();
}

}  // namespace kembar::agent
