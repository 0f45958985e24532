// reconcile.cc — see reconcile.h.
#include "tools/agent/postgres/reconcile.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace kembar::agent {
namespace {

constexpr size_t kPackagesShown = 20;
constexpr uint64_t kRowsPerTick = 256;

std::string CopyQuery(const postgres::Connection& connection, const TableName& table,
                      const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) {
    list += (list.empty() ? "" : ", ") + connection.QuoteIdent(column);
  }
  // COPY t would leave out nothing either, but for tables with children; ONLY says what is meant.
  return "COPY (SELECT " + list + " FROM ONLY " + connection.QuoteIdent(table.schema) + "." +
         connection.QuoteIdent(table.table) + ") TO STDOUT";
}

}  // namespace

Result<std::vector<TableDifference>> Reconciler::Run(std::vector<postgres::TableInfo> tables) {
  std::stable_sort(tables.begin(), tables.end(),
                   [this](const postgres::TableInfo& a, const postgres::TableInfo& b) {
                     return parts_.mapping->CopyRank(a.shape.root) <
                            parts_.mapping->CopyRank(b.shape.root);
                   });
  for (const postgres::TableInfo& table : tables) parts_.state->packages.Learn(table.shape);
  std::vector<TableDifference> differences;
  for (const postgres::TableInfo& table : tables) {
    // Its shape may be newer in the log, too; it is reconciled once more.
    if (parts_.touches->IsPending(table.shape.name, parts_.lsn)) continue;
    Result<TableDifference> difference = RunTable(table.shape);
    if (!difference.ok()) {
      return difference.status().Prepend("reconcile " + table.shape.name.Display());
    }
    differences.push_back(*std::move(difference));
  }
  return differences;
}

Result<Reconciler::KnownRows> Reconciler::ReadKnown(const TableName& table) {
  KnownRows known;
  const Status listed = parts_.log->List(
      capture::RowPrefix(table), false, [&](const v1::ItemVersion& version) -> Status {
        RETURN_IF_ERROR(Tick());
        Known row{.package = version.package()};
        if (version.payload_sha256().size() == row.payload.size()) {
          row.payload = DigestFromBytes(version.payload_sha256());
        }
        const auto [at, fresh] = known.try_emplace(version.item(), std::move(row));
        // Twice alive, under two packages: one is taken for extra.
        if (!fresh && writer_ != nullptr) return writer_->Delete(version.package(), version.item());
        if (!fresh) ++difference_.extra;
        return Status::Ok();
      });
  RETURN_IF_ERROR(listed);
  return known;
}

Result<TableDifference> Reconciler::RunTable(const TableShape& table) {
  difference_ = {.table = table.name};
  equal_rows_.clear();
  columns_.clear();
  key_.clear();
  for (const capture::Column& column : table.columns) {
    if (!column.generated) columns_.push_back(column.name);
  }
  for (const std::string& column : table.key) {
    const auto at = std::find(columns_.begin(), columns_.end(), column);
    if (at == columns_.end()) {
      return Status(Code::kInvalid, "key column " + column + " is generated",
                    "exclude the table, or set its REPLICA IDENTITY FULL and drop the key");
    }
    key_.push_back(static_cast<size_t>(at - columns_.begin()));
  }
  ASSIGN_OR_RETURN(known_, ReadKnown(table.name));
  RETURN_IF_ERROR(parts_.snapshot->CopyOut(
      CopyQuery(*parts_.snapshot, table.name, columns_),
      [&](std::span<const postgres::ValueView> values) { return OneRow(table, values); }));
  RETURN_IF_ERROR(RowsLeft());
  if (writer_ != nullptr && key_.empty()) {
    const auto newer = parts_.state->keyless.Take(table.name, [&](const Digest& digest) {
      return parts_.touches->HasEqual(table.name, digest, parts_.lsn);
    });
    for (const auto& [digest, count] : equal_rows_) {
      parts_.state->keyless.AtLeast(table.name, digest, count);
    }
    for (const auto& [digest, count] : newer) {
      if (count > 0) parts_.state->keyless.AtLeast(table.name, digest, count);
    }
  }
  if (writer_ != nullptr) {
    const auto recorded = parts_.state->tables.find(table.name);
    if (recorded == parts_.state->tables.end() || !(recorded->second == table)) {
      RETURN_IF_ERROR(writer_->Put("-", capture::TableItem(table.name), EncodeTable(table)));
      parts_.state->tables[table.name] = table;
    }
  }
  known_.clear();
  return difference_;
}

Status Reconciler::OneRow(const TableShape& table, std::span<const postgres::ValueView> values) {
  RETURN_IF_ERROR(Tick());
  if (values.size() != columns_.size()) {
    return Status(Code::kCorrupt, "a row has " + std::to_string(values.size()) + " values, not " +
                                      std::to_string(columns_.size()));
  }
  ++difference_.rows;
  std::string payload = capture::EncodeRow(columns_, values);
  const Digest digest = Sha256({payload});
  std::string item;
  if (key_.empty()) {
    if (parts_.touches->HasEqual(table.name, digest, parts_.lsn)) return Status::Ok();
    item = capture::KeylessRowItem(table.name, digest, ++equal_rows_[digest]);
  } else {
    std::vector<std::string_view> key;
    for (const size_t at : key_) key.push_back(values[at].value_or(std::string_view()));
    item = capture::RowItem(table.name, key);
  }
  if (IsNewerInLog(item)) {
    known_.erase(item);
    return Status::Ok();
  }
  capture::Placement placement{.package = "-", .title = {}, .unit = {}, .value = {}};
  if (parts_.mapping->CopyRank(table.root) != capture::Mapping::kUnmapped) {
    capture::Row row{.columns = columns_, .values = {}};
    for (const postgres::ValueView& value : values) {
      row.values.push_back(value ? capture::Value(*value) : std::nullopt);
    }
    if (writer_ != nullptr && parts_.mapping->IsUnitTable(table.root)) {
      parts_.state->packages.NoteUnit(item, row);
    }
    placement = parts_.state->packages.Place(table, item, row);
  }
  const auto known = known_.find(item);
  const bool there = known != known_.end();
  // A row whose parent is gone stays where it was.
  if (there && known->second.payload == digest && placement.package == "-") {
    placement.package = known->second.package;
  }
  const bool equal =
      there && known->second.payload == digest && known->second.package == placement.package;
  if (!there) ++difference_.missing;
  if (there && !equal) ++difference_.differing;
  if (!equal) Concerns(placement.package);
  Status status;
  if (writer_ != nullptr) {
    const bool rewrite = rewrite_packages_ && parts_.mapping->States(table.root);
    if (!equal || rewrite) {
      status = PutRow(item, there ? &known->second : nullptr, placement, std::move(payload));
    }
    parts_.state->packages.Set(item, placement.package);
  }
  if (there) known_.erase(known);
  return status;
}

Status Reconciler::PutRow(const std::string& item, const Known* known,
                          const capture::Placement& placement, std::string payload) {
  parts_.state->wide.Forget(item);
  if (known != nullptr && known->package != placement.package) {
    RETURN_IF_ERROR(writer_->Delete(known->package, item));
  }
  return writer_->Put(placement.package, item, std::move(payload), &placement);
}

// Of rows without key all equal ones together: their numbers say nothing of which is which.
bool Reconciler::IsNewerInLog(const std::string& item) const {
  if (!key_.empty()) return parts_.touches->HasRow(item, parts_.lsn);
  const capture::ItemName name = capture::ParseItem(item);
  const auto key = ParseKeylessKey(name.key);
  return key && parts_.touches->HasEqual(name.table, key->digest, parts_.lsn);
}

// What the log has and the database has not.
Status Reconciler::RowsLeft() {
  std::vector<std::string> items;
  for (const auto& [item, known] : known_) items.push_back(item);
  std::sort(items.begin(), items.end());
  for (const std::string& item : items) {
    const Known& known = known_.at(item);
    if (IsNewerInLog(item)) continue;
    ++difference_.extra;
    Concerns(known.package);
    if (writer_ == nullptr) continue;
    RETURN_IF_ERROR(Tick());
    RETURN_IF_ERROR(writer_->Delete(known.package, item));
    parts_.state->packages.Set(item, "-");
    parts_.state->wide.Forget(item);
  }
  return Status::Ok();
}

Status Reconciler::EndTable(const TableName& table) {
  difference_ = {.table = table};
  key_.clear();
  ASSIGN_OR_RETURN(known_, ReadKnown(table));
  RETURN_IF_ERROR(RowsLeft());
  known_.clear();
  if (writer_ == nullptr) return Status::Ok();
  parts_.state->keyless.Clear(table);
  parts_.state->tables.erase(table);
  return writer_->Delete("-", capture::TableItem(table));
}

Status Reconciler::Tick() {
  if (++ticks_ % kRowsPerTick != 0) return Status::Ok();
  return parts_.tick();
}

void Reconciler::Concerns(const std::string& package) {
  if (difference_.packages.size() < kPackagesShown) difference_.packages.insert(package);
}

std::string EncodeAudit(Lsn lsn, int64_t time_us, const std::vector<TableDifference>& tables) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const TableDifference& table : tables) {
    list.push_back({{"name", table.table.Display()},
                    {"rows", table.rows},
                    {"equal", table.equal()},
                    {"missing", table.missing},
                    {"extra", table.extra},
                    {"differing", table.differing},
                    {"packages", table.packages}});
  }
  const nlohmann::ordered_json audit = {{"lsn", capture::FormatLsn(lsn)},
                                        {"time", capture::FormatUtc(time_us)},
                                        {"tables", std::move(list)}};
  return audit.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace kembar::agent
