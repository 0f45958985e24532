// manual.h — procurement that was done by hand during an outage: CSV rows into records, and what
// the log holds of one (docs/manual-procurement.md).
//
// A record is known by its package and contract number, of which item "manual/KEY" of the package
// is made: the same contract imported again is the same item.
//
// Pure but for ReadManualFile. One broken row costs one row, as in import.h; errors name row and
// column. Amounts are exact decimals: what can be read in two ways is rejected. So is what a node
// would not take: an import stops at no row that was read here.
//
// Thread-safety: all functions may be called from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"
#include "tools/import/import.h"

namespace kembar::import {

struct ManualRecord {
  uint64_t row = 0;  // in its file, as a spreadsheet numbers it: the header is 1
  std::string package;
  std::string title;
  std::string unit;   // the office that buys
  std::string value;  // rupiah, "150000000" or "150000000.50"
  std::string method;
  std::string vendor;
  std::string contract_number;
  std::string contract_date;  // "2026-11-24"
  std::string recommendation_letter;
  std::vector<std::string> attachments;  // paths as written, none leads out of the file's folder
};

struct ManualFile {
  std::string path;
  std::vector<ManualRecord> records;
  std::vector<Reject> rejected;
  uint64_t rows = 0;     // without header and blank rows
  uint64_t repeats = 0;  // rows that say the same as one before
};

// Columns are separated by commas or, when the header is, by semicolons. kInvalid: no CSV of this
// form (no header, a column missing, unknown, or twice).
Result<ManualFile> ParseManual(const std::string& name, std::string_view bytes);
Result<ManualFile> ReadManualFile(const std::string& path);

// "manual/KEY"; ASCII, at most 1,024 bytes.
std::string ManualItem(std::string_view contract_number);
inline constexpr std::string_view kManualPrefix = "manual/";

struct ManualAttachment {
  std::string name;  // as written
  std::string path;  // of the document, docs/documents.md
  uint64_t size = 0;
  std::string sha256;
  bool operator==(const ManualAttachment&) const = default;
};

// What a record's payload says. `record.row`, `.package` and `.attachments` are not in it.
struct StoredManual {
  ManualRecord record;
  std::vector<ManualAttachment> attachments;
  std::string recorded_by;
  bool entered = false;  // in SPSE
  std::string entered_by;
  std::string entered_at;  // RFC 3339
  std::string spse_code;
};
std::string EncodeManual(const StoredManual& stored);
// kCorrupt when it is none. Total.
Result<StoredManual> DecodeManual(std::string_view payload);
// Whether two say the same of the procurement itself, whoever recorded or entered it.
bool SameFacts(const StoredManual& a, const StoredManual& b);

// What is said of a package; empty: nothing.
struct PackageFacts {
  std::string title;
  std::string value;
  std::string unit;
  bool operator==(const PackageFacts&) const = default;
};
// What a new version of a record says of its package, of which `known` is said: that which is said
// by nobody, or by the record's version before (`previous`; all empty: there is none) and otherwise
// now. What others say of the package stands.
PackageFacts SaysOfPackage(const PackageFacts& known, const ManualRecord& previous,
                           const ManualRecord& next);

// "150000000", "150000000.5", "150.000.000", "150.000.000,50", "150.000.000,-", each also behind
// "Rp" in any case; empty for all else, "150.000" above all, which is one thing in Indonesia and
// another elsewhere.
std::string ReadAmount(std::string_view text);
// ISO "2026-11-24" from that, "24-11-2026" or "24/11/2026"; empty for what no calendar has.
std::string ReadDate(std::string_view text);

}  // namespace kembar::import
