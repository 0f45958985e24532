// audit_documents.h — the part of `audit` that is about documents: an audit of a living directory
// made now, and how the files of audits are shown.
//
// Thread-safety: none; kembarctl runs one command on one thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tools/documents/audit.h"
#include "tools/kembarctl/context.h"
#include "tools/kembarctl/json.h"

namespace kembar::ctl {

// The sources that have living documents in the log: each should have an audit.
Result<std::set<std::string>> CapturedDirectories(client::NodeStubs* node, const std::string& log);

struct DirectoryAuditOptions {
  std::string dir;
  std::string source;                // "documents/NAME"; empty: the only one of the log
  std::string at;                    // the node to read from; empty: the primary
  std::vector<std::string> exclude;  // patterns that the agent leaves out
};
struct DirectoryAudit {
  std::string source;
  uint64_t index = 0;  // of the newest document's record
  documents::AuditReport report;
};
// Reads every file below `dir`. kNotFound, kInvalid: no source, or several.
Result<DirectoryAudit> AuditDirectory(Context* context, const DirectoryAuditOptions& options);

// Adds the "files" of one audit to those of others: sums, and all troubles. Equal only if all say
// that they are.
void MergeFiles(const Json& files, Json* all);
// For people: the troubles by package, then one line of counts. Nothing when there is no "files".
void PrintFiles(const Json& files);

// Of an audit's payload, which may be anything: "?" where there is no such text or count.
std::string TextOf(const Json& json, const char* key);
std::string CountOf(const Json& json, const char* key);
bool SaysYes(const Json& json, const char* key);

}  // namespace kembar::ctl
