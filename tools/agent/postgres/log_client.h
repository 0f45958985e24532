// log_client.h — what the log holds of a source: where it stands, and its items, as the primary has
// them committed.
//
// Nothing here repeats a call that failed; the session ends and another one begins.
//
// Thread-safety: none; belongs to the thread of its session.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/agent/postgres/captured_state.h"
#include "tools/client/cluster.h"
#include "tools/client/follower.h"

namespace kembar::agent {

// How many batches may be under way: what a killed session may have left in flight.
inline constexpr size_t kBatchesInFlightMax = 512;

struct LogStanding {
  uint64_t position = 0;  // of the source's last batch
  Marker marker;          // at its end; lsn 0: nothing of this source yet
};

class LogClient {
 public:
  struct Options {
    std::vector<std::string> nodes;
    std::string log;  // empty: the only one
    std::string source;
    client::Millis timeout{15'000};
  };
  explicit LogClient(Options options);

  // Finds the log and its primary.
  Status Connect();
  const std::string& log() const { return log_; }
  const std::shared_ptr<client::ChannelPool>& channels() const { return channels_; }

  // Where the source stands, after a batch of this session's own that makes sure of it: batches
  // that an earlier session left on their way can't come to the log after it. `drafts` go along.
  // With `discontinued` its marker says, to later sessions too, that the log is not whole at any
  // LSN.
  Result<LogStanding> Fence(const std::vector<v1::Draft>& drafts, bool discontinued);
  // The same without the batch.
  Result<LogStanding> Standing();

  // Reads show the log as of this index, the last that this source is known to have committed. What
  // a primary that has begun anew holds further back would otherwise be taken for the present.
  void ReadAsOf(uint64_t index) { as_of_ = std::max(as_of_, index); }
  // nullopt: not there (any more).
  Result<std::optional<std::string>> Get(const std::string& package, const std::string& item);
  // Living items whose name begins so, in order of package and item.
  using EachItem = std::function<Status(const v1::ItemVersion&)>;
  Status List(const std::string& item_prefix, bool with_payload, const EachItem& each) {
    return ListOf({}, item_prefix, with_payload, each);
  }
  // Of one package.
  Status ListOf(const std::string& package, const std::string& item_prefix, bool with_payload,
                const EachItem& each);

 private:
  const Options options_;
  const std::shared_ptr<client::ChannelPool> channels_;
  client::Cluster cluster_;
  std::string log_;
  std::unique_ptr<client::PrimaryFollower> follower_;
  uint64_t as_of_ = 0;  // 0: nothing is known; now
};

}  // namespace kembar::agent
