// capturer.cc — see capturer.h: transactions, relations, batches. The changes of rows are in
// capturer_rows.cc.
#include "tools/agent/postgres/capturer.h"

#include <algorithm>

#include "replicator/base/check.h"

namespace kembar::agent {
namespace {

using postgres::RelationColumn;
using postgres::RelationMessage;

// The recorded columns that the stream carries.
std::vector<const capture::Column*> StreamedColumns(const TableShape& shape) {
  std::vector<const capture::Column*> columns;
  for (const capture::Column& column : shape.columns) {
    if (!column.generated) columns.push_back(&column);
  }
  return columns;
}

bool SameColumns(const TableShape& shape, const RelationMessage& relation,
                 const std::vector<std::string>& types) {
  const std::vector<const capture::Column*> recorded = StreamedColumns(shape);
  if (recorded.size() != relation.columns.size()) return false;
  for (size_t i = 0; i < recorded.size(); ++i) {
    if (recorded[i]->name != relation.columns[i].name || recorded[i]->type != types[i])
      return false;
  }
  return true;
}

// Whether the columns that identify a row in the stream are those of `key`.
bool SameKey(const std::vector<std::string>& key, const RelationMessage& relation) {
  if (relation.replica_identity == 'f') return true;  // every column is flagged: tells nothing
  size_t flagged = 0;
  for (const RelationColumn& column : relation.columns) {
    if (!column.key) continue;
    ++flagged;
    if (std::find(key.begin(), key.end(), column.name) == key.end()) return false;
  }
  return flagged == key.size();
}

// From the message, with what only `base` knows: the root, and the order of the key.
TableShape ShapeFrom(const RelationMessage& relation, const std::vector<std::string>& types,
                     const TableShape* base) {
  TableShape shape{.name = relation.name, .root = relation.name};
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    shape.columns.push_back({relation.columns[i].name, types[i], false});
  }
  if (base != nullptr) shape.root = base->root;
  if (base != nullptr && SameKey(base->key, relation)) {
    shape.key = base->key;
  } else if (relation.replica_identity != 'f') {
    for (const RelationColumn& column : relation.columns) {
      if (column.key) shape.key.push_back(column.name);
    }
  }
  return shape;
}

}  // namespace

Capturer::Capturer(CapturerOptions options, const capture::Mapping* mapping, CapturedState* state,
                   CaptureHost* host)
    : options_(std::move(options)), mapping_(mapping), state_(state), host_(host) {}

Status Capturer::Handle(const postgres::PgMessage& message) {
  if (const auto* begin = std::get_if<postgres::BeginMessage>(&message)) {
    if (in_transaction_) return Status(Code::kCorrupt, "a transaction begins inside another");
    return OnBegin(*begin);
  }
  if (const auto* relation = std::get_if<RelationMessage>(&message)) return OnRelation(*relation);
  if (std::holds_alternative<postgres::TypeMessage>(message) ||
      std::holds_alternative<postgres::OriginMessage>(message) ||
      std::holds_alternative<postgres::LogicalMessage>(message)) {
    return Status::Ok();
  }
  if (!in_transaction_) return Status(Code::kCorrupt, "a change outside of a transaction");
  if (const auto* commit = std::get_if<postgres::CommitMessage>(&message)) return OnCommit(*commit);
  if (skipping_) return Status::Ok();
  if (const auto* insert = std::get_if<postgres::InsertMessage>(&message)) return OnInsert(*insert);
  if (const auto* update = std::get_if<postgres::UpdateMessage>(&message)) return OnUpdate(*update);
  if (const auto* gone = std::get_if<postgres::DeleteMessage>(&message)) return OnDelete(*gone);
  return OnTruncate(std::get<postgres::TruncateMessage>(message));
}

Status Capturer::VerifyResent() {
  if (!verify_) return Status::Ok();
  verify_ = false;
  if (marker_.last && resent_xid_ == marker_.xid && resent_end_ == marker_.lsn) return Status::Ok();
  return Status(Code::kDiverged,
                "the server does not have transaction " + std::to_string(marker_.xid) + " at " +
                    capture::FormatLsn(marker_.lsn) + ", which the log holds",
                "was an old copy of it put back?");
}

Status Capturer::OnBegin(const postgres::BeginMessage& begin) {
  in_transaction_ = true;
  change_ = 0;
  skip_changes_ = 0;
  // The end of a transaction is only known at its end; that its commit record begins before the
  // end of another's says the same. The marker of a part bears the place where it begins.
  skipping_ = begin.commit_lsn < marker_.lsn;
  current_ = {.lsn = begin.commit_lsn,
              .xid = begin.xid,
              .committed_us = begin.committed_us,
              .changes = 0,
              .part = 1,
              .last = false};
  if (begin.commit_lsn == marker_.lsn && !marker_.last && marker_.xid == begin.xid) {
    verify_ = false;
    skip_changes_ = marker_.changes;
    current_.changes = marker_.changes;
    current_.part = marker_.part + 1;
  }
  return skipping_ ? Status::Ok() : VerifyResent();
}

Status Capturer::OnCommit(const postgres::CommitMessage& commit) {
  in_transaction_ = false;
  handled_ = commit.end_lsn;
  if (skipping_) {
    resent_xid_ = current_.xid;
    resent_end_ = commit.end_lsn;
    return Status::Ok();
  }
  if (drafts_.empty() && current_.part == 1) return Status::Ok();  // nothing of ours
  ++counts_.transactions;
  current_.lsn = commit.end_lsn;
  current_.changes = change_;
  if (canary_) {
    Marker boundary = current_;
    boundary.last = true;
    AddDraft(v1::RECORD_KIND_PUT, "-", capture::CutItem(options_.source),
             capture::EncodeMarker(boundary));
  }
  return Flush(true);
}

Status Capturer::OnRelation(const RelationMessage& message) {
  Relation& relation = relations_[message.id];
  if (relation.checked && relation.message == message) return Status::Ok();
  relation = {.message = message};
  relation.captured = options_.captures(message.name);
  for (const RelationColumn& column : message.columns) relation.columns.push_back(column.name);
  return Status::Ok();
}

Result<Capturer::Relation*> Capturer::BeginChange(uint32_t id) {
  const auto found = relations_.find(id);
  if (found == relations_.end()) {
    return Status(Code::kCorrupt, "a change of relation " + std::to_string(id) +
                                      ", which the server did not describe");
  }
  if (++change_ <= skip_changes_ || !found->second.captured) return nullptr;
  // Before the next change and not after the last, so that the last batch is never empty.
  if (Full()) {
    current_.changes = change_ - 1;
    RETURN_IF_ERROR(Flush(false));
  }
  if (!found->second.checked) RETURN_IF_ERROR(Check(&found->second));
  return &found->second;
}

// Compares a relation with what is recorded of its table. Done at its first change that counts:
// what is skipped may be older than the record.
Status Capturer::Check(Relation* relation) {
  const RelationMessage& message = relation->message;
  ASSIGN_OR_RETURN(const std::vector<std::string> types, host_->TypeNames(message));
  CHECK(types.size() == message.columns.size());
  const auto recorded = state_->tables.find(message.name);
  const TableShape* known = recorded == state_->tables.end() ? nullptr : &recorded->second;
  if (known != nullptr && SameColumns(*known, message, types) && SameKey(known->key, message)) {
    relation->shape = *known;
  } else {
    ASSIGN_OR_RETURN(const std::optional<TableShape> shape, host_->VisibleShape(message.id));
    const TableShape* visible = shape ? &*shape : nullptr;
    const bool whole = visible != nullptr && SameColumns(*visible, message, types) &&
                       SameKey(visible->key, message);
    relation->shape =
        whole ? *visible : ShapeFrom(message, types, visible != nullptr ? visible : known);
    relation->shape.name = message.name;
    Record(relation->shape);
    MarkPending(message.name);
  }
  relation->key.clear();
  for (const std::string& column : relation->shape.key) {
    const auto at = std::find(relation->columns.begin(), relation->columns.end(), column);
    if (at == relation->columns.end()) {
      relation->key.clear();  // the key of another shape; the reconciliation will know
      break;
    }
    relation->key.push_back(static_cast<size_t>(at - relation->columns.begin()));
  }
  state_->packages.Learn(relation->shape);
  relation->mapped = mapping_->CopyRank(relation->shape.root) != capture::Mapping::kUnmapped ||
                     mapping_->CopyRank(relation->shape.name) != capture::Mapping::kUnmapped;
  relation->refers = options_.references && mapping_->NamesDocuments(relation->shape);
  relation->parent = relation->mapped && IsParent(relation->shape);
  relation->checked = true;
  return Status::Ok();
}

bool Capturer::IsParent(const TableShape& table) const {
  return std::any_of(state_->tables.begin(), state_->tables.end(), [&](const auto& other) {
    const capture::MemberTable* member = mapping_->FindMember(other.second.root);
    return member != nullptr && (member->parent == table.root || member->parent == table.name);
  });
}

void Capturer::Record(const TableShape& shape) {
  state_->tables[shape.name] = shape;
  AddDraft(v1::RECORD_KIND_PUT, "-", capture::TableItem(shape.name), capture::EncodeTable(shape));
}

void Capturer::MarkPending(const TableName& table) {
  if (touches_ != nullptr) touches_->Pending(table, current_.lsn);
  if (!state_->pending.insert(table).second) return;
  AddDraft(v1::RECORD_KIND_PUT, "-", PendingItem(options_.source), EncodePending(state_->pending));
}

void Capturer::AddDraft(v1::RecordKind kind, const std::string& package, const std::string& item,
                        std::string payload) {
  v1::Draft& draft = drafts_.emplace_back();
  draft.set_kind(kind);
  draft.set_package(package);
  draft.set_item(item);
  bytes_ += payload.size() + item.size();
  // `current_.lsn` is where the commit record begins, until the commit itself.
  if (touches_ != nullptr && item.starts_with("row/")) touches_->Row(item, current_.lsn);
  draft.set_payload(std::move(payload));
  newest_[item] = drafts_.size() - 1;
}

bool Capturer::Full() const {
  // One is for the marker.
  return drafts_.size() + 1 >= options_.records_max || bytes_ >= options_.bytes_max;
}

Status Capturer::Flush(bool last) {
  current_.last = last;
  AddDraft(v1::RECORD_KIND_PUT, "-", capture::TransactionItem(options_.source, last),
           capture::EncodeMarker(current_));
  Batch batch{.drafts = std::move(drafts_), .marker = current_, .rows = rows_, .canary = canary_};
  counts_.rows += rows_;
  marker_ = current_;
  ++current_.part;
  drafts_.clear();
  newest_.clear();
  bytes_ = 0;
  rows_ = 0;
  canary_ = false;
  return host_->Emit(std::move(batch));
}

}  // namespace kembar::agent
