// keys.h — the keys under which RocksStore keeps what it knows: the on-disk format, version 1.
//
// Numbers are big-endian, so that key order is number order. Every key of a log begins with LOG,
// the log id behind one length byte, so that no log's keys lie among another's. STR is a string in
// which 0x00 is written 0x00 0xff, ended by 0x00 0x01: it keeps string order, and "a" is no prefix
// of "ab". Node-wide keys begin with a zero byte, a length that no log id has.
//
//   family      key                          value
//   log         LOG index                    frame
//   tree        LOG level offset             hash
//   positions   LOG STR(source) position     last index of that source's batch
//   items       LOG STR(package) STR(item) ~index   ItemVersion (codec.h)
//   meta        0x00 name                    "format": decimal text, "node_uuid": text,
//                                            "node_name": text, "born_us": decimal text,
//                                            "peer:NAME": born_us in decimal, a blank, uuid
//               LOG 'e'                      last index and root (codec.h)
//               LOG 'h'                      HardState
//               LOG 'c' index                control record's frame
//               LOG 'q' id                   QuarantineInfo (codec.h)
//   quarantine  LOG id index                 frame
//
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kembar::keys {

inline constexpr size_t kLogIdBytesMax = 255;

// A log id is 1..kLogIdBytesMax bytes. Keys of anything else may be asked for but are never stored.
bool IsLogId(std::string_view log);

// Every key of `log`, in every family, begins with this.
std::string LogPrefix(std::string_view log);
// The first key behind all keys that begin with `prefix`, which must hold a byte below 0xff.
std::string PrefixEnd(std::string_view prefix);

std::string LogKey(std::string_view log, uint64_t index);
std::string TreeKey(std::string_view log, uint8_t level, uint64_t offset);

std::string PositionPrefix(std::string_view log, std::string_view source);
std::string PositionKey(std::string_view log, std::string_view source, uint64_t position);

std::string PackagePrefix(std::string_view log, std::string_view package);
// Every key of an item of `package` whose name begins with `item_prefix` begins with this.
std::string ItemsPrefix(std::string_view log, std::string_view package,
                        std::string_view item_prefix);
std::string ItemKey(std::string_view log, std::string_view package, std::string_view item,
                    uint64_t index);

std::string NodeKey(std::string_view name);
std::string EndKey(std::string_view log);
std::string HardStateKey(std::string_view log);
std::string ControlPrefix(std::string_view log);
std::string ControlKey(std::string_view log, uint64_t index);
std::string QuarantineInfoPrefix(std::string_view log);
std::string QuarantineInfoKey(std::string_view log, uint64_t id);
std::string QuarantinePrefix(std::string_view log, uint64_t id);
std::string QuarantineKey(std::string_view log, uint64_t id, uint64_t index);

// Takes a key apart from the front. After the first failure ok() is false and every later part is
// zero or empty.
class Parser {
 public:
  explicit Parser(std::string_view key) : rest_(key) {}
  std::string Log();
  std::string Str();
  uint64_t Number();
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && rest_.empty(); }

 private:
  void Fail();
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace kembar::keys
