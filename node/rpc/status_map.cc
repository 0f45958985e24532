// status_map.cc — see status_map.h.
#include "node/rpc/status_map.h"

#include <grpcpp/grpcpp.h>

#include <charconv>
#include <optional>

namespace kembar {
namespace {

std::optional<Code> CodeFromName(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const Code code = static_cast<Code>(i);
    if (CodeName(code) == name) return code;
  }
  return std::nullopt;
}

std::string Trailing(const grpc::ClientContext* context, const char* key) {
  if (context == nullptr) return {};
  const auto& metadata = context->GetServerTrailingMetadata();
  auto it = metadata.find(key);
  if (it == metadata.end()) return {};
  return UnescapeMetadata({it->second.data(), it->second.size()});
}

}  // namespace

grpc::StatusCode ToGrpcCode(Code code) {
  switch (code) {
    case Code::kOk: return grpc::StatusCode::OK;
    case Code::kInvalid: return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kNotFound: return grpc::StatusCode::NOT_FOUND;
    case Code::kExists: return grpc::StatusCode::ALREADY_EXISTS;
    case Code::kNotPrimary: return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kFenced: return grpc::StatusCode::ABORTED;
    case Code::kGap: return grpc::StatusCode::OUT_OF_RANGE;
    case Code::kDiverged: return grpc::StatusCode::DATA_LOSS;
    case Code::kCorrupt: return grpc::StatusCode::DATA_LOSS;
    case Code::kFull: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kUnavailable: return grpc::StatusCode::UNAVAILABLE;
    case Code::kTimeout: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Code::kCancelled: return grpc::StatusCode::CANCELLED;
    case Code::kIo: return grpc::StatusCode::INTERNAL;
    case Code::kUnimplemented: return grpc::StatusCode::UNIMPLEMENTED;
    case Code::kPrecondition: return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kInternal: return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

Code FromGrpcCode(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK: return Code::kOk;
    case grpc::StatusCode::CANCELLED: return Code::kCancelled;
    case grpc::StatusCode::INVALID_ARGUMENT: return Code::kInvalid;
    case grpc::StatusCode::DEADLINE_EXCEEDED: return Code::kTimeout;
    case grpc::StatusCode::NOT_FOUND: return Code::kNotFound;
    case grpc::StatusCode::ALREADY_EXISTS: return Code::kExists;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Code::kFull;
    case grpc::StatusCode::FAILED_PRECONDITION: return Code::kNotPrimary;
    case grpc::StatusCode::ABORTED: return Code::kFenced;
    case grpc::StatusCode::OUT_OF_RANGE: return Code::kGap;
    case grpc::StatusCode::UNIMPLEMENTED: return Code::kUnimplemented;
    case grpc::StatusCode::UNAVAILABLE: return Code::kUnavailable;
    case grpc::StatusCode::DATA_LOSS: return Code::kCorrupt;
    // The node refuses us, however often we ask.
    case grpc::StatusCode::UNAUTHENTICATED: return Code::kInvalid;
    case grpc::StatusCode::PERMISSION_DENIED: return Code::kInvalid;
    case grpc::StatusCode::UNKNOWN: return Code::kInternal;
    case grpc::StatusCode::INTERNAL: return Code::kInternal;
    case grpc::StatusCode::DO_NOT_USE: return Code::kInternal;
  }
  return Code::kInternal;
}

grpc::Status ToGrpc(const Status& status, grpc::ServerContextBase* context) {
  if (status.ok()) return grpc::Status::OK;
  if (context != nullptr) {
    context->AddTrailingMetadata(kCodeKey, std::string(CodeName(status.code())));
    if (!status.hint().empty()) {
      context->AddTrailingMetadata(kHintKey, EscapeMetadata(status.hint()));
    }
  }
  return {ToGrpcCode(status.code()), status.message()};
}

void AddPrimary(const std::string& name, const std::string& address,
                grpc::ServerContextBase* context) {
  if (!name.empty()) context->AddTrailingMetadata(kPrimaryNameKey, EscapeMetadata(name));
  if (!address.empty()) context->AddTrailingMetadata(kPrimaryAddressKey, EscapeMetadata(address));
}

Status FromGrpc(const grpc::Status& status, const grpc::ClientContext* context) {
  if (status.ok()) return {};
  Code code = FromGrpcCode(status.error_code());
  const std::optional<Code> exact = CodeFromName(Trailing(context, kCodeKey));
  // A code that does not fit its gRPC code was not written by ToGrpc.
  if (exact && ToGrpcCode(*exact) == status.error_code()) code = *exact;
  std::string text = status.error_message();
  if (text.empty()) text = CodeName(code);
  return {code, std::move(text), Trailing(context, kHintKey)};
}

std::string EscapeMetadata(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte > 0x20 && byte < 0x7f && c != '%';
    // Spaces at the ends of a header value do not survive.
    const bool inner_space = c == ' ' && i != 0 && i + 1 != text.size();
    if (plain || inner_space) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string UnescapeMetadata(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && text.size() - i > 2) {
      const char* end = text.data() + i + 3;
      auto [stop, error] = std::from_chars(text.data() + i + 1, end, value, 16);
      if (error == std::errc() && stop == end) {
        out += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace kembar
