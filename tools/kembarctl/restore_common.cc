// restore_common.cc — see restore_common.h.
#include "tools/kembarctl/restore_common.h"

#include <CLI/CLI.hpp>

namespace kembar::ctl {

void AddSourceOptions(CLI::App* command, DatabaseOptions* options) {
  command->add_option("--source", options->source,
                      "The captured database, such as postgres/spse (default: the only one)");
  command->add_option("--at", options->at, "The node to read from (default: the primary)");
}

Result<std::unique_ptr<restore::LogReader>> OpenLog(Context* context, const std::string& at) {
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(auto node, context->Reader(at));
  return std::unique_ptr<restore::LogReader>(
      std::make_unique<restore::NodeLog>(std::move(node), log));
}

void SetBoundary(const restore::Boundary& boundary, Json* json) {
  (*json)["source"] = boundary.source;
  (*json)["as_of"] = boundary.index;
  (*json)["boundary_lsn"] = capture::FormatLsn(boundary.marker.lsn);
  (*json)["boundary_time"] = JsonTime(boundary.time_us);
}

std::string BoundaryText(const restore::Boundary& boundary) {
  return "record " + FormatCount(boundary.index) + ", " + capture::FormatLsn(boundary.marker.lsn) +
         ", " + FormatTime(boundary.time_us);
}

}  // namespace kembar::ctl
