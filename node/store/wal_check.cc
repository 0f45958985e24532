// wal_check.cc — see wal_check.h.
#include "node/store/wal_check.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>
#include <system_error>

#include "node/store/rocks_store.h"
#include "replicator/base/bytes.h"

namespace kembar {
namespace {

constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;        // crc32c, length, type
constexpr size_t kBatchHeaderBytes = 12;  // the least a batch has: sequence number and count
constexpr size_t kSectorBytes = 512;      // what a disk writes wholly or not at all
enum Fragment : uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

uint32_t Crc32c(std::string_view bytes) {
  static const auto kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = ~0u;
  for (char c : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

bool AllZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

// The fragment that begins at the front of `rest`; size 0 when none that is whole does.
struct Piece {
  uint8_t type = 0;
  size_t size = 0;  // with its header
};

Piece ParsePiece(std::string_view rest) {
  if (rest.size() < kHeaderBytes) return {};
  ByteReader reader(rest);
  uint32_t masked = reader.U32();
  size_t length = reader.U8();
  length |= static_cast<size_t>(reader.U8()) << 8;
  uint8_t type = reader.U8();
  if (type < kFull || type > kLast || rest.size() < kHeaderBytes + length) return {};
  uint32_t rotated = masked - 0xa282ead8u;  // RocksDB stores its checksums masked
  uint32_t crc = (rotated >> 17) | (rotated << 15);
  if (Crc32c(rest.substr(kHeaderBytes - 1, 1 + length)) != crc) return {};
  return {type, kHeaderBytes + length};
}

// Follows one file block by block.
class Scanner {
 public:
  void Block(std::string_view block) {
    size_t at = 0;
    while (!damaged_ && at < block.size()) at = Step(block, at);
    if (damaged_) LookBehind(block, at);
    offset_ += block.size();
  }

  bool damaged() const { return damaged_ || in_write_; }
  uint64_t damaged_at() const { return damaged_ ? damaged_at_ : write_at_; }
  // Nothing valid follows, and pages are missing or the file ends early.
  bool torn() const { return !follows_ && (!damaged_ || missing_); }
  // No more than zeros where the next write would begin: space that was set aside.
  bool only_zeros() const { return damaged_ && !in_write_ && zeros_; }

 private:
  // Takes one fragment and returns where the next begins.
  size_t Step(std::string_view block, size_t at) {
    std::string_view rest = block.substr(at);
    if (rest.size() < kHeaderBytes && block.size() == kBlockBytes && AllZero(rest)) {
      return block.size();  // too little room for another header
    }
    Piece piece = ParsePiece(rest);
    bool begins = piece.type == kFull || piece.type == kFirst;
    if (piece.size == 0 || begins == in_write_) {
      damaged_ = true;
      damaged_at_ = in_write_ ? write_at_ : offset_ + at;
      missing_ = RunsPastEnd(rest, block.size());
      return at;
    }
    if (begins) write_at_ = offset_ + at;
    in_write_ = piece.type == kFirst || piece.type == kMiddle;
    return at + piece.size;
  }

  // Whether the fragment at the front of `rest` is cut off by the end of the file.
  static bool RunsPastEnd(std::string_view rest, size_t block_bytes) {
    if (block_bytes == kBlockBytes) return false;
    if (rest.size() < kHeaderBytes) return true;
    size_t length = static_cast<unsigned char>(rest[4]) |
                    static_cast<size_t>(static_cast<unsigned char>(rest[5])) << 8;
    return kHeaderBytes + length > rest.size();
  }

  // Behind damage: does another write begin there, is a sector missing?
  void LookBehind(std::string_view block, size_t from) {
    zeros_ = zeros_ && AllZero(block.substr(from));
    for (size_t at = from; at < block.size() && !missing_;) {
      size_t end = std::min(block.size(), (at / kSectorBytes + 1) * kSectorBytes);
      missing_ = AllZero(block.substr(at, end - at));
      at = end;
    }
    for (size_t at = from; at < block.size() && !follows_; ++at) {
      Piece piece = ParsePiece(block.substr(at));
      // A first fragment fills its block; anything else would be chance.
      follows_ = (piece.type == kFull && piece.size >= kHeaderBytes + kBatchHeaderBytes) ||
                 (piece.type == kFirst && at + piece.size == kBlockBytes);
    }
  }

  uint64_t offset_ = 0;    // of the block in hand
  bool in_write_ = false;  // a write has begun and not ended
  uint64_t write_at_ = 0;  // where it began
  bool damaged_ = false;
  uint64_t damaged_at_ = 0;
  bool missing_ = false;
  bool follows_ = false;
  bool zeros_ = true;
};

}  // namespace

Result<WalState> CheckWal(const std::string& path, bool is_last) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status(Code::kIo, "open " + path + " failed");
  Scanner scanner;
  std::string block(kBlockBytes, '\0');
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    scanner.Block(std::string_view(block).substr(0, static_cast<size_t>(file.gcount())));
  }
  if (file.bad()) return Status(Code::kIo, "read " + path + " failed");
  if (!scanner.damaged() || scanner.only_zeros()) return WalState::kClean;
  if (is_last && scanner.torn()) return WalState::kTorn;
  return Status(Code::kCorrupt,
                "write-ahead log " + path + " is damaged at byte " +
                    std::to_string(scanner.damaged_at()) +
                    ", and not as a torn last write would be",
                std::string("check the disk, then ") + kRebuildHint);
}

Result<WalState> CheckWals(const std::string& dir) {
  std::map<std::string, std::string> by_number;  // numbers are zero-padded to six digits or more
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (entry.path().extension() != ".log" || entry.file_size(error) == 0) continue;
    std::string stem = entry.path().stem().string();
    by_number[std::string(20 - std::min<size_t>(20, stem.size()), '0') + stem] = entry.path();
  }
  if (error) return Status(Code::kIo, "list " + dir + ": " + error.message());
  WalState state = WalState::kClean;
  for (const auto& [number, path] : by_number) {
    ASSIGN_OR_RETURN(state, CheckWal(path, number == by_number.rbegin()->first));
  }
  return state;
}

}  // namespace kembar
