// rebuild.cc — see rebuild.h.
#include "node/rebuild.h"

#include <array>
#include <ctime>

#include "node/store/rocks_store.h"

namespace kembar {

std::string DamagedName(const std::string& data, int64_t wall_s) {
  const std::time_t time = wall_s;
  std::tm parts{};
  localtime_r(&time, &parts);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), "%Y%m%d-%H%M%S", &parts);
  std::string name = data;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name + ".damaged-" + stamp.data();
}

Result<std::string> SetDataAside(const NodeConfig& config, int64_t wall_s) {
  if (config.peers.empty()) {
    return Status(Code::kInvalid,
                  config.file + " names no [[peer]]: there is nobody to fetch the data from",
                  "add the other site; without one this directory is all there is");
  }
  std::string dir = config.data;
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  const std::string to = DamagedName(dir, wall_s);
  RETURN_IF_ERROR(RocksStore::MoveAside(dir, to).Prepend("--rebuild"));
  return to;
}

}  // namespace kembar
