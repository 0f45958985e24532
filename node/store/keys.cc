// keys.cc — see keys.h.
#include "node/store/keys.h"

#include "replicator/base/bytes.h"
#include "replicator/base/check.h"

namespace kembar::keys {
namespace {

constexpr char kZero = '\0';
constexpr char kEscapedZero = '\xff';
constexpr char kEndOfString = '\x01';

void AppendLog(std::string* out, std::string_view log) {
  if (!IsLogId(log)) {
    // Log names come from outside: one that cannot be must read as unknown. No key begins so.
    out->append(2, kZero);
    return;
  }
  out->push_back(static_cast<char>(log.size()));
  out->append(log);
}

void AppendEscaped(std::string* out, std::string_view text) {
  for (char c : text) {
    out->push_back(c);
    if (c == kZero) out->push_back(kEscapedZero);
  }
}

void AppendStr(std::string* out, std::string_view text) {
  AppendEscaped(out, text);
  out->push_back(kZero);
  out->push_back(kEndOfString);
}

std::string MetaKey(std::string_view log, char kind) {
  std::string key = LogPrefix(log);
  key.push_back(kind);
  return key;
}

std::string WithNumber(std::string key, uint64_t number) {
  AppendBigEndian64(&key, number);
  return key;
}

}  // namespace

bool IsLogId(std::string_view log) { return !log.empty() && log.size() <= kLogIdBytesMax; }

std::string LogPrefix(std::string_view log) {
  std::string key;
  key.reserve(1 + log.size() + 24);
  AppendLog(&key, log);
  return key;
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  CHECK(!end.empty());
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::string LogKey(std::string_view log, uint64_t index) {
  return WithNumber(LogPrefix(log), index);
}

std::string TreeKey(std::string_view log, uint8_t level, uint64_t offset) {
  std::string key = LogPrefix(log);
  key.push_back(static_cast<char>(level));
  return WithNumber(std::move(key), offset);
}

std::string PositionPrefix(std::string_view log, std::string_view source) {
  std::string key = LogPrefix(log);
  AppendStr(&key, source);
  return key;
}

std::string PositionKey(std::string_view log, std::string_view source, uint64_t position) {
  return WithNumber(PositionPrefix(log, source), position);
}

std::string PackagePrefix(std::string_view log, std::string_view package) {
  std::string key = LogPrefix(log);
  AppendStr(&key, package);
  return key;
}

std::string ItemsPrefix(std::string_view log, std::string_view package,
                        std::string_view item_prefix) {
  std::string key = PackagePrefix(log, package);
  AppendEscaped(&key, item_prefix);
  return key;
}

std::string ItemKey(std::string_view log, std::string_view package, std::string_view item,
                    uint64_t index) {
  std::string key = PackagePrefix(log, package);
  AppendStr(&key, item);
  return WithNumber(std::move(key), ~index);
}

std::string NodeKey(std::string_view name) { return std::string(1, kZero).append(name); }
std::string EndKey(std::string_view log) { return MetaKey(log, 'e'); }
std::string HardStateKey(std::string_view log) { return MetaKey(log, 'h'); }
std::string ControlPrefix(std::string_view log) { return MetaKey(log, 'c'); }
std::string QuarantineInfoPrefix(std::string_view log) { return MetaKey(log, 'q'); }

std::string ControlKey(std::string_view log, uint64_t index) {
  return WithNumber(ControlPrefix(log), index);
}

std::string QuarantineInfoKey(std::string_view log, uint64_t id) {
  return WithNumber(QuarantineInfoPrefix(log), id);
}

std::string QuarantinePrefix(std::string_view log, uint64_t id) {
  return WithNumber(LogPrefix(log), id);
}

std::string QuarantineKey(std::string_view log, uint64_t id, uint64_t index) {
  return WithNumber(QuarantinePrefix(log, id), index);
}

void Parser::Fail() {
  ok_ = false;
  rest_ = {};
}

std::string Parser::Log() {
  if (rest_.empty()) {
    Fail();
    return {};
  }
  size_t size = static_cast<unsigned char>(rest_.front());
  if (size == 0 || rest_.size() < 1 + size) {
    Fail();
    return {};
  }
  std::string log(rest_.substr(1, size));
  rest_.remove_prefix(1 + size);
  return log;
}

std::string Parser::Str() {
  std::string text;
  for (size_t i = 0; i < rest_.size(); ++i) {
    if (rest_[i] != kZero) {
      text.push_back(rest_[i]);
      continue;
    }
    if (++i == rest_.size()) break;
    if (rest_[i] == kEndOfString) {
      rest_.remove_prefix(i + 1);
      return text;
    }
    if (rest_[i] != kEscapedZero) break;
    text.push_back(kZero);
  }
  Fail();
  return {};
}

uint64_t Parser::Number() {
  if (rest_.size() < 8) {
    Fail();
    return 0;
  }
  uint64_t number = ReadBigEndian64(rest_);
  rest_.remove_prefix(8);
  return number;
}

}  // namespace kembar::keys
