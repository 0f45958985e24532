// restore_common.h — what the commands about databases share: progress, and how boundaries, tables
// and rows look as JSON.
//
// Thread-safety: none; kembarctl runs one command on one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tools/kembarctl/context.h"
#include "tools/kembarctl/format.h"
#include "tools/kembarctl/json.h"
#include "tools/restore/boundary.h"
#include "tools/restore/compare.h"
#include "tools/restore/log_reader.h"

namespace CLI {
class App;
}

namespace kembar::ctl {

// Options that restore, compare and audit have in common.
struct DatabaseOptions {
  std::string dsn;
  std::string as_of;
  std::string source;
  std::string at;
  std::vector<std::string> packages;
};
void AddSourceOptions(CLI::App* command, DatabaseOptions* options);

// The log, read at the node the operator names or the best there is.
Result<std::unique_ptr<restore::LogReader>> OpenLog(Context* context, const std::string& at);

// A bar that appears with the first progress, when the total is known.
class LazyBar {
 public:
  explicit LazyBar(std::string label) : label_(std::move(label)) {}
  restore::OnProgress Updater() {
    return [this](uint64_t done, uint64_t total) {
      if (!bar_) bar_.emplace(label_, total);
      bar_->Update(done);
    };
  }
  void Finish() {
    if (bar_) bar_->Finish();
  }

 private:
  const std::string label_;
  std::optional<ProgressBar> bar_;
};

// Sets "as_of", "source", "boundary_lsn" and "boundary_time".
void SetBoundary(const restore::Boundary& boundary, Json* json);
// "record 812, 0/16B3748, 2026-11-24 20:14:10 WIB".
std::string BoundaryText(const restore::Boundary& boundary);

}  // namespace kembar::ctl
