// compare_rows.h — the bookkeeping of a comparison: what the log has, what was seen of it in the
// database, and what that means for each package. No I/O.
//
// Thread-safety: none; used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "replicator/base/digest.h"
#include "tools/capture/mapping.h"
#include "tools/restore/compare.h"

namespace kembar::restore {

class RowLedger {
 public:
  // `only`: packages that are told of; empty: all.
  explicit RowLedger(const std::vector<std::string>& only) : only_(only.begin(), only.end()) {}

  // First all living rows of the log.
  void AddLogged(const std::string& package, const std::string& item, const Digest& sha256);

  // Then each row of the database.
  enum class Seen : uint8_t { kIdentical, kDiffers, kExtra };
  struct Sighting {
    Seen seen = Seen::kExtra;
    std::string package;  // not of extra rows
  };
  Sighting See(const std::string& item, const Digest& sha256);
  // The package of a row in the log; nullopt: not there.
  std::optional<std::string> PackageOf(const std::string& item) const;

  // Rows of it were added.
  bool Knows(const std::string& package) const { return numbers_.contains(package); }
  bool Wanted(const std::string& package) const { return only_.empty() || only_.contains(package); }
  void AddDiffering(const std::string& package, RowFinding finding);
  void AddExtra(const std::string& package, RowFinding finding);

  // At the end: missing rows, by table too, and the packages' verdicts. Titles are still empty.
  void Finish(std::map<capture::TableName, TableFinding>* tables, CompareReport* report);

  uint64_t size() const { return rows_.size(); }

 private:
  struct Entry {
    Digest sha256{};
    uint32_t package = 0;
    bool seen = false;
  };
  struct PackageState {
    std::string name;
    uint64_t logged = 0;
    uint64_t missing = 0;
    PackageFinding differing;
    PackageFinding extra;
  };
  uint32_t PackageNumber(const std::string& package);

  const std::set<std::string> only_;
  std::unordered_map<std::string, Entry> rows_;
  std::unordered_map<std::string, uint32_t> numbers_;
  std::vector<PackageState> packages_;
};

// The package of a row that the log does not have, by the mapping and the packages of its parents,
// which the log has or which were extra themselves (so parents come first).
class ExtraPlacer {
 public:
  ExtraPlacer(const capture::Mapping* mapping, const RowLedger* ledger)
      : mapping_(mapping), ledger_(ledger), index_(mapping) {}
  std::string Place(const capture::TableShape& table, const std::string& item,
                    const capture::Row& row, const Captured& captured);

 private:
  void LearnParent(const capture::MemberTable& member, std::string_view value,
                   const Captured& captured);

  const capture::Mapping* const mapping_;
  const RowLedger* const ledger_;
  capture::PackageIndex index_;
};

}  // namespace kembar::restore
