// listen_probe.cc — see listen_probe.h.
#include "node/listen_probe.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>

#include "replicator/base/config_text.h"

namespace kembar {
namespace {

Status CannotListen(const std::string& listen, std::string why) {
  why.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(why.front())));
  return {Code::kIo, "cannot listen on " + listen + ": " + why};
}

// The port bound, or 0 with errno set.
uint16_t TryBind(const addrinfo& where) {
  const int fd = ::socket(where.ai_family, where.ai_socktype | SOCK_CLOEXEC, where.ai_protocol);
  if (fd < 0) return 0;
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  auto* address = reinterpret_cast<sockaddr*>(&bound);
  const bool ok = ::bind(fd, where.ai_addr, where.ai_addrlen) == 0 && ::listen(fd, 1) == 0 &&
                  ::getsockname(fd, address, &size) == 0;
  const int error = errno;
  ::close(fd);
  errno = error;
  if (!ok) return 0;
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

Result<uint16_t> ProbeListen(const std::string& listen) {
  ASSIGN_OR_RETURN(const HostPort where, ParseHostPort(listen));
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(where.port);
  if (const int error = ::getaddrinfo(where.host.c_str(), port.c_str(), &hints, &found);
      error != 0) {
    return CannotListen(listen, ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  const uint16_t bound = TryBind(*found);
  if (bound == 0) return CannotListen(listen, std::strerror(errno));
  return bound;
}

}  // namespace kembar
