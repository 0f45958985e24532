// import_plan.h — which rows of a file a log lacks.
//
// Rows of one item are versions, in file order. What the log holds already is found by alignment:
// as many first rows of the item as equal, in order, its last versions in the log are unchanged;
// the rest is appended. So a file that was imported before appends nothing, in part or whole, also
// when its rows repeat an item; and a row that returns to an earlier content is a version again.
//
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "replicator/base/digest.h"
#include "tools/import/import.h"

namespace kembar::ctl {

// (package, item) to the hashes of its versions' payloads, oldest first. A deletion is the zero
// hash.
using KnownVersions = std::map<std::pair<std::string, std::string>, std::vector<Digest>>;

struct ImportPlan {
  std::vector<size_t> append;  // indices into ImportFile::drafts, in file order
  uint64_t unchanged = 0;
};

// Rows up to `done_position` were appended or found unchanged by an earlier run with this same
// file. What the plan appends is added to `known`, so that the next file is compared with it.
ImportPlan PlanImport(const import::ImportFile& file, uint64_t done_position, KnownVersions* known);

// How many versions of an item may be needed to align this file: its most repeated item.
uint32_t VersionsNeeded(const import::ImportFile& file);

// The longest common beginning of all package names, to narrow what is asked of the node.
std::string CommonPackagePrefix(const std::vector<import::ImportFile>& files);

// "import/<format>/<first 32 hex digits of the file's SHA-256>": the same file is the same source.
std::string ImportSource(const std::string& format, const import::ImportFile& file);

}  // namespace kembar::ctl
