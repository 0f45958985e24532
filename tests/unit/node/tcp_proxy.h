// tcp_proxy.h — a TCP line between two ports of this machine that can go silent: connections stay
// open and nothing passes, as when a cable is cut behind a switch.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace kembar::testing {

inline sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// Listens on a port that the kernel chooses.
inline int ListenAnywhere(int* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  listen(fd, 16);
  *port = ntohs(address.sin_port);
  return fd;
}

inline int FreePort() {
  int port = 0;
  close(ListenAnywhere(&port));
  return port;
}

class TcpProxy {
 public:
  explicit TcpProxy(int target) : target_(target), listener_(ListenAnywhere(&port_)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~TcpProxy() {
    stopping_ = true;
    thread_.join();
    for (const auto& [a, b] : pairs_) {
      close(a);
      close(b);
    }
    close(listener_);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void silent(bool silent) { silent_ = silent; }

 private:
  void Run() {
    while (!stopping_) {
      std::vector<pollfd> polls = {{listener_, POLLIN, 0}};
      if (!silent_) {
        for (const auto& [a, b] : pairs_) {
          polls.push_back({a, POLLIN, 0});
          polls.push_back({b, POLLIN, 0});
        }
      }
      poll(polls.data(), polls.size(), 10);
      if ((polls[0].revents & POLLIN) != 0) Accept();
      for (size_t i = 1; i + 1 < polls.size() && !silent_; i += 2) {
        const bool fine = Pass(polls[i], polls[i + 1].fd) && Pass(polls[i + 1], polls[i].fd);
        if (fine) continue;
        const std::pair dead(polls[i].fd, polls[i + 1].fd);
        close(dead.first);
        close(dead.second);
        pairs_.remove(dead);
      }
    }
  }
  void Accept() {
    const int a = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(target_);
    if (a >= 0 && connect(b, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      pairs_.emplace_back(a, b);
      return;
    }
    close(a);
    close(b);
  }
  static bool Pass(const pollfd& from, int to) {
    if (from.revents == 0) return true;
    std::array<char, 65536> buffer;
    const ssize_t got = read(from.fd, buffer.data(), buffer.size());
    if (got <= 0) return false;
    for (ssize_t sent = 0; sent < got;) {
      const ssize_t n =
          send(to, buffer.data() + sent, static_cast<size_t>(got - sent), MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += n;
    }
    return true;
  }

  const int target_;
  int port_ = 0;
  const int listener_;
  std::atomic<bool> stopping_{false}, silent_{false};
  std::list<std::pair<int, int>> pairs_;  // the thread's
  std::thread thread_;
};

}  // namespace kembar::testing
