// audit_documents.cc — see audit_documents.h.
#include "tools/kembarctl/audit_documents.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "tools/capture/mapping.h"
#include "tools/capture/names.h"
#include "tools/capture/path.h"
#include "tools/kembarctl/format.h"
#include "tools/kembarctl/restore_common.h"

namespace kembar::ctl {
namespace {

Result<std::string> OnlySource(client::NodeStubs* node, const std::string& log) {
  ASSIGN_OR_RETURN(const std::set<std::string> sources, CapturedDirectories(node, log));
  if (sources.size() == 1) return *sources.begin();
  if (sources.empty()) {
    return Status(Code::kNotFound, "the log holds no documents of an agent",
                  "kembar-agent with [documents] captures a directory");
  }
  std::string names;
  for (const std::string& source : sources) names += (names.empty() ? "" : ", ") + source;
  return Status(Code::kInvalid, "the log holds several sources of documents: " + names,
                "say which one: --source " + *sources.begin());
}

// The log tells to which package a path belongs, where it holds a mapping with patterns.
Result<std::vector<capture::Mapping>> Mappings(const std::shared_ptr<client::NodeStubs>& node,
                                               const std::string& log) {
  std::vector<capture::Mapping> mappings;
  const restore::ItemQuery query{
      .package = "-", .item_prefix = capture::MappingItem({}), .with_payload = true};
  restore::NodeLog reader(node, log);
  RETURN_IF_ERROR(reader.List(query, [&mappings](const restore::Version& version) {
    if (version.deleted) return Status::Ok();
    Result<capture::Mapping> mapping = capture::Mapping::Parse(version.payload, version.item);
    // One of a newer agent may not be understood; it is only for showing.
    if (mapping.ok()) mappings.push_back(*std::move(mapping));
    return Status::Ok();
  }));
  return mappings;
}

void PlaceMissing(const std::vector<capture::Mapping>& mappings, documents::AuditReport* report) {
  for (documents::AuditTrouble& trouble : report->troubles) {
    if (trouble.kind != documents::AuditTrouble::Kind::kMissing) continue;
    for (const capture::Mapping& mapping : mappings) {
      trouble.package = mapping.PackageOfDocument(trouble.path).value_or(trouble.package);
    }
  }
}

Result<documents::AuditOptions> Excluding(const std::vector<std::string>& texts) {
  std::vector<capture::PathPattern> patterns;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(capture::PathPattern pattern, capture::PathPattern::Parse(text));
    patterns.push_back(std::move(pattern));
  }
  documents::AuditOptions options;
  options.skip = [patterns = std::move(patterns)](const std::string& path) {
    return std::any_of(
        patterns.begin(), patterns.end(),
        [&path](const capture::PathPattern& pattern) { return pattern.Matches(path, nullptr); });
  };
  return options;
}

}  // namespace

// By the documents themselves: a log keeps no list of its sources, and the canary may be off.
Result<std::set<std::string>> CapturedDirectories(client::NodeStubs* node, const std::string& log) {
  ASSIGN_OR_RETURN(const auto list, documents::ListDocuments(node, log, v1::AsOf(), {}));
  std::set<std::string> sources;
  for (const documents::PlacedDocument& placed : list) {
    const std::string& source = placed.document.source;
    if (source.starts_with(documents::kDocumentsSources)) sources.insert(source);
  }
  return sources;
}

Result<DirectoryAudit> AuditDirectory(Context* context, const DirectoryAuditOptions& options) {
  ASSIGN_OR_RETURN(const documents::AuditOptions audit_options, Excluding(options.exclude));
  ASSIGN_OR_RETURN(const std::string log, context->Log());
  ASSIGN_OR_RETURN(const auto node, context->Reader(options.at));
  ASSIGN_OR_RETURN(const documents::Tree tree, documents::Tree::Open(options.dir));
  DirectoryAudit audit;
  audit.source = options.source;
  if (audit.source.empty()) {
    ASSIGN_OR_RETURN(audit.source, OnlySource(node.get(), log));
  }
  const auto list = [&]() -> Result<std::vector<documents::PlacedDocument>> {
    auto listed = documents::ListDocumentsOf(node.get(), log, v1::AsOf(), audit.source, {});
    if (!listed.ok()) return listed.status();
    for (const auto& placed : *listed) audit.index = std::max(audit.index, placed.index);
    return listed;
  };
  LazyBar bar("audit documents");
  auto report = documents::AuditDocuments(tree, list, audit_options, bar.Updater(), {});
  bar.Finish();
  RETURN_IF_ERROR(report.status());
  audit.report = *std::move(report);
  ASSIGN_OR_RETURN(const std::vector<capture::Mapping> mappings, Mappings(node, log));
  PlaceMissing(mappings, &audit.report);
  return audit;
}

void MergeFiles(const Json& files, Json* all) {
  for (const auto& [key, value] : files.items()) {
    Json& sum = (*all)[key];
    if (sum.is_number_unsigned() && value.is_number_unsigned()) {
      sum = sum.get<uint64_t>() + value.get<uint64_t>();
    } else if (sum.is_array() && value.is_array()) {
      sum.insert(sum.end(), value.begin(), value.end());
    } else if (sum.is_boolean() && value.is_boolean()) {
      sum = sum.get<bool>() && value.get<bool>();
    } else {
      sum = value;
    }
  }
  if (!SaysYes(files, "equal")) (*all)["equal"] = false;
}

void PrintFiles(const Json& files) {
  if (!files.is_object() || files.empty()) return;
  std::multimap<std::string, const Json*> by_package;
  const auto troubles = files.find("troubles");
  if (troubles != files.end() && troubles->is_array()) {
    for (const Json& trouble : *troubles) by_package.emplace(TextOf(trouble, "package"), &trouble);
  }
  Table table({{"PACKAGE"}, {"DOCUMENT"}, {"WHAT"}});
  for (const auto& [package, trouble] : by_package) {
    table.AddRow({Printable(package), Printable(TextOf(*trouble, "path")),
                  Printable(TextOf(*trouble, "what"))});
  }
  if (!table.empty()) Print(table.Render({.width = TerminalWidth(), .color = UseColor()}));
  PrintLine("files: " + CountOf(files, "files") + ", " + CountOf(files, "missing") + " missing, " +
            CountOf(files, "extra") + " extra, " + CountOf(files, "differing") + " differing, " +
            CountOf(files, "unsettled") +
            " unsettled; equal: " + (SaysYes(files, "equal") ? "yes" : "NO"));
}

std::string TextOf(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : "?";
}

std::string CountOf(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_number_unsigned() ? FormatCount(at->get<uint64_t>()) : "?";
}

bool SaysYes(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_boolean() && at->get<bool>();
}

}  // namespace kembar::ctl
