// verify_blobs.cc — see verify_blobs.h.
#include "node/blob/verify_blobs.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

#include "node/blob/document.h"
#include "node/inventory.h"

namespace kembar {
namespace {

constexpr size_t kErrorsMax = 1'000;   // told for one log; more say nothing new
constexpr uint64_t kReportEvery = 64;  // chunks

class Verifier {
 public:
  Verifier(const BlobVerifyParts& parts, const std::string& log,
           const std::function<bool(const BlobVerifyProgress&)>& report)
      : parts_(parts), log_(log), report_(report) {}

  void Run(uint64_t last_index) {
    std::vector<uint64_t> indices;
    const ItemRange range{.package = {}, .item_prefix = kDocumentPrefix, .as_of = last_index};
    const Status listed = parts_.store->VisitItems(log_, range, [&](const ItemVersion& version) {
      if (version.kind == RecordKind::kPut) indices.push_back(version.index);
      return Visit::kNext;
    });
    if (!listed.ok()) Error("log " + log_ + ": documents: " + listed.ToString());
    std::sort(indices.begin(), indices.end());
    for (const uint64_t index : indices) {
      if (stopped_) return;
      CheckDocument(index);
    }
    if (!stopped_) Report();
  }

 private:
  void CheckDocument(uint64_t index) {
    const Result<Record> record = ReadRecord(*parts_.store, log_, index);
    if (!record.ok()) return;  // told by the check of the records
    const std::string where = "log " + log_ + " package " + record->package + " document ";
    const Result<Document> document = DecodeDocument(record->payload);
    if (!document.ok()) {
      Error(where + record->item + " (record " + std::to_string(index) +
            "): " + document.status().message());
      return;
    }
    std::string first;
    size_t bad = 0;
    for (const Digest& digest : document->chunks) {
      const std::string trouble = CheckChunk(digest);
      if (stopped_) return;
      if (trouble.empty()) continue;
      if (bad++ == 0) first = trouble;
    }
    if (bad == 0) return;
    Error(where + document->path + " (record " + std::to_string(index) + "): " + first +
          (bad > 1 ? " (and " + std::to_string(bad - 1) + " more of its " +
                         std::to_string(document->chunks.size()) + " chunks)"
                   : std::string()));
  }

  // What is wrong with it; empty: nothing. Each chunk is read once, whoever refers to it.
  std::string CheckChunk(const Digest& digest) {
    const auto [known, is_new] = seen_.try_emplace(digest);
    if (!is_new) return known->second;
    const Status status = parts_.blobs->Get(digest).status();
    ++progress_.chunks;
    Status aside;
    if (status.code() == Code::kCorrupt) aside = parts_.blobs->SetAside(digest);
    const std::string damage = parts_.blobs->TakeAside(digest);
    if (!aside.ok()) {
      known->second = status.message() + "; not set aside: " + aside.ToString();
    } else if (!damage.empty()) {
      known->second = damage + "; set aside, to be fetched again";
    } else if (status.code() == Code::kNotFound) {
      known->second = "missing: " + status.message();
    } else if (!status.ok() && status.code() != Code::kCorrupt) {
      known->second = status.ToString();
    }
    std::string trouble = known->second;
    if (progress_.chunks % kReportEvery == 0) Report();
    return trouble;
  }

  void Error(std::string text) {
    if (errors_++ < kErrorsMax) progress_.errors.push_back(std::move(text));
  }

  void Report() {
    stopped_ = !report_(progress_);
    progress_.errors.clear();
  }

  const BlobVerifyParts& parts_;
  const std::string& log_;
  const std::function<bool(const BlobVerifyProgress&)>& report_;
  std::map<Digest, std::string> seen_;
  BlobVerifyProgress progress_;
  size_t errors_ = 0;
  bool stopped_ = false;
};

Status SetAsideOne(BlobStore* blobs, const Digest& digest, const Status& why) {
  spdlog::error("chunk_damaged error=\"{}\"", why.ToString());
  Status aside = blobs->SetAside(digest);
  if (!aside.ok()) spdlog::error("chunk_not_set_aside error=\"{}\"", aside.ToString());
  return aside;
}

}  // namespace

void VerifyDocuments(const BlobVerifyParts& parts, const std::string& log, uint64_t last_index,
                     const std::function<bool(const BlobVerifyProgress&)>& report) {
  Verifier(parts, log, report).Run(last_index);
}

Result<std::string> GetOrSetAside(BlobStore* blobs, const Digest& digest) {
  Result<std::string> chunk = blobs->Get(digest);
  if (chunk.status().code() == Code::kCorrupt) {
    (void)SetAsideOne(blobs, digest, chunk.status());  // told there
  }
  return chunk;
}

Status SetAsideDamaged(BlobStore* blobs, const std::function<bool()>& go_on) {
  Status trouble;
  RETURN_IF_ERROR(blobs->Verify([&](const Digest& digest, uint64_t, const Status& status) {
    const bool damaged = status.code() == Code::kCorrupt;
    const Status settled = damaged ? SetAsideOne(blobs, digest, status) : status;
    if (trouble.ok()) trouble = settled;
    if (go_on()) return true;
    trouble = Status(Code::kCancelled, "not all chunks were checked");
    return false;
  }));
  RETURN_IF_ERROR(trouble);
  blobs->ClearDoubt();
  return {};
}

}  // namespace kembar
