// channel.cc — see channel.h.
#include "tools/client/channel.h"

#include <grpcpp/grpcpp.h>

namespace kembar::client {
namespace {

constexpr int kMessageBytesMax = 64 << 20;

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 3'000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3'000);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A node that was just restarted is found again quickly.
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 8 << 20);
  // Nodes are inside the institutions' own networks; a web proxy has no business there.
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetMaxReceiveMessageSize(kMessageBytesMax);
  args.SetMaxSendMessageSize(kMessageBytesMax);
  return args;
}

}  // namespace

std::shared_ptr<NodeStubs> ChannelPool::Get(const std::string& address) {
  const std::lock_guard lock(mutex_);
  auto& node = nodes_[address];
  if (!node) {
    auto channel =
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Arguments());
    node = std::make_shared<NodeStubs>();
    node->address = address;
    node->admin = v1::Admin::NewStub(channel);
    node->log = v1::Log::NewStub(channel);
    node->tender = v1::Tender::NewStub(channel);
    node->blob = v1::Blob::NewStub(channel);
  }
  return node;
}

}  // namespace kembar::client
