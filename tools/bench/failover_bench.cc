// failover_bench.cc — see failover_bench.h.
#include "tools/bench/failover_bench.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "tools/bench/payload.h"
#include "tools/bench/processes.h"
#include "tools/client/cluster.h"
#include "tools/client/convert.h"
#include "tools/client/rpc_status.h"

namespace kembar::bench {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

std::vector<std::string> FailoverCommand(const FailoverOptions& options, const std::string& log) {
  std::vector<std::string> words{
      options.kembarctl.empty() ? BesideThisProgram("kembarctl") : options.kembarctl,
      "--node",
      options.node,
      "--log",
      log,
      "--output",
      "json",
      "--yes",
      "failover",
      "--to",
      options.to};
  for (const std::string& name : options.without) {
    words.push_back("--without");
    words.push_back(name);
  }
  return words;
}

// Appends at one node without pause until one is acknowledged in an epoch above `old_epoch`.
Result<v1::AppendResponse> FirstAcknowledged(client::NodeStubs* node, const std::string& log,
                                             uint64_t old_epoch, const client::Deadline& deadline) {
  v1::AppendRequest request;
  request.set_log(log);
  request.set_source("bench/failover/" + std::to_string(getpid()));
  request.set_position(1);
  v1::Draft* draft = request.add_drafts();
  draft->set_kind(v1::RECORD_KIND_PUT);
  draft->set_package("bench/failover");
  draft->set_item(request.source());
  draft->set_payload(MakePayload(request.source(), 1, 200));
  client::Backoff backoff(client::Millis(1), client::Millis(3));
  Status last;
  do {
    grpc::ClientContext context;
    deadline.Within(client::Millis(2'000)).ApplyTo(&context);
    v1::AppendResponse answer;
    const grpc::Status status = node->log->Append(&context, request, &answer);
    if (status.ok() && answer.epoch() > old_epoch) return answer;
    last = client::FromGrpc(status, context);
  } while (backoff.Wait(deadline));
  return last.Prepend("nothing was acknowledged in a new epoch");
}

std::vector<std::string> Seeds(const std::string& list) {
  std::vector<std::string> seeds;
  for (size_t from = 0; from <= list.size();) {
    const size_t comma = std::min(list.find(',', from), list.size());
    if (comma > from) seeds.push_back(list.substr(from, comma - from));
    from = comma + 1;
  }
  return seeds;
}

}  // namespace

Result<FailoverTimes> MeasureFailover(const FailoverOptions& options) {
  client::Cluster cluster(Seeds(options.node));
  RETURN_IF_ERROR(cluster.Refresh());
  ASSIGN_OR_RETURN(const std::string log, cluster.ResolveLog(options.log));
  const client::NodeView* target = cluster.Find(options.to);
  if (target == nullptr || target->Log(log) == nullptr) {
    return Status(Code::kNotFound, "node " + options.to + " does not answer for log " + log);
  }
  const uint64_t old_epoch = target->Log(log)->epoch();
  const auto node = cluster.Stubs(target->address);
  const client::Deadline deadline =
      client::Deadline::After(client::Millis(static_cast<int64_t>(options.timeout_s * 1000)));
  if (options.kill_pid > 0) kill(options.kill_pid, SIGKILL);

  const Clock::time_point begun = Clock::now();
  FailoverTimes times;
  Status command_error;
  std::thread command([&] {
    Result<std::string> output = RunProgram(FailoverCommand(options, log));
    times.command_seconds = SecondsSince(begun);
    command_error = output.status();
    if (output.ok()) times.output = *output;
  });
  Result<v1::AppendResponse> first = FirstAcknowledged(node.get(), log, old_epoch, deadline);
  times.first_ack_seconds = SecondsSince(begun);
  command.join();
  RETURN_IF_ERROR(command_error);
  if (!first.ok()) return first.status();
  times.epoch = client::ShownEpoch(first->epoch());
  while (!times.output.empty() && times.output.back() == '\n') times.output.pop_back();
  return times;
}

}  // namespace kembar::bench
