// grpc_options.h — how this node's gRPC server and its channels to peers are tuned: message size,
// HTTP/2 window, keepalive. One place, because both ends must fit.
//
// Pure.
#pragma once

namespace grpc {
class ChannelArguments;
class ServerBuilder;
}  // namespace grpc

namespace kembar {

// Call before adding services.
void TuneServer(grpc::ServerBuilder* builder);
void TunePeerChannel(grpc::ChannelArguments* arguments);

}  // namespace kembar
