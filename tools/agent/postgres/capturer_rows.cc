// capturer_rows.cc — see capturer.h: inserts, updates, deletes and truncates.
#include <algorithm>
#include <map>

#include "replicator/base/digest.h"
#include "tools/agent/postgres/capturer.h"
#include "tools/agent/postgres/part_writer.h"

namespace kembar::agent {
namespace {

using postgres::Tuple;
using postgres::TupleValue;

constexpr char kNowhere[] = "-";

capture::ValueView ViewOf(const TupleValue& value) {
  if (value.kind != TupleValue::Kind::kText) return std::nullopt;
  return value.text;
}

bool HasUnchanged(const Tuple& row) {
  return std::any_of(row.begin(), row.end(), [](const TupleValue& value) {
    return value.kind == TupleValue::Kind::kUnchanged;
  });
}

capture::Row RowOf(const std::vector<std::string>& columns, const Tuple& tuple) {
  capture::Row row{.columns = columns, .values = {}};
  for (const TupleValue& value : tuple) {
    row.values.push_back(value.kind == TupleValue::Kind::kText ? capture::Value(value.text)
                                                               : std::nullopt);
  }
  return row;
}

// Values that were not sent again, from the whole row before.
void FillFrom(const Tuple& before, Tuple* row) {
  for (size_t i = 0; i < row->size() && i < before.size(); ++i) {
    if ((*row)[i].kind == TupleValue::Kind::kUnchanged) (*row)[i] = before[i];
  }
}

}  // namespace

Result<std::string> Capturer::ItemOf(const Relation& relation, const Tuple& row) const {
  std::vector<std::string_view> key;
  for (const size_t at : relation.key) {
    if (at >= row.size() || row[at].kind != TupleValue::Kind::kText) {
      return Status(Code::kCorrupt,
                    "a change of " + relation.message.name.Display() +
                        " came without its key column " + relation.columns[at],
                    "is its replica identity an index that is not the primary key?");
    }
    key.push_back(row[at].text);
  }
  return capture::RowItem(relation.message.name, key);
}

std::string Capturer::PayloadOf(const Relation& relation, const Tuple& row) const {
  std::vector<capture::ValueView> values;
  values.reserve(row.size());
  for (const TupleValue& value : row) values.push_back(ViewOf(value));
  return capture::EncodeRow(relation.columns, values);
}

capture::Placement Capturer::Place(const TableShape& table, const std::string& item,
                                   const capture::Row& row) {
  if (mapping_->IsUnitTable(table.root)) state_->packages.NoteUnit(item, row);
  capture::Placement placement = state_->packages.Place(table, item, row);
  if (placement.package == kNowhere && !mapping_->packages().empty()) {
    ++counts_.unmapped[table.name];
  }
  return placement;
}

// Writes the row as it is now. `was`: the item under which it stood before; empty: it is new.
Status Capturer::PutRow(const Relation& relation, const std::string& item, const std::string& was,
                        const Tuple& row, std::string payload) {
  capture::Placement placement{.package = kNowhere, .title = {}, .unit = {}, .value = {}};
  capture::Row values;  // where somebody asks for them
  if (relation.mapped || relation.refers) values = RowOf(relation.columns, row);
  if (relation.mapped) {
    placement = Place(relation.shape, item, values);
  } else if (!mapping_->packages().empty()) {
    ++counts_.unmapped[relation.message.name];
  }
  const std::string before = state_->packages.Of(was.empty() ? item : was);
  if (!was.empty() && (was != item || before != placement.package)) {
    DeleteItem(before, was);
  } else if (was.empty() && before != kNowhere && before != placement.package) {
    DeleteItem(before, item);  // the log has it, under another package: it must not live twice
  }
  WriteRow(relation.shape, item, values, placement, std::move(payload));
  if (relation.message.name == options_.canary) canary_ = true;
  const bool moved = !was.empty() && before != kNowhere && before != placement.package;
  return moved && relation.parent ? MoveDescendants(before) : Status::Ok();
}

// The row, what it says of its package, and which documents it refers to (for those `row` may be
// empty in other tables).
void Capturer::WriteRow(const TableShape& table, const std::string& item, const capture::Row& row,
                        const capture::Placement& placement, std::string payload) {
  state_->packages.Set(item, placement.package);
  state_->wide.Put(item, payload);
  AddDraft(v1::RECORD_KIND_PUT, placement.package, item, std::move(payload));
  AddStatements(placement, &drafts_.back());
  ++rows_;
  if (!options_.references) return;
  for (capture::Reference& reference : mapping_->References(table, item, row)) {
    AddDraft(v1::RECORD_KIND_PUT, placement.package, reference.item, std::move(reference.payload));
  }
}

// A row left the package `from`: those that belong to packages through it follow. Not cut in the
// middle: resumed there, nobody would know that there is more to move.
Status Capturer::MoveDescendants(const std::string& from) {
  ASSIGN_OR_RETURN(const std::vector<LiveItem> held, host_->PackageRows(from));
  std::map<std::string, std::string> payloads;  // by item, of the rows that are still there
  for (const LiveItem& row : held) {
    if (!newest_.contains(row.item)) payloads[row.item] = row.payload;
  }
  for (const auto& [item, at] : newest_) {
    const v1::Draft& draft = drafts_[at];
    const bool there = draft.kind() == v1::RECORD_KIND_PUT && draft.package() == from;
    if (there && item.starts_with("row/")) payloads[item] = draft.payload();
  }
  std::multimap<size_t, std::string> by_rank;  // parents before their children
  for (const auto& [item, payload] : payloads) {
    const auto table = state_->tables.find(capture::ParseItem(item).table);
    if (table == state_->tables.end()) continue;
    by_rank.emplace(mapping_->Rank(table->second.root), item);
  }
  for (const auto& [rank, item] : by_rank) {
    const TableShape& table = state_->tables.at(capture::ParseItem(item).table);
    const std::string& payload = payloads.at(item);
    ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(payload));
    const capture::Placement placement = state_->packages.Place(table, item, row);
    if (placement.package == from) continue;
    DeleteItem(from, item);
    WriteRow(table, item, row, placement, payload);
  }
  return Status::Ok();
}

void Capturer::DeleteItem(const std::string& package, const std::string& item) {
  AddDraft(v1::RECORD_KIND_DELETE, package, item, {});
  state_->packages.Set(item, kNowhere);
  state_->wide.Forget(item);
  ++rows_;
}

Status Capturer::OnInsert(const postgres::InsertMessage& insert) {
  ASSIGN_OR_RETURN(Relation * relation, BeginChange(insert.relation));
  if (relation == nullptr) return Status::Ok();
  if (insert.row.size() != relation->columns.size()) {
    return Status(Code::kCorrupt, "an insert does not fit its relation");
  }
  std::string payload = PayloadOf(*relation, insert.row);
  if (relation->key.empty()) {
    const Digest digest = Sha256({payload});
    const uint64_t n = state_->keyless.Add(relation->message.name, digest);
    const std::string item = capture::KeylessRowItem(relation->message.name, digest, n);
    return PutRow(*relation, item, {}, insert.row, std::move(payload));
  }
  ASSIGN_OR_RETURN(const std::string item, ItemOf(*relation, insert.row));
  return PutRow(*relation, item, {}, insert.row, std::move(payload));
}

Status Capturer::OnUpdate(const postgres::UpdateMessage& update) {
  ASSIGN_OR_RETURN(Relation * relation, BeginChange(update.relation));
  if (relation == nullptr) return Status::Ok();
  if (update.row.size() != relation->columns.size() ||
      (update.old_row != postgres::OldRow::kNone &&
       update.before.size() != relation->columns.size())) {
    return Status(Code::kCorrupt, "an update does not fit its relation");
  }
  Tuple row = update.row;
  if (update.old_row == postgres::OldRow::kFull) FillFrom(update.before, &row);
  if (relation->key.empty()) {
    if (update.old_row != postgres::OldRow::kFull) {
      return MissingBefore(*relation);
    }
    const std::string was = RemoveKeyless(*relation, update.before);
    if (was.empty() || HasUnchanged(row)) return MissingBefore(*relation);
    std::string payload = PayloadOf(*relation, row);
    const Digest digest = Sha256({payload});
    const uint64_t n = state_->keyless.Add(relation->message.name, digest);
    const std::string item = capture::KeylessRowItem(relation->message.name, digest, n);
    return PutRow(*relation, item, was, row, std::move(payload));
  }
  // A key column that is stored out of line comes with the key before.
  if (update.old_row == postgres::OldRow::kKey) {
    for (const size_t at : relation->key) {
      if (row[at].kind == TupleValue::Kind::kUnchanged) row[at] = update.before[at];
    }
  }
  ASSIGN_OR_RETURN(const std::string item, ItemOf(*relation, row));
  std::string was = item;
  if (update.old_row != postgres::OldRow::kNone) {
    ASSIGN_OR_RETURN(was, ItemOf(*relation, update.before));
  }
  ASSIGN_OR_RETURN(const bool whole, FillUnchanged(*relation, was, &row));
  if (!whole) return MissingBefore(*relation);
  std::string payload = PayloadOf(*relation, row);
  return PutRow(*relation, item, was, row, std::move(payload));
}

Status Capturer::OnDelete(const postgres::DeleteMessage& gone) {
  ASSIGN_OR_RETURN(Relation * relation, BeginChange(gone.relation));
  if (relation == nullptr) return Status::Ok();
  if (gone.before.size() != relation->columns.size()) {
    return Status(Code::kCorrupt, "a delete does not fit its relation");
  }
  std::string item;
  if (relation->key.empty()) {
    if (gone.old_row == postgres::OldRow::kFull) item = RemoveKeyless(*relation, gone.before);
    if (item.empty()) return MissingBefore(*relation);
  } else {
    ASSIGN_OR_RETURN(item, ItemOf(*relation, gone.before));
  }
  DeleteItem(state_->packages.Of(item), item);
  return Status::Ok();
}

// The log lacks the row that a change builds on (its table is being reconciled, or must be): the
// change is left out and the table reconciled.
Status Capturer::MissingBefore(const Relation& relation) {
  ++counts_.incomplete;
  MarkPending(relation.message.name);
  return Status::Ok();
}

// The item of the row that goes, the highest number among equal ones; empty: there is none.
std::string Capturer::RemoveKeyless(const Relation& relation, const Tuple& row) {
  const Digest digest = Sha256({PayloadOf(relation, row)});
  const uint64_t n = state_->keyless.Remove(relation.message.name, digest);
  return n == 0 ? std::string() : capture::KeylessRowItem(relation.message.name, digest, n);
}

// False: the version before is not known.
Result<bool> Capturer::FillUnchanged(const Relation& relation, const std::string& item,
                                     Tuple* row) {
  if (!HasUnchanged(*row)) return true;
  ASSIGN_OR_RETURN(const std::optional<std::string> payload, PayloadBefore(item));
  if (!payload) return false;
  ASSIGN_OR_RETURN(const capture::Row before, capture::DecodeRow(*payload));
  for (size_t i = 0; i < row->size(); ++i) {
    TupleValue& value = (*row)[i];
    if (value.kind != TupleValue::Kind::kUnchanged) continue;
    const capture::Value* known = before.Find(relation.columns[i]);
    if (known == nullptr || !*known) return false;  // what is stored out of line is not NULL
    value = {.kind = TupleValue::Kind::kText, .text = **known};
  }
  return true;
}

Result<std::optional<std::string>> Capturer::PayloadBefore(const std::string& item) {
  if (const auto draft = newest_.find(item); draft != newest_.end()) {
    const v1::Draft& found = drafts_[draft->second];
    if (found.kind() != v1::RECORD_KIND_PUT) return std::optional<std::string>();
    return std::optional<std::string>(found.payload());
  }
  if (const std::string* payload = state_->wide.Find(item)) {
    return std::optional<std::string>(*payload);
  }
  return host_->CurrentPayload(state_->packages.Of(item), item);
}

Status Capturer::OnTruncate(const postgres::TruncateMessage& truncate) {
  if (++change_ <= skip_changes_) return Status::Ok();
  for (const uint32_t id : truncate.relations) {
    const auto found = relations_.find(id);
    if (found == relations_.end()) {
      return Status(Code::kCorrupt, "a truncate of a relation that was not described");
    }
    if (!found->second.captured) continue;
    if (!found->second.checked) RETURN_IF_ERROR(Check(&found->second));
    RETURN_IF_ERROR(TruncateTable(found->second));
  }
  return Status::Ok();
}

// A delete for every row. If it takes several batches they count as none of its changes: resumed,
// it goes on with the rows that are left.
Status Capturer::TruncateTable(const Relation& relation) {
  const TableName& table = relation.message.name;
  ASSIGN_OR_RETURN(const std::vector<LiveItem> live, host_->LiveItems(table));
  std::map<std::string, std::string> rows;  // item -> package
  for (const LiveItem& row : live) rows[row.item] = row.package;
  const std::string prefix = capture::RowPrefix(table);
  for (const v1::Draft& draft : drafts_) {
    if (!draft.item().starts_with(prefix)) continue;
    if (draft.kind() == v1::RECORD_KIND_PUT) {
      rows[draft.item()] = draft.package();
    } else if (const auto at = rows.find(draft.item());
               at != rows.end() && at->second == draft.package()) {
      rows.erase(at);
    }
  }
  state_->keyless.Clear(table);
  for (const auto& [item, package] : rows) {
    if (Full()) {
      current_.changes = change_ - 1;
      RETURN_IF_ERROR(Flush(false));
    }
    DeleteItem(package, item);
  }
  return Status::Ok();
}

}  // namespace kembar::agent
