// upload.h — chunks to the primary of a log: only what it lacks, kept at as many sites as a record
// needs.
//
// Chunks wait here until a window is full; then the primary is asked which it lacks, and these are
// sent. Ensure comes before the record that names them. Whatever fails is repeated, wherever the
// primary is then, until the deadline; after being cut off, one simply uploads again.
//
// Thread-safety: none; used by one thread, like the PrimaryFollower it stands on. Stopping is asked
// for by the stop token.
#pragma once

#include <cstdint>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "replicator/base/digest.h"
#include "tools/client/follower.h"
#include "tools/documents/throttle.h"

namespace kembar::documents {

struct UploadOptions {
  client::Millis timeout = client::Millis(30'000);  // of one window, or of Ensure, with retries
  uint64_t bytes_per_s = 0;                         // 0: no limit
};

struct UploadTotals {
  uint64_t chunks = 0;  // given
  uint64_t sent = 0;    // of these: the primary lacked them
  uint64_t bytes_sent = 0;
};

class Uploader {
 public:
  // `follower` outlives the uploader.
  Uploader(client::PrimaryFollower* follower, UploadOptions options, std::stop_token stop);

  // Takes one chunk; sends when the window is full.
  Status Add(const Digest& digest, std::string bytes);
  // Sends what waits, and comes back when all chunks taken since the last Ensure are durable at the
  // primary and at as many mirrors as an append needs. kGap: the primary changed meanwhile and
  // lacks some: give them all again. kUnimplemented: this version of the node keeps no documents.
  Status Ensure();
  // Forgets what was taken since the last Ensure: after a failure.
  void Clear();

  const UploadTotals& totals() const { return totals_; }

 private:
  using Window = std::vector<std::pair<Digest, std::string>>;

  Status Flush();
  Status Put(const std::vector<const std::string*>& chunks);
  Status AskMissing(const std::vector<Digest>& digests, const client::Deadline& deadline,
                    std::set<Digest>* missing);
  Status EnsureSome(const std::vector<Digest>& digests);
  template <class Call>
  Status CallPrimary(const client::Deadline& deadline, const Call& call);

  client::PrimaryFollower* const follower_;
  const UploadOptions options_;
  const std::stop_token stop_;
  Window window_;
  size_t window_bytes_ = 0;
  std::vector<Digest> given_;     // since the last Ensure
  std::set<std::string> put_to_;  // addresses that took or had them
  UploadTotals totals_;
  Throttle throttle_;
};

}  // namespace kembar::documents
