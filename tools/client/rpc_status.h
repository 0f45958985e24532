// rpc_status.h — a finished call's gRPC status in our words.
//
// Pure. The counterpart on the server is node/rpc/status_map.h: the exact code travels in trailing
// metadata "kembar-code", the hint in "kembar-hint", the primary in "kembar-primary-name" and
// "kembar-primary-address".
#pragma once

#include <string>
#include <string_view>

#include "replicator/base/status.h"

namespace grpc {
class ClientContext;
class Status;
}  // namespace grpc

namespace kembar::client {

// Who is primary, as a refusing node said. Empty: it did not know.
struct PrimaryHint {
  std::string name;
  std::string address;
};

// `context` belongs to the call, which has finished. The hint is the server's, if it gave one.
Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context);
PrimaryHint PrimaryFrom(const grpc::ClientContext& context);
// True when the status holds no words of the node's own, only that the time was up.
bool SaysNothing(const grpc::Status& status);

// Header values are printable ASCII; the rest is written %XX there.
std::string UnescapeMetadata(std::string_view text);

// Whether the same request may succeed later, perhaps at another node.
bool IsRetryable(Code code);

}  // namespace kembar::client
