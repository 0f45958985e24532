// cmd_import_manual.cc — `import manual`: procurement done by hand during an outage, with its
// attachments.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <filesystem>
#include <optional>
#include <set>

#include "tools/capture/path.h"
#include "tools/client/reader.h"
#include "tools/documents/content.h"
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

// A row with its attachments read.
struct Prepared {
  import::StoredManual stored;
  std::vector<Document> documents;
  std::vector<std::string> files;  // where each is
};

Status ReadFile(const std::string& file, const documents::ChunkFn& each, Document* document) {
  const documents::Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return Status(Code::kNotFound, "cannot be opened");
  return documents::ReadContent(fd.get(), each, document);
}

// Where an attachment stands among the documents: below "manual/", by package and contract.
std::string DocumentPath(const ManualKey& key, const std::string& name) {
  const std::string contract = key.second.substr(import::kManualPrefix.size());
  const std::string package =
      capture::IsPlainPath(key.first)
          ? key.first
          : import::ManualItem(key.first).substr(import::kManualPrefix.size());
  return "manual/" + package + "/" + contract + "/" + name;
}

Status Odd(const std::string& name, const std::string& why) {
  return {Code::kInvalid, "column \"attachments\": " + name + " " + why};
}

// Reads the attachments, which stand beside the CSV file. kInvalid: the row is rejected.
Result<Prepared> Prepare(const import::ManualRecord& record, const std::filesystem::path& folder) {
  Prepared prepared;
  prepared.stored.record = record;
  prepared.stored.recorded_by = Context::Actor();
  const ManualKey key = {record.package, import::ManualItem(record.contract_number)};
  std::set<std::string> paths;
  for (const std::string& name : record.attachments) {
    const std::filesystem::path file = folder / name;
    Document document;
    document.path = DocumentPath(key, file.filename().string());
    document.source = "import/manual";
    if (!capture::IsPlainPath(document.path)) return Odd(name, "is no file name");
    if (!paths.insert(document.path).second) return Odd(name, "has the name of another attachment");
    const Status status = ReadFile(
        file.string(), [](const Digest&, std::string) { return Status::Ok(); }, &document);
    if (!status.ok()) return Odd(name, status.message());
    prepared.stored.attachments.push_back(
        {name, capture::EncodePath(document.path), document.size, ToHex(document.sha256)});
    prepared.documents.push_back(std::move(document));
    prepared.files.push_back(file.string());
  }
  return prepared;
}

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
    RETURN_IF_ERROR(client::ListPackages(node.get(), packages, client::Deadline::Never(),
                                         [this](const v1::Package& package) {
                                           if (!package.title().empty()) {
                                             titled_.insert(package.package());
                                           }
                                           if (!package.unit().empty()) {
                                             with_unit_.insert(package.package());
                                           }
                                           return true;
                                         }));
    v1::ListItemsRequest items;
    items.set_log(follower_->log());
    items.set_item_prefix(std::string(capture::kDocumentPrefix) + "manual/");
    items.set_with_payload(true);
    return client::ListItems(node.get(), items, client::Deadline::Never(),
                             [this](const v1::ItemVersion& version) {
                               documents_[{version.package(), version.item()}] = version;
                               return true;
                             });
  }

  Status Import(const import::ManualRecord& record, const std::filesystem::path& folder,
                const std::string& file, ManualTotals* totals) {
    Result<Prepared> prepared = Prepare(record, folder);
    if (!prepared.ok()) {
      totals->rejected.push_back({file, record.row, prepared.status().message()});
      return Status::Ok();
    }
    const ManualKey key = {record.package, import::ManualItem(record.contract_number)};
    ManualVersion& known = known_[key];
    const bool same = known.living && import::SameFacts(known.stored, prepared->stored);
    const std::vector<size_t> lacking = Lacking(key, *prepared);
    std::vector<v1::Draft> drafts;
    RETURN_IF_ERROR(AddDocuments(key, *prepared, lacking, &drafts));
    if (same && drafts.empty()) {
      ++totals->unchanged;
      return Status::Ok();
    }
    const std::string payload = same ? known.payload : import::EncodeManual(prepared->stored);
    totals->documents += drafts.size();
    if (!same) AddRow(key, *prepared, payload, &drafts);
    RETURN_IF_ERROR(AppendManual(follower_, key, NewestIndex(key, *prepared), payload,
                                 std::move(drafts), context_->timeout()));
    titled_.insert(record.package);
    with_unit_.insert(record.package);
    ++totals->appended;
    return Status::Ok();
  }

  bool keeps_documents() const { return keeps_documents_; }

 private:
  const v1::ItemVersion* KnownDocument(const ManualKey& key, const Document& document) const {
    const auto at = documents_.find({key.first, documents::ItemOf(document)});
    return at == documents_.end() ? nullptr : &at->second;
  }

  // The attachments that the log does not hold as they are.
  std::vector<size_t> Lacking(const ManualKey& key, const Prepared& prepared) const {
    std::vector<size_t> lacking;
    for (size_t i = 0; i < prepared.documents.size(); ++i) {
      const v1::ItemVersion* known = KnownDocument(key, prepared.documents[i]);
      const bool living = known != nullptr && known->kind() == v1::RECORD_KIND_PUT;
      const Result<Document> held =
          living ? documents::DecodeDocument(known->payload()) : Result<Document>(Document());
      if (!living || !held.ok() || held->sha256 != prepared.documents[i].sha256) {
        lacking.push_back(i);
      }
    }
    return lacking;
  }

  // The newest version of the record or one of its attachments: what the append follows.
  uint64_t NewestIndex(const ManualKey& key, const Prepared& prepared) const {
    uint64_t index = known_.at(key).index;
    for (const Document& document : prepared.documents) {
      const v1::ItemVersion* known = KnownDocument(key, document);
      if (known != nullptr) index = std::max(index, known->index());
    }
    return index;
  }

  // Their contents first, to both sites; then the records that name them.
  Status AddDocuments(const ManualKey& key, const Prepared& prepared,
                      const std::vector<size_t>& lacking, std::vector<v1::Draft>* drafts) {
    if (lacking.empty() || !keeps_documents_) return Status::Ok();
    Status status;
    for (const size_t i : lacking) {
      Document document = prepared.documents[i];
      if (status.ok()) {
        status = ReadFile(
            prepared.files[i],
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

  void AddRow(const ManualKey& key, const Prepared& prepared, const std::string& payload,
              std::vector<v1::Draft>* drafts) {
    v1::Draft row = ManualDraft(key, payload);
    // A package that was lost keeps the title, value and unit it had.
    if (!titled_.contains(key.first)) {
      row.set_title(prepared.stored.record.title);
      row.set_value(prepared.stored.record.value);
    }
    if (!with_unit_.contains(key.first)) row.set_unit(prepared.stored.record.unit);
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
  std::map<ManualKey, v1::ItemVersion> documents_;
  std::set<std::string> titled_;     // packages
  std::set<std::string> with_unit_;  // packages
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
  for (const import::ManualFile& file : files) {
    totals.read += file.rows;
    totals.unchanged += file.repeats;
    totals.rejected.insert(totals.rejected.end(), file.rejected.begin(), file.rejected.end());
    // Files may speak of the same contracts: each is compared with what the one before has left.
    RETURN_IF_ERROR(importer.Load());
    const std::filesystem::path folder = std::filesystem::path(file.path).parent_path();
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
