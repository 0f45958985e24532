// grpc_options.cc — see grpc_options.h.
#include "node/rpc/grpc_options.h"

#include <grpcpp/grpcpp.h>

namespace kembar {
namespace {

constexpr int kMessageBytesMax = 64 << 20;
constexpr int kWindowBytes = 8 << 20;
constexpr int kKeepaliveMs = 3'000;         // a ping after so long without data …
constexpr int kKeepaliveTimeoutMs = 3'000;  // … and the end after so long without its answer
constexpr int kReconnectMinMs = 100;
constexpr int kReconnectMaxMs = 1'000;
constexpr int kConnectTimeoutMs = 5'000;

// Both ends alike. `set` is called with each argument's name and value.
template <class Set>
void Tune(const Set& set) {
  set(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no limit, or pings would cease on a quiet link
  // A fixed window of some MiB: the probing of bandwidth starts at 64 KiB and costs pings.
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
}

}  // namespace

void TuneServer(grpc::ServerBuilder* builder) {
  Tune([builder](const char* name, int value) { builder->AddChannelArgument(name, value); });
  // Peers and tools ping as they need; without this the server would end their connections.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // a port in use is an error
  builder->SetMaxReceiveMessageSize(kMessageBytesMax);
  builder->SetMaxSendMessageSize(kMessageBytesMax);
}

void TunePeerChannel(grpc::ChannelArguments* arguments) {
  Tune([arguments](const char* name, int value) { arguments->SetInt(name, value); });
  arguments->SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  arguments->SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // By its name the least backoff; in fact how long one attempt to connect may take.
  arguments->SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments->SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments->SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a link never goes through a web proxy
  arguments->SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments->SetMaxSendMessageSize(kMessageBytesMax);
}

}  // namespace kembar
