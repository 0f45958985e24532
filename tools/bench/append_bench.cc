// append_bench.cc — see append_bench.h.
#include "tools/bench/append_bench.h"

#include <chrono>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "tools/bench/acked_file.h"
#include "tools/bench/payload.h"
#include "tools/client/appender.h"

namespace kembar::bench {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t MicrosSince(Clock::time_point from) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - from).count());
}

// What all clients share.
struct Shared {
  const AppendOptions& options;
  const std::atomic<bool>* stop;
  std::string log;
  AckedFile acked;
  client::Deadline end = client::Deadline::Never();
  std::atomic<bool> failed = false;
  std::mutex mutex;
  Status error;  // the first, with stop_on_error; guarded by mutex
};

class Client {
 public:
  Client(Shared* shared, size_t number, std::vector<std::string> seeds,
         std::shared_ptr<client::ChannelPool> channels)
      : shared_(shared),
        options_(shared->options),
        source_(options_.source + "/" + std::to_string(number)),
        cluster_(std::move(seeds), std::move(channels)),
        follower_(&cluster_, shared->log) {}

  void Run() {
    client::Backoff backoff;
    while (!Done()) {
      const Status status = options_.stream ? RunStream() : RunUnary();
      if (!status.ok()) Failed(status);
      if (!status.ok() && !Done()) backoff.Wait(shared_->end);
    }
  }

  const Histogram& latency() const { return latency_; }
  uint64_t duplicates() const { return duplicates_; }
  uint64_t errors() const { return errors_; }

 private:
  // What is in flight when the time is up gets a little longer, not the whole timeout.
  client::Millis timeout() const {
    const auto whole = client::Millis(static_cast<int64_t>(options_.timeout_s * 1000));
    return std::min(whole, shared_->end.remaining() + client::Millis(2'000));
  }
  bool Stopped() const {
    return shared_->stop->load() || shared_->failed.load() || shared_->end.expired();
  }
  bool Done() const {
    return Stopped() || (options_.records != 0 && acknowledged_.load() >= options_.records);
  }
  // Records that may still be begun.
  bool MayBegin(uint64_t begun) const {
    return !Stopped() && (options_.records == 0 || begun < options_.records);
  }

  void Failed(const Status& status) {
    if (Stopped()) return;
    ++errors_;
    if (!options_.stop_on_error) {
      std::fprintf(stderr, "%s: %s\n", source_.c_str(), status.ToString().c_str());
      return;
    }
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->failed.exchange(true)) shared_->error = status.Prepend(source_);
  }

  v1::Draft MakeDraft(uint64_t position, std::string payload) const {
    v1::Draft draft;
    draft.set_kind(v1::RECORD_KIND_PUT);
    draft.set_package(options_.package);
    draft.set_item(source_ + "/" + std::to_string(position % 1'000));
    draft.set_payload(std::move(payload));
    return draft;
  }

  void Acknowledged(const v1::AppendResponse& answer, Clock::time_point begun) {
    latency_.Add(MicrosSince(begun));
    if (shared_->acked.is_open()) {
      shared_->acked.Add(source_, answer.position(), answer.index(),
                         MakePayload(source_, answer.position(), options_.size));
    }
    if (answer.duplicate()) ++duplicates_;
    ++acknowledged_;
  }

  Status RunUnary();
  Status RunStream();

  Shared* const shared_;
  const AppendOptions& options_;
  const std::string source_;
  client::Cluster cluster_;
  client::PrimaryFollower follower_;
  // The client's own thread, or, while a stream is up, its acknowledgements.
  Histogram latency_;
  uint64_t duplicates_ = 0;
  uint64_t errors_ = 0;
  std::atomic<uint64_t> acknowledged_ = 0;
};

Status Client::RunUnary() {
  ASSIGN_OR_RETURN(
      const v1::SourcePositionResponse last,
      client::ReadSourcePosition(&follower_, source_, client::Deadline::After(timeout())));
  v1::AppendRequest request;
  request.set_log(shared_->log);
  request.set_source(source_);
  for (uint64_t position = last.position() + 1; !Done(); ++position) {
    request.set_position(position);
    request.set_after_position(position - 1);
    request.clear_drafts();
    *request.add_drafts() = MakeDraft(position, MakePayload(source_, position, options_.size));
    const Clock::time_point begun = Clock::now();
    Result<v1::AppendResponse> answer = client::AppendOnce(&follower_, request, timeout());
    if (!answer.ok()) return answer.status();
    Acknowledged(*answer, begun);
  }
  return Status::Ok();
}

Status Client::RunStream() {
  std::mutex mutex;
  std::deque<Clock::time_point> begun;  // of what is in flight, in order
  client::AppenderOptions options{.log = shared_->log, .source = source_};
  options.window = options_.window;
  options.timeout = timeout();
  client::Appender appender(&cluster_, options, [&](const v1::AppendResponse& answer) {
    Clock::time_point since;
    {
      const std::lock_guard lock(mutex);
      since = begun.front();
      begun.pop_front();
    }
    Acknowledged(answer, since);
  });
  RETURN_IF_ERROR(appender.Start());
  uint64_t count = acknowledged_.load();
  for (uint64_t position = appender.last_position() + 1; MayBegin(count); ++position, ++count) {
    std::vector<v1::Draft> drafts;
    drafts.push_back(MakeDraft(position, MakePayload(source_, position, options_.size)));
    {
      const std::lock_guard lock(mutex);
      begun.push_back(Clock::now());
    }
    RETURN_IF_ERROR(appender.Append(position, std::move(drafts)));
  }
  return appender.Finish();
}

}  // namespace

Result<AppendTotals> RunAppends(const AppendOptions& options, const std::atomic<bool>* stop) {
  std::vector<std::string> seeds;
  for (size_t from = 0; from <= options.node.size();) {
    const size_t comma = std::min(options.node.find(',', from), options.node.size());
    if (comma > from) seeds.push_back(options.node.substr(from, comma - from));
    from = comma + 1;
  }
  Shared shared{.options = options, .stop = stop};
  client::Cluster cluster(seeds);
  RETURN_IF_ERROR(cluster.Refresh());
  ASSIGN_OR_RETURN(shared.log, cluster.ResolveLog(options.log));
  if (!options.acked.empty()) RETURN_IF_ERROR(shared.acked.Open(options.acked));
  if (options.seconds > 0) {
    shared.end =
        client::Deadline::After(client::Millis(static_cast<int64_t>(options.seconds * 1000)));
  }
  std::vector<std::shared_ptr<client::ChannelPool>> pools(
      std::clamp<size_t>(options.connections, 1, std::max<size_t>(options.clients, 1)));
  for (auto& pool : pools) pool = std::make_shared<client::ChannelPool>();
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < options.clients; ++i) {
    clients.push_back(std::make_unique<Client>(&shared, i + 1, seeds, pools[i % pools.size()]));
  }
  const Clock::time_point begun = Clock::now();
  std::vector<std::thread> threads;
  for (auto& one : clients) threads.emplace_back([&one] { one->Run(); });
  for (std::thread& thread : threads) thread.join();

  AppendTotals totals{.log = shared.log};
  totals.seconds = static_cast<double>(MicrosSince(begun)) / 1e6;
  for (const auto& one : clients) {
    totals.latency.Merge(one->latency());
    totals.duplicates += one->duplicates();
    totals.errors += one->errors();
  }
  RETURN_IF_ERROR(shared.error);
  return totals;
}

}  // namespace kembar::bench
