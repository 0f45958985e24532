// facts.h — the small JSON payloads of a captured database: table shapes, transaction markers,
// sequences (docs/capture.md).
//
// Decoders are total: any bytes give a value or kCorrupt. Unknown JSON keys are ignored.
//
// Thread-safety: pure functions and values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/names.h"

namespace kembar::capture {

// A place in the server's WAL, in bytes; shown as "0/16B3748".
using Lsn = uint64_t;
std::string FormatLsn(Lsn lsn);
Result<Lsn> ParseLsn(std::string_view text);

// "2026-11-24T17:00:00Z", of microseconds since 1970 UTC.
std::string FormatUtc(int64_t us);

struct Column {
  std::string name;
  std::string type;        // format_type(): "character varying(120)"
  bool generated = false;  // GENERATED … STORED: never in a row's payload
  bool operator==(const Column&) const = default;
};

// What a reader must know of a table to write its rows. The full DDL is in schema/pre-data.
struct TableShape {
  TableName name;
  TableName root;  // of a partition: the topmost partitioned table; otherwise `name`
  std::vector<Column> columns;
  std::vector<std::string> key;  // primary key, in key order; empty: none
  bool operator==(const TableShape&) const = default;
};
std::string EncodeTable(const TableShape& table);
Result<TableShape> DecodeTable(std::string_view payload);

struct Marker {
  Lsn lsn = 0;               // end of the commit record; of a reconciliation: of its snapshot
  uint32_t xid = 0;          // 0: a reconciliation
  int64_t committed_us = 0;  // the server's commit time, microseconds since 1970 UTC; 0: unknown
  uint64_t changes = 0;      // of this transaction, in the log up to here
  uint64_t part = 1;         // batches of this transaction up to here
  bool last = true;
  bool operator==(const Marker&) const = default;
};
std::string EncodeMarker(const Marker& marker);
Result<Marker> DecodeMarker(std::string_view payload);

struct SequenceState {
  std::string last_value;  // decimal
  bool is_called = false;
  bool operator==(const SequenceState&) const = default;
};
std::string EncodeSequence(const SequenceState& state);
Result<SequenceState> DecodeSequence(std::string_view payload);

}  // namespace kembar::capture
