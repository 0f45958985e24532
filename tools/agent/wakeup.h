// wakeup.h — how other threads wake one that waits in poll: acknowledgements, signals.
//
// Thread-safety: Wake and Stop from any thread, also from signal handling threads; Drain and Wait
// by the one that waits.
#pragma once

#include <atomic>

namespace kembar::agent {

class Wakeup {
 public:
  Wakeup();
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  void Wake();
  // Wakes for good: the program is to end.
  void Stop();
  bool stopping() const { return stopping_; }
  // An audit is asked for now (SIGUSR1).
  void AskAudit();
  bool TakeAudit() { return audit_.exchange(false); }

  // Readable after Wake, until Drain.
  int fd() const { return fd_; }
  void Drain();
  // Waits for Wake or so long; then drains.
  void Wait(int timeout_ms);

 private:
  int fd_ = -1;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> audit_ = false;
};

}  // namespace kembar::agent
