// resolve.cc — see resolve.h.
#include "node/rpc/resolve.h"

#include <algorithm>
#include <vector>

namespace kembar {

Result<std::string> ResolveLog(const Engine& engine, const std::string& asked) {
  const std::vector<std::string> logs = engine.Logs();
  if (asked.empty() && logs.size() == 1) return logs.front();
  std::string known;
  for (const std::string& log : logs) known += (known.empty() ? "" : ", ") + log;
  if (asked.empty() && logs.empty()) {
    return Status(Code::kNotFound, "this node holds no log yet");
  }
  if (asked.empty()) {
    return Status(Code::kInvalid, "log: must be named, this node holds several: " + known);
  }
  if (std::find(logs.begin(), logs.end(), asked) == logs.end()) {
    return Status(Code::kNotFound, "this node does not hold log " + asked,
                  known.empty() ? "it holds no log yet" : "it holds: " + known);
  }
  return asked;
}

}  // namespace kembar
