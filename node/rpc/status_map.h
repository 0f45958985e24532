// status_map.h — Status to gRPC and back, the one place that knows how they correspond.
//
// gRPC has no word for some codes; so the exact one travels in trailing metadata as `kembar-code`
// beside `kembar-hint`, and FromGrpc prefers it. What only the primary answers carries
// `kembar-primary-name` and `kembar-primary-address`.
//
// Thread-safety: pure functions; the context belongs to the caller.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "replicator/base/status.h"

namespace grpc {
class ClientContext;
class ServerContextBase;
}  // namespace grpc

namespace kembar {

inline constexpr char kHintKey[] = "kembar-hint";
inline constexpr char kCodeKey[] = "kembar-code";
inline constexpr char kPrimaryNameKey[] = "kembar-primary-name";
inline constexpr char kPrimaryAddressKey[] = "kembar-primary-address";

grpc::StatusCode ToGrpcCode(Code code);
Code FromGrpcCode(grpc::StatusCode code);

// Adds trailing metadata to `context`, which may be null, so call it once for a call.
grpc::Status ToGrpc(const Status& status, grpc::ServerContextBase* context);
// Names the primary in trailing metadata; empty values are left out.
void AddPrimary(const std::string& name, const std::string& address,
                grpc::ServerContextBase* context);

// `context` of the finished call; may be null.
Status FromGrpc(const grpc::Status& status, const grpc::ClientContext* context);

// A header value may hold printable ASCII only; anything else is written as %XX, and back.
std::string EscapeMetadata(std::string_view text);
std::string UnescapeMetadata(std::string_view text);

}  // namespace kembar
