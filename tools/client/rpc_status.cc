// rpc_status.cc — see rpc_status.h.
#include "tools/client/rpc_status.h"

#include <grpcpp/grpcpp.h>

#include <charconv>
#include <string_view>

namespace kembar::client {
namespace {

std::string Trailing(const grpc::ClientContext& context, const char* key) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto it = metadata.find(key);
  return it == metadata.end() ? std::string() : std::string(it->second.data(), it->second.size());
}

Code CodeOf(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK: return Code::kOk;
    case grpc::StatusCode::INVALID_ARGUMENT: return Code::kInvalid;
    case grpc::StatusCode::NOT_FOUND: return Code::kNotFound;
    case grpc::StatusCode::ALREADY_EXISTS: return Code::kExists;
    case grpc::StatusCode::FAILED_PRECONDITION: return Code::kNotPrimary;
    case grpc::StatusCode::ABORTED: return Code::kFenced;
    case grpc::StatusCode::OUT_OF_RANGE: return Code::kGap;
    case grpc::StatusCode::DATA_LOSS: return Code::kCorrupt;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Code::kFull;
    case grpc::StatusCode::UNAVAILABLE: return Code::kUnavailable;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return Code::kTimeout;
    case grpc::StatusCode::CANCELLED: return Code::kCancelled;
    case grpc::StatusCode::UNIMPLEMENTED: return Code::kUnimplemented;
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED: return Code::kInvalid;
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::DO_NOT_USE: return Code::kInternal;
  }
  return Code::kInternal;
}

// gRPC has no word for some of our codes; a node sends the exact one along.
Code ExactCode(std::string_view name, grpc::StatusCode code) {
  for (int i = 1; i <= static_cast<int>(Code::kInternal); ++i) {
    if (CodeName(static_cast<Code>(i)) == name) return static_cast<Code>(i);
  }
  return CodeOf(code);
}

}  // namespace

std::string UnescapeMetadata(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16).ptr == &text[i + 1] + 2) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return Status::Ok();
  const Code code = ExactCode(Trailing(context, "kembar-code"), status.error_code());
  std::string message = status.error_message();
  if (message.empty()) message = std::string(CodeName(code));
  return Status(code, std::move(message), UnescapeMetadata(Trailing(context, "kembar-hint")));
}

PrimaryHint PrimaryFrom(const grpc::ClientContext& context) {
  return {.name = Trailing(context, "kembar-primary-name"),
          .address = Trailing(context, "kembar-primary-address")};
}

bool SaysNothing(const grpc::Status& status) {
  return status.error_message().empty() || status.error_message() == "Deadline Exceeded";
}

bool IsRetryable(Code code) {
  switch (code) {
    case Code::kNotPrimary:
    case Code::kFenced:
    case Code::kUnavailable:
    case Code::kTimeout:
    case Code::kCancelled: return true;
    case Code::kOk:
    case Code::kInvalid:
    case Code::kNotFound:
    case Code::kExists:
    case Code::kGap:
    case Code::kDiverged:
    case Code::kCorrupt:
    case Code::kFull:
    case Code::kIo:
    case Code::kUnimplemented:
    case Code::kPrecondition:
    case Code::kInternal: return false;
  }
  return false;
}

}  // namespace kembar::client
