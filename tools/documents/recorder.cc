// recorder.cc — see recorder.h.
#include "tools/documents/recorder.h"

#include <utility>

#include "tools/capture/names.h"
#include "tools/capture/path.h"
#include "tools/client/reader.h"
#include "tools/documents/clock.h"
#include "tools/documents/content.h"
#include "tools/documents/fetch.h"
#include "tools/documents/references.h"

namespace kembar::documents {
namespace {

constexpr size_t kBatchFiles = 256;
constexpr uint64_t kBatchBytes = uint64_t{64} << 20;  // of contents; a larger file is alone
constexpr size_t kBatchPayload = size_t{2} << 20;
constexpr int64_t kBatchNs = 5 * kSecondNs;  // after it no more files are begun
constexpr client::Millis kPatience(5'000);   // of one attempt, so that a stop is noticed

// Waiting may mend it.
bool IsPassing(Code code) {
  return code == Code::kTimeout || code == Code::kUnavailable || code == Code::kNotPrimary ||
         code == Code::kFenced;
}

}  // namespace

Recorder::Recorder(RecorderOptions options, const capture::Mapping* mapping, std::stop_token stop)
    : options_(std::move(options)),
      mapping_(mapping),
      stop_(std::move(stop)),
      cluster_(options_.nodes) {}

Status Recorder::Connect() {
  if (follower_) return Status::Ok();
  RETURN_IF_ERROR(cluster_.Refresh());
  ASSIGN_OR_RETURN(const std::string log, cluster_.ResolveLog(options_.log));
  follower_ = std::make_unique<client::PrimaryFollower>(&cluster_, log);
  uploader_ = std::make_unique<Uploader>(follower_.get(), options_.upload, stop_);
  return Status::Ok();
}

Status Recorder::Load() {
  RETURN_IF_ERROR(Connect());
  const auto deadline = client::Deadline::After(kPatience);
  ASSIGN_OR_RETURN(const v1::SourcePositionResponse last,
                   client::ReadSourcePosition(follower_.get(), options_.source, deadline));
  // Of the same moment as the position: another node may answer, and be behind.
  v1::AsOf as_of;
  if (last.index() > 0) as_of.set_index(last.index());
  KnownFiles known;
  uint64_t unreadable = 0;
  const Status status =
      client::ReadCommitted(follower_.get(), deadline, [&](client::NodeStubs* node) {
        const auto listed =
            ListDocumentsOf(node, follower_->log(), as_of, options_.source, stop_, &unreadable);
        RETURN_IF_ERROR(listed.status());
        known.clear();
        for (const PlacedDocument& placed : *listed) {
          const Document& document = placed.document;
          known.insert_or_assign(document.path, Known{placed.package, document.size, document.mode,
                                                      document.mtime_ns});
        }
        return Status::Ok();
      });
  if (!status.ok()) follower_->Failed({});
  RETURN_IF_ERROR(status.Prepend("read what the log holds"));
  known_ = std::move(known);
  unreadable_ = unreadable;
  position_ = last.position();
  loaded_ = true;
  return Status::Ok();
}

Result<bool> Recorder::SyncReferences() {
  ASSIGN_OR_RETURN(const auto node, follower_->Get(client::Deadline::After(kPatience)));
  Result<ReferenceItems> held = ReadReferences(node.get(), follower_->log());
  Result<ReferenceItems> wanted =
      held.ok() ? WantedReferences(node.get(), follower_->log(), *mapping_, stop_)
                : Result<ReferenceItems>(held.status());
  if (!wanted.ok()) {
    follower_->Failed({});
    return wanted.status().Prepend("read what rows refer to");
  }
  Batch batch;
  std::set<std::pair<std::string, std::string>> unwanted;
  for (v1::Draft& change : ReferenceChanges(*held, *wanted, *mapping_)) {
    // The capture of the rows writes them too, and a row may have come back while these were read:
    // what is not wanted is taken back when it is not in the next round either.
    const bool gone = change.kind() == v1::RECORD_KIND_DELETE;
    if (gone &&
        !unwanted_references_.contains(*unwanted.emplace(change.package(), change.item()).first)) {
      continue;
    }
    *batch.request.add_drafts() = std::move(change);
    if (batch.request.drafts_size() < static_cast<int>(kBatchFiles)) continue;
    RETURN_IF_ERROR(Append(std::exchange(batch, {})));
  }
  if (batch.request.drafts_size() > 0) RETURN_IF_ERROR(Append(std::move(batch)));
  unwanted_references_ = std::move(unwanted);
  std::map<std::string, std::string> references;
  const ReferenceItems& now = mapping_->document_columns().empty() ? *held : *wanted;
  for (const auto& [key, payload] : now) {
    if (key.first != "-") references[key.second] = key.first;
  }
  const bool changed = references != references_;
  references_ = std::move(references);
  return changed;
}

std::string Recorder::PackageOf(const std::string& path) const {
  if (IsOwnFile(path)) return "-";  // where nodes look for the canary (node/sources.h)
  if (const auto package = mapping_->PackageOfDocument(path)) return *package;
  const auto at = references_.find(capture::ReferenceItem(capture::EncodePath(path)));
  return at == references_.end() ? "-" : at->second;
}

// kNotFound: gone. kUnavailable: changed meanwhile. kIo, kInvalid: unreadable. All else concerns
// the upload.
Status Recorder::ReadOne(const Tree& tree, const std::string& path, Document* document) {
  ASSIGN_OR_RETURN(const Fd fd, tree.OpenFile(path));
  Status upload;
  const Status read = ReadContent(
      fd.get(),
      [&](const Digest& digest, std::string bytes) {
        if (stop_.stop_requested()) return Status(Code::kCancelled, "stopping");
        upload = uploader_->Add(digest, std::move(bytes));
        // Told apart from what the file itself may have.
        return upload.ok() ? upload : Status(Code::kInternal, upload.message());
      },
      document);
  if (!upload.ok()) return Status(Code::kInternal, upload.message(), upload.hint());
  RETURN_IF_ERROR(read);
  document->path = path;
  document->source = options_.source;
  // The name may stand for another file by now.
  ASSIGN_OR_RETURN(const FileFacts now, tree.Stat(path));
  const bool same = now.size == document->size && now.mtime_ns == document->mtime_ns &&
                    now.mode == document->mode;
  return same ? Status::Ok() : Status(Code::kUnavailable, "it changed while it was read");
}

void Recorder::AddDelete(const std::string& path, const std::string& package, Batch* batch) const {
  v1::Draft* draft = batch->request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_DELETE);
  draft->set_package(package);
  draft->set_item(capture::DocumentItem(capture::EncodePath(path)));
}

void Recorder::Put(const Document& document, Batch* batch) {
  const std::string package = PackageOf(document.path);
  const auto known = known_.find(document.path);
  if (known != known_.end() && known->second.package != package) {
    AddDelete(document.path, known->second.package, batch);
  }
  v1::Draft* draft = batch->request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_PUT);
  draft->set_package(package);
  draft->set_item(ItemOf(document));
  draft->set_payload(EncodeDocument(document));
  batch->changes.emplace_back(document.path,
                              Known{package, document.size, document.mode, document.mtime_ns});
}

Status Recorder::Record(const Tree& tree, const std::vector<std::string>& paths, Recorded* result) {
  Batch batch;
  uint64_t bytes = 0;
  size_t payload = 0;
  Recorded done;
  const int64_t until = SteadyNs() + kBatchNs;
  for (const std::string& path : paths) {
    if (batch.changes.size() >= kBatchFiles || bytes >= kBatchBytes || payload >= kBatchPayload ||
        SteadyNs() >= until) {
      break;
    }
    Document document;
    const Status status = ReadOne(tree, path, &document);
    switch (status.code()) {
      case Code::kOk:
        Put(document, &batch);
        bytes += document.size;
        payload += 256 + path.size() * 3 + document.chunks.size() * 67;
        done.recorded.push_back(path);
        break;
      case Code::kNotFound: done.gone.push_back(path); break;
      case Code::kUnavailable: done.changed.push_back(path); break;
      case Code::kIo:
      case Code::kInvalid: done.unreadable.push_back(path); break;
      default: uploader_->Clear(); return status.Prepend("upload");
    }
  }
  if (!batch.changes.empty()) {
    Status status = uploader_->Ensure();
    if (status.ok()) status = Append(std::move(batch));
    if (!status.ok()) {
      uploader_->Clear();
      return status;
    }
  }
  *result = std::move(done);
  return Status::Ok();
}

Status Recorder::Delete(const std::vector<std::string>& paths) {
  for (size_t begin = 0; begin < paths.size(); begin += kBatchFiles) {
    Batch batch;
    const size_t end = std::min(paths.size(), begin + kBatchFiles);
    for (size_t i = begin; i < end; ++i) {
      const auto known = known_.find(paths[i]);
      if (known == known_.end()) continue;
      AddDelete(paths[i], known->second.package, &batch);
      batch.changes.emplace_back(paths[i], std::nullopt);
    }
    if (!batch.changes.empty()) RETURN_IF_ERROR(Append(std::move(batch)));
  }
  return Status::Ok();
}

Status Recorder::RecordAudit(const std::string& payload) {
  Batch batch;
  v1::Draft* draft = batch.request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_PUT);
  draft->set_package("-");
  draft->set_item(capture::AuditItem(options_.source));
  draft->set_payload(payload);
  return Append(std::move(batch));
}

Status Recorder::Append(Batch batch) {
  batch.request.set_log(follower_->log());
  batch.request.set_source(options_.source);
  batch.request.set_position(position_ + 1);
  batch.request.set_after_position(position_);
  while (true) {
    if (stop_.stop_requested()) return Status(Code::kCancelled, "stopping");
    const Result<v1::AppendResponse> answer =
        client::AppendOnce(follower_.get(), batch.request, kPatience);
    if (answer.ok()) {
      // There already: perhaps what we sent before, perhaps another's. What the log holds tells.
      if (answer->duplicate()) {
        loaded_ = false;
        return Status(Code::kUnavailable,
                      "its position was taken; what the log holds is read again");
      }
      break;
    }
    const Status status = answer.status();
    if (!IsPassing(status.code())) {
      loaded_ = false;
      return status.Prepend("append");
    }
    if (on_waiting) on_waiting(status);
  }
  if (on_waiting) on_waiting(Status::Ok());
  ++position_;
  for (auto& [path, known] : batch.changes) {
    if (known) {
      known_.insert_or_assign(path, *std::move(known));
    } else {
      known_.erase(path);
    }
  }
  return Status::Ok();
}

}  // namespace kembar::documents
