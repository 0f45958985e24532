// pgoutput.h — messages of PostgreSQL's logical decoding plugin pgoutput, protocol version 1.
// https://www.postgresql.org/docs/15/protocol-logicalrep-message-formats.html
//
// Version 1 sends a transaction as a whole, after its commit: Begin, for each change a Relation
// (once a session, and again when it changed) and the change, Commit.
//
// Pure. The decoder is total: any bytes give a message or kCorrupt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "replicator/base/status.h"
#include "tools/capture/facts.h"

namespace kembar::postgres {

using capture::Lsn;

struct BeginMessage {
  Lsn commit_lsn = 0;        // where the commit record begins
  int64_t committed_us = 0;  // microseconds since 1970 UTC
  uint32_t xid = 0;
};
struct CommitMessage {
  Lsn commit_lsn = 0;
  Lsn end_lsn = 0;  // where the commit record ends
  int64_t committed_us = 0;
};
struct OriginMessage {
  Lsn commit_lsn = 0;
  std::string name;
};
struct RelationColumn {
  bool key = false;  // part of the replica identity
  std::string name;
  uint32_t type_oid = 0;
  int32_t type_modifier = -1;
  bool operator==(const RelationColumn&) const = default;
};
// Generated columns are left out.
struct RelationMessage {
  uint32_t id = 0;
  capture::TableName name;
  char replica_identity = 'd';  // d: primary key, n: nothing, f: full, i: an index
  std::vector<RelationColumn> columns;
  bool operator==(const RelationMessage&) const = default;
};
struct TypeMessage {
  uint32_t oid = 0;
  std::string schema;
  std::string name;
};

// One column's value as it was sent.
struct TupleValue {
  enum class Kind : uint8_t { kNull, kUnchanged, kText };
  Kind kind = Kind::kNull;
  std::string text;  // kText
  bool operator==(const TupleValue&) const = default;
};
using Tuple = std::vector<TupleValue>;

struct InsertMessage {
  uint32_t relation = 0;
  Tuple row;
};
// What the server tells of a row before: nothing, its key (other columns NULL), or all of it.
enum class OldRow : uint8_t { kNone, kKey, kFull };
struct UpdateMessage {
  uint32_t relation = 0;
  OldRow old_row = OldRow::kNone;
  Tuple before;
  Tuple row;
};
struct DeleteMessage {
  uint32_t relation = 0;
  OldRow old_row = OldRow::kKey;
  Tuple before;
};
struct TruncateMessage {
  std::vector<uint32_t> relations;
  bool cascade = false;
  bool restart_identity = false;
};
// pg_logical_emit_message().
struct LogicalMessage {
  bool transactional = false;
  Lsn lsn = 0;
  std::string prefix;
  std::string content;
};

using PgMessage =
    std::variant<BeginMessage, CommitMessage, OriginMessage, RelationMessage, TypeMessage,
                 InsertMessage, UpdateMessage, DeleteMessage, TruncateMessage, LogicalMessage>;

// `bytes` is one message, as XLogData carries it. Binary values, streams and two-phase messages,
// which are not asked for, are kCorrupt.
Result<PgMessage> DecodePgMessage(std::string_view bytes);

// PostgreSQL counts microseconds from 2000-01-01.
inline constexpr int64_t kPostgresEpochUs = 946'684'800'000'000;

}  // namespace kembar::postgres
