// status.h — how every operation in Kembar reports failure.
//
// A Status is a code, a message and, where the operator can do something, a hint. It is one pointer
// wide; OK is null. Result<T> is a T or a Status. Neither throws; exceptions of third-party code
// are caught in the file that calls it.
//
// Messages are lower case without a final stop and name what failed and where; each layer prepends
// what it was doing. A Status is logged exactly once, where it is handled.
//
// Thread-safety: a const Status may be read from many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kembar {

enum class Code : uint8_t {
  kOk,
  kInvalid,        // the request or the input is wrong; retrying will not help
  kNotFound,       // no such log, package, node, file
  kExists,         // it is there already
  kNotPrimary,     // this node does not take appends for the log; the message names who does
  kFenced,         // a promise to a higher epoch forbids it
  kGap,            // does not continue what is here: something in between is missing
  kDiverged,       // same place, different content: another history
  kCorrupt,        // stored or received bytes fail their check
  kFull,           // disk or quota exhausted
  kUnavailable,    // cannot be done now; safe to retry
  kTimeout,        // not finished in time; held here, not yet acknowledged; safe to retry
  kCancelled,      // the caller went away or the node is stopping
  kIo,             // the operating system or the store failed
  kUnimplemented,  // the other side does not know this request
  kPrecondition,   // the state of things here forbids it; the message says what
  kInternal,       // should not happen, yet did; a bug report is due
};

// A stable lower-case name such as "not-primary", for messages and JSON.
std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message, std::string hint = {});

  static Status Ok() { return {}; }

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  const std::string& message() const;
  const std::string& hint() const;

  // "fsync segment 12: no space left on device": says what was being done. OK stays OK.
  Status Prepend(std::string_view doing) const;

  // One line for people: "message (hint: …)", or "ok".
  std::string ToString() const;

 private:
  struct Rep {
    Code code;
    std::string message;
    std::string hint;
  };
  std::shared_ptr<const Rep> rep_;
};

namespace internal {
[[noreturn]] void DieBadResultAccess(const Status& status);
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : value_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(value_); }
  Status status() const { return ok() ? Status() : std::get<Status>(value_); }

  // The value; asking a failed Result for it is a broken invariant and aborts.
  T& operator*() & { return Checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->Checked(); }
  T&& operator*() && { return std::move(Checked()); }
  T* operator->() { return &Checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->Checked(); }

 private:
  T& Checked() {
    if (!ok()) internal::DieBadResultAccess(std::get<Status>(value_));
    return std::get<T>(value_);
  }
  std::variant<Status, T> value_;
};

#define KEMBAR_CONCAT_INNER(a, b) a##b
#define KEMBAR_CONCAT(a, b) KEMBAR_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                               \
  do {                                                      \
    if (::kembar::Status status_ = (expr); !status_.ok()) { \
      return status_;                                       \
    }                                                       \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(KEMBAR_CONCAT(result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                          \
  if (!result.ok()) return result.status();      \
  lhs = *std::move(result)

}  // namespace kembar
