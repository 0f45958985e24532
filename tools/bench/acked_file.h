// acked_file.h — what was acknowledged, kept where a kill of this program does not reach it.
//
// Each line is one write(2): it is in the kernel when Add returns. Not fsynced: the machine goes
// on.
//
// Thread-safety: Add from many threads.
#pragma once

#include <cstdint>
#include <string>

#include "replicator/base/status.h"

namespace kembar::bench {

class AckedFile {
 public:
  AckedFile() = default;
  ~AckedFile();
  AckedFile(const AckedFile&) = delete;
  AckedFile& operator=(const AckedFile&) = delete;

  // Appends to `path`. Without Open, Add does nothing.
  Status Open(const std::string& path);
  bool is_open() const { return fd_ >= 0; }
  // "SOURCE POSITION INDEX SHA256"
  void Add(const std::string& source, uint64_t position, uint64_t index,
           const std::string& payload);

 private:
  int fd_ = -1;
};

}  // namespace kembar::bench
