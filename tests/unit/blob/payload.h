// payload.h — what documents' records say, for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "replicator/base/bytes.h"
#include "replicator/base/digest.h"

namespace kembar {

inline std::string DocumentPayload(const std::string& path, uint64_t size,
                                   const std::vector<Digest>& chunks) {
  std::string list;
  for (const Digest& chunk : chunks) list += (list.empty() ? "\"" : ",\"") + ToHex(chunk) + "\"";
  return R"({"path":")" + path + R"(","size":)" + std::to_string(size) +
         R"(,"mode":"0640","mtime_ns":"5","sha256":")" + ToHex(Sha256({path})) + R"(","chunks":[)" +
         list + "]}";
}

}  // namespace kembar
