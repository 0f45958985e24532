// upload.cc — see upload.h.
#include "tools/documents/upload.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "replicator/base/check.h"

namespace kembar::documents {
namespace {

constexpr size_t kWindowBytes = size_t{16} << 20;
constexpr size_t kWindowChunks = 4'096;        // small files have small chunks
constexpr size_t kPutBytes = size_t{4} << 20;  // of one call, as blob.proto says
constexpr size_t kDigestsMax = 65'536;         // likewise
// One attempt; short, so that a stop is noticed and a dead primary is left.
constexpr client::Millis kAttempt(5'000);

Status Stopped() { return {Code::kCancelled, "stopping"}; }

std::string Bytes(const Digest& digest) { return std::string(AsBytes(digest)); }

}  // namespace

Uploader::Uploader(client::PrimaryFollower* follower, UploadOptions options, std::stop_token stop)
    : follower_(follower),
      options_(options),
      stop_(std::move(stop)),
      throttle_(options_.bytes_per_s, stop_) {}

// Calls the primary until it answers, something comes back that waiting cannot mend, or the time is
// up.
template <class Call>
Status Uploader::CallPrimary(const client::Deadline& deadline, const Call& call) {
  client::Backoff backoff;
  Status last;
  do {
    if (stop_.stop_requested()) return Stopped();
    Result<std::shared_ptr<client::NodeStubs>> node = follower_->Get(deadline.Within(kAttempt));
    if (!node.ok()) {
      last = node.status();
      continue;
    }
    grpc::ClientContext context;
    deadline.Within(kAttempt).ApplyTo(&context);
    const grpc::Status result = call(**node, &context);
    if (result.ok()) {
      put_to_.insert((*node)->address);
      return Status::Ok();
    }
    const bool silent = client::SaysNothing(result);
    Status status = client::FromGrpc(result, context);
    if (!client::IsRetryable(status.code())) return status;
    follower_->Failed(client::PrimaryFrom(context));
    if (last.ok() || !silent) last = std::move(status);
  } while (backoff.Wait(deadline));
  return last;
}

Status Uploader::Add(const Digest& digest, std::string bytes) {
  ++totals_.chunks;
  given_.push_back(digest);
  window_bytes_ += bytes.size();
  window_.emplace_back(digest, std::move(bytes));
  if (window_bytes_ < kWindowBytes && window_.size() < kWindowChunks) return Status::Ok();
  return Flush();
}

void Uploader::Clear() {
  window_.clear();
  window_bytes_ = 0;
  given_.clear();
  put_to_.clear();
}

Status Uploader::AskMissing(const std::vector<Digest>& digests, const client::Deadline& deadline,
                            std::set<Digest>* missing) {
  for (size_t begin = 0; begin < digests.size(); begin += kDigestsMax) {
    v1::MissingRequest request;
    const size_t end = std::min(digests.size(), begin + kDigestsMax);
    for (size_t i = begin; i < end; ++i) request.add_digests(Bytes(digests[i]));
    v1::MissingResponse response;
    RETURN_IF_ERROR(CallPrimary(deadline, [&](client::NodeStubs& node, auto* context) {
      return node.blob->Missing(context, request, &response);
    }));
    for (const std::string& digest : response.digests()) {
      if (digest.size() != Digest{}.size())
        return Status(Code::kCorrupt, "odd digest in an answer");
      missing->insert(DigestFromBytes(digest));
    }
  }
  return Status::Ok();
}

Status Uploader::Flush() {
  if (window_.empty()) return Status::Ok();
  std::vector<Digest> digests;
  for (const auto& [digest, bytes] : window_) digests.push_back(digest);
  std::set<Digest> missing;
  const auto deadline = client::Deadline::After(options_.timeout);
  RETURN_IF_ERROR(AskMissing(digests, deadline, &missing).Prepend("ask what is missing"));
  std::vector<const std::string*> chunks;
  size_t size = 0;
  for (const auto& [digest, bytes] : window_) {
    if (missing.erase(digest) == 0) continue;
    if (size + bytes.size() > kPutBytes) {
      RETURN_IF_ERROR(Put(chunks));
      chunks.clear();
      size = 0;
    }
    chunks.push_back(&bytes);
    size += bytes.size();
  }
  RETURN_IF_ERROR(Put(chunks));
  window_.clear();
  window_bytes_ = 0;
  return Status::Ok();
}

Status Uploader::Put(const std::vector<const std::string*>& chunks) {
  if (chunks.empty()) return Status::Ok();
  v1::PutRequest request;
  uint64_t size = 0;
  for (const std::string* chunk : chunks) {
    request.add_chunks(*chunk);
    size += chunk->size();
  }
  RETURN_IF_ERROR(throttle_.Take(size));
  v1::PutResponse response;
  const auto deadline = client::Deadline::After(options_.timeout);
  const Status status = CallPrimary(deadline, [&](client::NodeStubs& node, auto* context) {
    // Four MiB may take a while on a thin line: longer than other calls.
    deadline.ApplyTo(context);
    return node.blob->Put(context, request, &response);
  });
  RETURN_IF_ERROR(status.Prepend("send chunks"));
  totals_.sent += chunks.size();
  totals_.bytes_sent += size;
  return Status::Ok();
}

Status Uploader::Ensure() {
  RETURN_IF_ERROR(Flush());
  std::sort(given_.begin(), given_.end());
  given_.erase(std::unique(given_.begin(), given_.end()), given_.end());
  for (size_t begin = 0; begin < given_.size(); begin += kDigestsMax) {
    const auto end = std::min(given_.size(), begin + kDigestsMax);
    RETURN_IF_ERROR(EnsureSome({given_.begin() + static_cast<std::ptrdiff_t>(begin),
                                given_.begin() + static_cast<std::ptrdiff_t>(end)}));
  }
  Clear();
  return Status::Ok();
}

Status Uploader::EnsureSome(const std::vector<Digest>& digests) {
  v1::EnsureRequest request;
  request.set_log(follower_->log());
  for (const Digest& digest : digests) request.add_digests(Bytes(digest));
  v1::EnsureResponse response;
  const auto deadline = client::Deadline::After(options_.timeout);
  Status status = CallPrimary(deadline, [&](client::NodeStubs& node, auto* context) {
    return node.blob->Ensure(context, request, &response);
  });
  const bool elsewhere = put_to_.size() > 1;
  if (status.ok() ? !elsewhere : status.code() != Code::kNotFound && !elsewhere) {
    return status.Prepend("keep chunks at both sites");
  }
  // Two nodes took part: the one that is primary now may lack what went to the other.
  std::set<Digest> missing;
  RETURN_IF_ERROR(AskMissing(digests, deadline, &missing).Prepend("ask what is missing"));
  if (missing.empty()) return status.Prepend("keep chunks at both sites");
  return Status(Code::kGap, "the primary changed: " + std::to_string(missing.size()) +
                                " chunks must be sent again");
}

}  // namespace kembar::documents
