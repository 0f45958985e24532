// client.cc — see client.h.
#include "tests/sim/client.h"

#include <algorithm>

#include "tests/sim/world.h"

namespace kembar::sim {
namespace {

constexpr int64_t kTimeoutUs = 2'000'000;
constexpr int64_t kBackoffUs = 150'000;

}  // namespace

size_t Client::submitted() const { return world_->book()[source_].size(); }

void Client::Submit(size_t records) {
  std::vector<SourceBatch>& batches = world_->book()[source_];
  SourceBatch batch;
  const uint64_t last = batches.empty() ? 0 : batches.back().position;
  batch.position = last + 1 + (world_->options().chance ? world_->random().Below(3) : 0);
  for (size_t i = 0; i < records; ++i) {
    std::string payload = source_ + "/" + std::to_string(batch.position) + "/" + std::to_string(i);
    if (world_->options().chance) payload.append(world_->random().Below(120), 'x');
    batch.payloads.push_back(std::move(payload));
  }
  batches.push_back(std::move(batch));
  Fill();
}

void Client::Generate(int64_t interval_us) {
  if (!generating_ && interval_us > 0) generating_ = true;
  if (submitted() < acked_ + 20) {
    Submit(world_->random().Percent(70) ? 1 : 1 + world_->random().Below(4));
  }
  world_->After(world_->Delay(interval_us), [this, interval_us] {
    if (generating_) Generate(interval_us);
  });
}

void Client::Fill() {
  while (!waiting_ && next_ < submitted() && next_ < acked_ + window_) SendBatch(next_++);
}

void Client::SendBatch(size_t batch) {
  if (target_.empty()) ChooseTarget();
  const std::vector<SourceBatch>& batches = world_->book()[source_];
  AppendRequest request;
  request.source = source_;
  request.position = batches[batch].position;
  request.after_position = batch == 0 ? 0 : batches[batch - 1].position;
  for (const std::string& payload : batches[batch].payloads) {
    request.drafts.push_back(
        {.package = "tender/" + std::to_string(batch % 7), .item = source_, .payload = payload});
  }
  const uint64_t attempt = attempt_;
  request.ticket = world_->NewAppendTicket(
      source_, batch,
      [this, batch, attempt](const Reply& reply) { OnReply(batch, attempt, reply); });
  world_->After(world_->Delay(300), [this, to = target_, request = std::move(request)]() mutable {
    Node& node = world_->node(to);
    if (!node.clients_cut()) node.Post(std::move(request));
  });
  world_->After(world_->Delay(kTimeoutUs), [this, batch, attempt] {
    const bool done = batch < acked_ || acked_beyond_.contains(batch);
    if (attempt == attempt_ && !done) OnFailure("no answer", false);
  });
}

void Client::OnReply(size_t batch, uint64_t attempt, const Reply& reply) {
  if (!reply.status.ok()) {
    if (attempt == attempt_) {
      OnFailure(reply.status.message(), reply.status.code() == Code::kGap);
    }
    return;
  }
  if (attempt != attempt_) return;  // sent again since: that answer counts
  last_failure_.clear();
  steps_back_ = 1;
  acked_beyond_.insert(batch);
  while (acked_beyond_.erase(acked_) > 0) ++acked_;
  Fill();
}

// A gap says that the node lacks what came before: it is not the one that acknowledged it (it lags,
// or a loss was accepted). Going back is always safe, because what is there is not taken twice.
void Client::OnFailure(const std::string& why, bool gap) {
  ++attempt_;
  last_failure_ = why;
  if (gap) {
    acked_ -= std::min(acked_, steps_back_);
    steps_back_ = std::min<size_t>(steps_back_ * 2, 16);
    acked_beyond_.clear();
  }
  next_ = acked_;
  waiting_ = true;
  if (!gap || world_->random().Percent(30)) ChooseTarget();
  world_->After(world_->Delay(kBackoffUs), [this] {
    waiting_ = false;
    Fill();
  });
}

void Client::ChooseTarget() {
  const std::string reigning = world_->ReigningNode();
  const bool told = !world_->options().chance || world_->random().Percent(60);
  if (told && !reigning.empty()) {
    target_ = reigning;
    return;
  }
  std::vector<std::string> names;
  for (const auto& [name, node] : world_->nodes()) names.push_back(name);
  target_ = world_->random().Pick(names);
}

}  // namespace kembar::sim
