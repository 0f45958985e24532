// log_client.cc — see log_client.h.
#include "tools/agent/postgres/log_client.h"

#include "tools/client/reader.h"

namespace kembar::agent {
namespace {

using client::Deadline;

// Positions jump at each session, by more than may be under way: a batch of an earlier session that
// arrives late has a position below and counts as appended already.
constexpr uint64_t kSessionPositions = 2'048;
static_assert(kSessionPositions > 2 * kBatchesInFlightMax);

}  // namespace

LogClient::LogClient(Options options)
    : options_(std::move(options)),
      channels_(std::make_shared<client::ChannelPool>()),
      cluster_(options_.nodes, channels_) {}

Status LogClient::Connect() {
  RETURN_IF_ERROR(cluster_.Refresh());
  ASSIGN_OR_RETURN(log_, cluster_.ResolveLog(options_.log));
  follower_ = std::make_unique<client::PrimaryFollower>(&cluster_, log_);
  return follower_->Get(Deadline::After(options_.timeout)).status();
}

Result<LogStanding> LogClient::Standing() {
  const Deadline deadline = Deadline::After(options_.timeout);
  ASSIGN_OR_RETURN(const v1::SourcePositionResponse last,
                   client::ReadSourcePosition(follower_.get(), options_.source, deadline));
  LogStanding standing{.position = last.position(), .marker = {.part = 0, .last = false}};
  if (last.position() == 0) return standing;
  ASSIGN_OR_RETURN(const auto node, follower_->Get(deadline));
  v1::ReadRequest request;
  request.set_log(log_);
  request.set_from(last.index());
  request.set_to(last.index());
  v1::Record record;
  RETURN_IF_ERROR(client::ReadRecords(node.get(), request, deadline, [&](const v1::Record& found) {
    record = found;
    return true;
  }));
  const capture::ItemKind kind = capture::ParseItem(record.item()).kind;
  if (record.source() != options_.source ||
      (kind != capture::ItemKind::kTransaction && kind != capture::ItemKind::kTransactionPart)) {
    return Status(Code::kCorrupt,
                  "the last record of source " + options_.source + ", at index " +
                      std::to_string(last.index()) + " of log " + log_ + ", is not a marker",
                  "does something else append under this name? give the source another one");
  }
  ASSIGN_OR_RETURN(standing.marker, capture::DecodeMarker(record.payload()));
  return standing;
}

Result<LogStanding> LogClient::Fence(const std::vector<v1::Draft>& drafts, bool discontinued) {
  const Deadline deadline = Deadline::After(options_.timeout);
  client::Backoff backoff;
  while (true) {
    ASSIGN_OR_RETURN(LogStanding standing, Standing());
    if (discontinued) {
      standing.marker.xid = 0;
      standing.marker.last = false;
    }
    v1::AppendRequest request;
    request.set_log(log_);
    request.set_source(options_.source);
    request.set_after_position(standing.position);
    request.set_position(standing.position + kSessionPositions);
    for (const v1::Draft& draft : drafts) *request.add_drafts() = draft;
    v1::Draft* marker = request.add_drafts();
    marker->set_kind(v1::RECORD_KIND_PUT);
    marker->set_package("-");
    marker->set_item(capture::TransactionItem(options_.source, standing.marker.last));
    marker->set_payload(capture::EncodeMarker(standing.marker));
    const auto appended = client::AppendOnce(follower_.get(), request, options_.timeout);
    if (appended.ok()) {
      standing.position = request.position();
      ReadAsOf(appended->index());
      return standing;
    }
    // A batch of the session before is there but not committed yet: look again.
    if (appended.status().code() != Code::kGap || !backoff.Wait(deadline)) {
      return appended.status().Prepend("begin a session of source " + options_.source);
    }
  }
}

Result<std::optional<std::string>> LogClient::Get(const std::string& package,
                                                  const std::string& item) {
  const Deadline deadline = Deadline::After(options_.timeout);
  v1::GetItemRequest request;
  request.set_log(log_);
  request.set_package(package);
  request.set_item(item);
  if (as_of_ > 0) request.mutable_as_of()->set_index(as_of_);
  v1::ItemVersion found;
  const Status status = client::ReadCommitted(
      follower_.get(), deadline,
      [&](client::NodeStubs* node) { return client::GetItem(node, request, deadline, &found); });
  if (status.code() == Code::kNotFound) return std::optional<std::string>();
  RETURN_IF_ERROR(status.Prepend("read " + item + " from the log"));
  if (found.kind() != v1::RECORD_KIND_PUT) return std::optional<std::string>();
  return std::optional<std::string>(std::move(*found.mutable_payload()));
}

Status LogClient::ListOf(const std::string& package, const std::string& item_prefix,
                         bool with_payload, const EachItem& each) {
  v1::ListItemsRequest request;
  request.set_log(log_);
  request.set_package(package);
  request.set_item_prefix(item_prefix);
  request.set_with_payload(with_payload);
  if (as_of_ > 0) request.mutable_as_of()->set_index(as_of_);
  Status failed;
  const auto take = [&](const v1::ItemVersion& version) {
    if (version.kind() != v1::RECORD_KIND_PUT) return true;
    failed = each(version);
    return failed.ok();
  };
  const Status status = client::ReadCommitted(
      follower_.get(), Deadline::After(options_.timeout), [&](client::NodeStubs* node) {
        return client::ListItems(node, request, Deadline::Never(), take);
      });
  RETURN_IF_ERROR(failed);
  return status.Prepend("list " + item_prefix + "… of the log");
}

}  // namespace kembar::agent
