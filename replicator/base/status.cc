// status.cc — see status.h.
#include "replicator/base/status.h"

#include "replicator/base/check.h"

namespace kembar {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalid: return "invalid";
    case Code::kNotFound: return "not-found";
    case Code::kExists: return "exists";
    case Code::kNotPrimary: return "not-primary";
    case Code::kFenced: return "fenced";
    case Code::kGap: return "gap";
    case Code::kDiverged: return "diverged";
    case Code::kCorrupt: return "corrupt";
    case Code::kFull: return "full";
    case Code::kUnavailable: return "unavailable";
    case Code::kTimeout: return "timeout";
    case Code::kCancelled: return "cancelled";
    case Code::kIo: return "io";
    case Code::kUnimplemented: return "unimplemented";
    case Code::kPrecondition: return "precondition";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

Status::Status(Code code, std::string message, std::string hint) {
  CHECK(code != Code::kOk);
  rep_ = std::make_shared<const Rep>(Rep{code, std::move(message), std::move(hint)});
}

static const std::string& Empty() {
  static const std::string empty;
  return empty;
}

const std::string& Status::message() const { return rep_ ? rep_->message : Empty(); }
const std::string& Status::hint() const { return rep_ ? rep_->hint : Empty(); }

Status Status::Prepend(std::string_view doing) const {
  if (ok()) return *this;
  return {code(), std::string(doing) + ": " + message(), hint()};
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  return hint().empty() ? message() : message() + " (hint: " + hint() + ")";
}

void internal::DieBadResultAccess(const Status& status) {
  CheckFailed("Result holds a value", status.ToString());
}

}  // namespace kembar
