// cmd_compare_documents.cc — `compare documents`: a directory beside the documents of the log.
#include <CLI/CLI.hpp>

#include <map>
#include <set>

#include "tools/documents/fetch.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/cut.h"
#include "tools/kembarctl/restore_common.h"

namespace kembar::ctl {
namespace {

using documents::FileFinding;
using documents::FileState;

struct CompareDocumentsOptions : DocumentsOptions {
  std::string dir;
};

const char* StateText(FileState state) {
  switch (state) {
    case FileState::kIdentical: return "identical";
    case FileState::kDiffers: return "differs";
    case FileState::kMissing: return "missing";
    case FileState::kExtra: return "extra";
  }
  return "?";
}

struct PackageFindings {
  std::map<FileState, std::vector<FileFinding>> files;

  size_t Count(FileState state) const {
    const auto at = files.find(state);
    return at == files.end() ? 0 : at->second.size();
  }
  // A package of which nothing is there is missing; one that only has more than it should is extra.
  FileState state() const {
    if (Count(FileState::kMissing) > 0 && files.size() == 1) return FileState::kMissing;
    if (Count(FileState::kMissing) + Count(FileState::kDiffers) > 0) return FileState::kDiffers;
    return Count(FileState::kExtra) > 0 ? FileState::kExtra : FileState::kIdentical;
  }
};

Json PackageFindingJson(const std::string& package, const PackageFindings& findings) {
  Json files = Json::array();
  for (const auto& [state, list] : findings.files) {
    if (state == FileState::kIdentical) continue;
    for (const FileFinding& file : list) {
      files.push_back(
          {{"path", JsonPath(file.path)}, {"state", StateText(state)}, {"what", file.what}});
    }
  }
  return {{"package", package}, {"documents", std::move(files)}};
}

Json ReportJson(const std::map<std::string, PackageFindings>& packages) {
  Json json = {{"identical", 0},
               {"differing", Json::array()},
               {"missing", Json::array()},
               {"extra", Json::array()}};
  uint64_t identical = 0;
  std::map<FileState, uint64_t> counts;
  for (const auto& [package, findings] : packages) {
    for (const auto& [state, list] : findings.files) counts[state] += list.size();
    switch (findings.state()) {
      case FileState::kIdentical: ++identical; break;
      case FileState::kDiffers:
        json["differing"].push_back(PackageFindingJson(package, findings));
        break;
      case FileState::kMissing:
        json["missing"].push_back(PackageFindingJson(package, findings));
        break;
      case FileState::kExtra: json["extra"].push_back(PackageFindingJson(package, findings)); break;
    }
  }
  json["identical"] = identical;
  json["documents"] = {{"identical", counts[FileState::kIdentical]},
                       {"differing", counts[FileState::kDiffers]},
                       {"missing", counts[FileState::kMissing]},
                       {"extra", counts[FileState::kExtra]}};
  return json;
}

// A restore brings the referenced back for the rows' sake; where they are not, nothing is missing.
// Of what the log has a record that cannot be read, no file can be equal, and none is extra.
void Judge(const DocumentsOfMoment& found, std::vector<FileFinding>* findings) {
  std::set<std::string> may_lack;
  std::set<std::string> unreadable;
  for (const auto& placed : found.referenced.documents) may_lack.insert(placed.document.path);
  for (const documents::Trouble& trouble : found.unreadable) unreadable.insert(trouble.path);
  std::erase_if(*findings, [&](const FileFinding& finding) {
    return (finding.state == FileState::kMissing && may_lack.contains(finding.path)) ||
           (finding.state == FileState::kExtra && unreadable.contains(finding.path));
  });
  for (const documents::Trouble& trouble : found.unreadable) {
    findings->push_back({trouble.package, trouble.path, FileState::kMissing, trouble.why});
  }
}

Outcome RunCompareDocuments(Context* context, const CompareDocumentsOptions& options) {
  ASSIGN_OR_RETURN(const DocumentsOfMoment found, ListDocumentsOfMoment(context, options));
  LazyBar bar("compare documents");
  Result<std::vector<FileFinding>> findings = documents::CompareDocuments(
      found.documents, options.dir, options.packages.empty(), bar.Updater());
  bar.Finish();
  if (!findings.ok()) return findings.status().Prepend("compare documents");
  Judge(found, &*findings);
  std::map<std::string, PackageFindings> packages;
  Table table({{"PACKAGE"}, {"STATE"}, {"DOCUMENT"}, {"WHAT"}});
  bool same = true;
  for (const FileFinding& finding : *findings) {
    packages[finding.package].files[finding.state].push_back(finding);
    if (finding.state == FileState::kIdentical) continue;
    same = false;
    table.AddRow({Printable(finding.package), StateText(finding.state), Printable(finding.path),
                  finding.what});
  }
  const Json json = ReportJson(packages);
  if (context->json()) {
    PrintLine(Dump(json));
  } else {
    if (!table.empty()) Print(table.Render({.width = TerminalWidth(), .color = UseColor()}));
    const Json& counts = json["documents"];
    PrintLine("documents: " + FormatCount(counts["identical"].get<uint64_t>()) + " identical, " +
              FormatCount(counts["differing"].get<uint64_t>()) + " differing, " +
              FormatCount(counts["missing"].get<uint64_t>()) + " missing, " +
              FormatCount(counts["extra"].get<uint64_t>()) + " extra");
  }
  return same ? kExitOk : kExitFailed;
}

}  // namespace

void AddCompareDocuments(CLI::App* parent, Context* context) {
  auto options = std::make_shared<CompareDocumentsOptions>();
  CLI::App* command = parent->add_subcommand(
      "documents", "A directory: identical, differing, missing, extra, by package");
  command->add_option("--dir", options->dir, "The directory to look at")->required();
  command->add_option("--package", options->packages,
                      "Only the documents of these packages; - has those of no package");
  command->add_option("--as-of", options->as_of,
                      "As the log was at this index or time, such as 2019-07-08T12:00:00+07:00,\n"
                      "or at the newest cut at which all documents were there: cut");
  command->add_option("--source", options->source,
                      "Of several captured databases: whose cut, such as postgres/spse");
  command->add_option("--at", options->at, "The node to ask (default: the primary)");
  command->callback([context, options] {
    context->run = [context, options] { return RunCompareDocuments(context, *options); };
  });
}

}  // namespace kembar::ctl
