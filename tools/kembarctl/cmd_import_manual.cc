// cmd_import_manual.cc — `import manual`: procurement done by hand during an outage, with its
// attachments.
#include <CLI/CLI.hpp>

#include <filesystem>
#include <set>

#include "tools/capture/path.h"
#include "tools/client/reader.h"
#include "tools/documents/upload.h"
#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/format.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/manual_log.h"
#include "tools/kembarctl/tables.h"

namespace kembar::ctl {
namespace {

using documents::Document;

struct ManualTotals {
  uint64_t read = 0;
  uint64_t appended = 0;
  uint64_t unchanged = 0;
  uint64_t documents = 0;
  std::vector<import::Reject> rejected;
};

class Importer {
 public:
  Importer(Context* context, client::PrimaryFollower* follower)
      : context_(context),
        follower_(follower),
        uploader_(follower, {.timeout = context->timeout()}, stop_.get_token()) {}

  // What the log holds already.
  Status Load() {
    ASSIGN_OR_RETURN(const auto node, follower_->Get(client::Deadline::After(context_->timeout())));
    ASSIGN_OR_RETURN(known_, ReadManuals(node.get(), follower_->log()));
    v1::ListPackagesRequest packages;
    packages.set_log(follower_->log());
    packages_.clear();
    return client::ListPackages(
        node.get(), packages, client::Deadline::Never(), [this](const v1::Package& package) {
          packages_[package.package()] = {
              .title = package.title(), .value = package.value(), .unit = package.unit()};
          return true;
        });
  }

  // What the log holds and cannot be read. No row depends on it but that of the same contract.
  std::vector<std::string> Warnings() const { return ManualWarnings(known_); }

  // `folder` is the file's.
  Status Import(const import::ManualRecord& record, const std::string& folder,
                const std::string& file, ManualTotals* totals) {
    const ManualKey key = ManualKeyOf(record.package, record.contract_number);
    const ManualVersion& known = known_[key];
    Result<PreparedManual> prepared = PrepareManual(record, folder);
    if (!known.odd.ok()) prepared = known.odd;
    if (!prepared.ok()) {
      totals->rejected.push_back({file, record.row, prepared.status().message()});
      return Status::Ok();
    }
    const bool same = known.living && import::SameFacts(known.stored, prepared->stored);
    std::vector<size_t> lacking;
    RETURN_IF_ERROR(FindLacking(key, *prepared, &lacking));
    std::vector<v1::Draft> drafts;
    RETURN_IF_ERROR(AddDocuments(key, *prepared, folder, lacking, &drafts));
    if (same && drafts.empty()) {
      ++totals->unchanged;
      return Status::Ok();
    }
    totals->documents += drafts.size();
    if (!same) AddRow(key, known, *prepared, &drafts);
    ASSIGN_OR_RETURN(const ManualPlace place, ReadManual(follower_, key, context_->timeout()));
    if (place.version.index != known.index) return ManualChanged(key);
    RETURN_IF_ERROR(
        AppendManual(follower_, key, place.position, std::move(drafts), context_->timeout()));
    ++totals->appended;
    return Status::Ok();
  }

  bool keeps_documents() const { return keeps_documents_; }

 private:
  // The attachments that the log does not hold as they are. Each is asked for by its item's name,
  // which of a long path does not begin like the others.
  Status FindLacking(const ManualKey& key, const PreparedManual& prepared,
                     std::vector<size_t>* lacking) {
    for (size_t i = 0; i < prepared.documents.size(); ++i) {
      const Document& document = prepared.documents[i];
      const Result<v1::ItemVersion> version =
          ReadLatest(follower_, {key.first, documents::ItemOf(document)},
                     client::Deadline::After(context_->timeout()));
      if (!version.ok() && version.status().code() != Code::kNotFound) return version.status();
      const bool living = version.ok() && version->kind() == v1::RECORD_KIND_PUT;
      const Result<Document> held =
          living ? documents::DecodeDocument(version->payload()) : Result<Document>(Document());
      if (!living || !held.ok() || held->sha256 != document.sha256) lacking->push_back(i);
    }
    return Status::Ok();
  }

  // Their contents first, to both sites; then the records that name them.
  Status AddDocuments(const ManualKey& key, const PreparedManual& prepared,
                      const std::string& folder, const std::vector<size_t>& lacking,
                      std::vector<v1::Draft>* drafts) {
    if (lacking.empty() || !keeps_documents_) return Status::Ok();
    Status status;
    for (const size_t i : lacking) {
      Document document = prepared.documents[i];
      if (status.ok()) {
        status = ReadAttachment(
            folder, prepared.files[i],
            [this](const Digest& digest, std::string bytes) {
              return uploader_.Add(digest, std::move(bytes));
            },
            &document);
      }
      if (status.ok() && document.sha256 != prepared.documents[i].sha256) {
        status = Status(Code::kUnavailable, "it changed while it was read");
      }
      drafts->push_back(ManualDraft({key.first, documents::ItemOf(document)},
                                    documents::EncodeDocument(document)));
    }
    if (status.ok()) status = uploader_.Ensure();
    if (status.ok()) return status;
    uploader_.Clear();
    drafts->clear();
    if (status.code() != Code::kUnimplemented) return status.Prepend("attachments");
    keeps_documents_ = false;
    return Status::Ok();
  }

  // The record's next version, and what it says of its package.
  void AddRow(const ManualKey& key, const ManualVersion& known, const PreparedManual& prepared,
              std::vector<v1::Draft>* drafts) {
    v1::Draft row = ManualDraft(key, import::EncodeManual(prepared.stored));
    import::PackageFacts& package = packages_[key.first];
    const import::PackageFacts says =
        import::SaysOfPackage(package, known.stored.record, prepared.stored.record);
    row.set_title(says.title);
    row.set_value(says.value);
    row.set_unit(says.unit);
    // The next row of this package comes after it.
    if (!says.title.empty()) package.title = says.title;
    if (!says.value.empty()) package.value = says.value;
    if (!says.unit.empty()) package.unit = says.unit;
    drafts->push_back(std::move(row));
    const std::string contract = key.second.substr(import::kManualPrefix.size());
    for (const import::ManualAttachment& file : prepared.stored.attachments) {
      drafts->push_back(ManualDraft({key.first, capture::ReferenceItem(file.path)},
                                    Dump({{"table", "manual"}, {"key", contract}})));
    }
  }

  Context* const context_;
  client::PrimaryFollower* const follower_;
  std::stop_source stop_;
  documents::Uploader uploader_;
  ManualVersions known_;
  std::map<std::string, import::PackageFacts> packages_;
  bool keeps_documents_ = true;
};

void PrintTotals(const Context& context, const ManualTotals& totals) {
  if (!totals.rejected.empty()) Note(RejectsText(totals.rejected));
  Json rejected = Json::array();
  for (const import::Reject& reject : totals.rejected) {
    rejected.push_back({{"file", reject.file}, {"row", reject.row}, {"reason", reject.reason}});
  }
  if (context.json()) {
    PrintLine(Dump({{"read", totals.read},
                    {"appended", totals.appended},
                    {"unchanged", totals.unchanged},
                    {"rejected", std::move(rejected)},
                    {"documents", totals.documents}}));
  } else {
    PrintLine("read " + FormatCount(totals.read) + ", appended " + FormatCount(totals.appended) +
              ", unchanged " + FormatCount(totals.unchanged) + ", rejected " +
              FormatCount(totals.rejected.size()) + "; attachments " +
              FormatCount(totals.documents));
  }
}

Outcome RunImportManual(Context* context, const std::vector<std::string>& paths) {
  std::vector<import::ManualFile> files;
  for (const std::string& path : paths) {
    Result<import::ManualFile> file = import::ReadManualFile(path);
    if (!file.ok()) {
      const Status why = file.status();
      return Status(why.code(), why.message() + "; nothing was imported", why.hint());
    }
    files.push_back(*std::move(file));
  }
  ASSIGN_OR_RETURN(client::PrimaryFollower * follower, context->Follower());
  Importer importer(context, follower);
  ManualTotals totals;
  std::set<std::string> warnings;  // once, however many files there are
  for (const import::ManualFile& file : files) {
    totals.read += file.rows;
    totals.unchanged += file.repeats;
    totals.rejected.insert(totals.rejected.end(), file.rejected.begin(), file.rejected.end());
    // Files may speak of the same contracts: each is compared with what the one before has left.
    RETURN_IF_ERROR(importer.Load());
    for (const std::string& warning : importer.Warnings()) {
      if (warnings.insert(warning).second) Note(Printable(warning));
    }
    const std::string folder = std::filesystem::path(file.path).parent_path().string();
    for (const import::ManualRecord& record : file.records) {
      const Status status = importer.Import(record, folder, file.path, &totals);
      if (status.ok()) continue;
      return Status(status.code(),
                    "import " + file.path + ": row " + std::to_string(record.row) + ": " +
                        status.message() + "; " + std::to_string(totals.appended) +
                        " rows were appended so far",
                    "run the same import again: it goes on where it stopped");
    }
  }
  PrintTotals(*context, totals);
  if (!importer.keeps_documents()) {
    Note("attachments were not stored: the node keeps no documents yet; import again later");
    return kExitFailed;
  }
  return totals.rejected.empty() ? kExitOk : kExitFailed;
}

}  // namespace

void AddImportManual(CLI::App* parent, Context* context) {
  auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* command = parent->add_subcommand(
      "manual", "Procurement done by hand during an outage: CSV, see docs/manual-procurement.md");
  command->add_option("files", *files, "Files to import")->required();
  command->callback([context, files] {
    context->run = [context, files] { return RunImportManual(context, *files); };
  });
}

}  // namespace kembar::ctl
