// pgoutput.cc — see pgoutput.h.
#include "tools/postgres/pgoutput.h"

#include <limits>

#include "tools/postgres/wire.h"

namespace kembar::postgres {
namespace {

constexpr uint8_t kKeyColumn = 1;
constexpr uint8_t kCascade = 1;
constexpr uint8_t kRestartIdentity = 2;

int64_t ReadTime(WireReader* in) {
  const auto time = static_cast<int64_t>(in->U64());
  if (time > std::numeric_limits<int64_t>::max() - kPostgresEpochUs) {
    in->Fail();
    return 0;
  }
  return time + kPostgresEpochUs;
}

TupleValue ReadValue(WireReader* in) {
  TupleValue value;
  switch (in->U8()) {
    case 'n': break;
    case 'u': value.kind = TupleValue::Kind::kUnchanged; break;
    case 't':
      value.kind = TupleValue::Kind::kText;
      value.text = in->Raw(in->U32());
      break;
    default: in->Fail();
  }
  return value;
}

Tuple ReadTuple(WireReader* in) {
  Tuple tuple;
  const uint16_t columns = in->U16();
  for (uint16_t i = 0; i < columns && in->ok(); ++i) tuple.push_back(ReadValue(in));
  return tuple;
}

BeginMessage ReadBegin(WireReader* in) {
  BeginMessage begin;
  begin.commit_lsn = in->U64();
  begin.committed_us = ReadTime(in);
  begin.xid = in->U32();
  return begin;
}

CommitMessage ReadCommit(WireReader* in) {
  CommitMessage commit;
  if (in->U8() != 0) in->Fail();  // flags, unused
  commit.commit_lsn = in->U64();
  commit.end_lsn = in->U64();
  commit.committed_us = ReadTime(in);
  return commit;
}

OriginMessage ReadOrigin(WireReader* in) {
  OriginMessage origin;
  origin.commit_lsn = in->U64();
  origin.name = in->Text();
  return origin;
}

RelationMessage ReadRelation(WireReader* in) {
  RelationMessage relation;
  relation.id = in->U32();
  relation.name.schema = in->Text();
  if (relation.name.schema.empty()) relation.name.schema = "pg_catalog";
  relation.name.table = in->Text();
  relation.replica_identity = static_cast<char>(in->U8());
  const uint16_t columns = in->U16();
  for (uint16_t i = 0; i < columns && in->ok(); ++i) {
    RelationColumn column;
    column.key = (in->U8() & kKeyColumn) != 0;
    column.name = in->Text();
    column.type_oid = in->U32();
    column.type_modifier = static_cast<int32_t>(in->U32());
    relation.columns.push_back(std::move(column));
  }
  return relation;
}

TypeMessage ReadType(WireReader* in) {
  TypeMessage type;
  type.oid = in->U32();
  type.schema = in->Text();
  type.name = in->Text();
  return type;
}

InsertMessage ReadInsert(WireReader* in) {
  InsertMessage insert;
  insert.relation = in->U32();
  if (in->U8() != 'N') in->Fail();
  insert.row = ReadTuple(in);
  return insert;
}

UpdateMessage ReadUpdate(WireReader* in) {
  UpdateMessage update;
  update.relation = in->U32();
  uint8_t tag = in->U8();
  if (tag == 'K' || tag == 'O') {
    update.old_row = tag == 'K' ? OldRow::kKey : OldRow::kFull;
    update.before = ReadTuple(in);
    tag = in->U8();
  }
  if (tag != 'N') in->Fail();
  update.row = ReadTuple(in);
  return update;
}

DeleteMessage ReadDelete(WireReader* in) {
  DeleteMessage gone;
  gone.relation = in->U32();
  const uint8_t tag = in->U8();
  if (tag != 'K' && tag != 'O') in->Fail();
  gone.old_row = tag == 'O' ? OldRow::kFull : OldRow::kKey;
  gone.before = ReadTuple(in);
  return gone;
}

TruncateMessage ReadTruncate(WireReader* in) {
  TruncateMessage truncate;
  const uint32_t relations = in->U32();
  const uint8_t options = in->U8();
  truncate.cascade = (options & kCascade) != 0;
  truncate.restart_identity = (options & kRestartIdentity) != 0;
  for (uint32_t i = 0; i < relations && in->ok(); ++i) truncate.relations.push_back(in->U32());
  return truncate;
}

LogicalMessage ReadLogical(WireReader* in) {
  LogicalMessage message;
  message.transactional = in->U8() != 0;
  message.lsn = in->U64();
  message.prefix = in->Text();
  message.content = in->Raw(in->U32());
  return message;
}

PgMessage ReadMessage(uint8_t tag, WireReader* in) {
  switch (tag) {
    case 'B': return ReadBegin(in);
    case 'C': return ReadCommit(in);
    case 'O': return ReadOrigin(in);
    case 'R': return ReadRelation(in);
    case 'Y': return ReadType(in);
    case 'I': return ReadInsert(in);
    case 'U': return ReadUpdate(in);
    case 'D': return ReadDelete(in);
    case 'T': return ReadTruncate(in);
    case 'M': return ReadLogical(in);
    default: in->Fail(); return BeginMessage{};
  }
}

}  // namespace

Result<PgMessage> DecodePgMessage(std::string_view bytes) {
  WireReader in(bytes);
  const uint8_t tag = in.U8();
  PgMessage message = ReadMessage(tag, &in);
  if (in.AtEnd()) return message;
  return Status(Code::kCorrupt, "pgoutput message of type " + std::to_string(tag) + " and " +
                                    std::to_string(bytes.size()) + " bytes is malformed");
}

}  // namespace kembar::postgres
