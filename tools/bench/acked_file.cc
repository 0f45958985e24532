// acked_file.cc — see acked_file.h.
#include "tools/bench/acked_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "replicator/base/check.h"
#include "replicator/base/digest.h"

namespace kembar::bench {

AckedFile::~AckedFile() {
  if (fd_ >= 0) close(fd_);
}

Status AckedFile::Open(const std::string& path) {
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ >= 0) return Status::Ok();
  return Status(Code::kIo, "open " + path + ": " + std::strerror(errno));
}

void AckedFile::Add(const std::string& source, uint64_t position, uint64_t index,
                    const std::string& payload) {
  if (fd_ < 0) return;
  const std::string line = source + " " + std::to_string(position) + " " + std::to_string(index) +
                           " " + ToHex(Sha256({payload})) + "\n";
  // A client that forgets what was acknowledged to it would make a test pass for nothing.
  CHECK_MSG(write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size()),
            "the file of acknowledgements cannot be written");
}

}  // namespace kembar::bench
