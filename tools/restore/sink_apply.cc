// sink_apply.cc — see sink_apply.h.
#include "tools/restore/sink_apply.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "tools/postgres/catalog.h"
#include "tools/restore/sql.h"

namespace kembar::restore {
namespace {

constexpr uint64_t kLargeObjectPartBytes = uint64_t{1} << 20;
constexpr size_t kQueuedBytesMax = size_t{256} << 10;

bool Contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

std::string WithLiterals(const std::string& sql, const std::vector<std::string>& literals) {
  std::string out;
  char quote = 0;
  for (size_t i = 0; i < sql.size(); ++i) {
    if (quote != 0 || sql[i] == '"' || sql[i] == '\'') {
      if (quote == 0) {
        quote = sql[i];
      } else if (sql[i] == quote) {
        quote = 0;  // a doubled quote ends it and begins it again
      }
      out += sql[i];
      continue;
    }
    size_t number = 0;
    const char* const end = sql.data() + sql.size();
    const auto read = std::from_chars(sql.data() + i + 1, end, number);
    if (sql[i] != '$' || read.ec != std::errc() || number == 0 || number > literals.size()) {
      out += sql[i];
      continue;
    }
    out += literals[number - 1];
    i = static_cast<size_t>(read.ptr - sql.data()) - 1;
  }
  return out;
}

std::optional<std::vector<std::string>> DecodeKey(std::string_view key) {
  if (key.starts_with("~")) return std::nullopt;
  std::vector<std::string> values(1);
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '/') {
      values.emplace_back();
    } else if (key[i] != '%') {
      values.back().push_back(key[i]);
    } else {
      if (key.size() - i < 3) return std::nullopt;
      const int high = HexDigit(key[i + 1]), low = HexDigit(key[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      values.back().push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return values;
}

Result<SinkApplier> SinkApplier::Load(postgres::Connection* connection, LogReader* log,
                                      const Captured& captured) {
  SinkApplier applier(connection, log, captured);
  ASSIGN_OR_RETURN(const auto tables, postgres::ListTables(connection));
  for (const postgres::TableInfo& table : tables) {
    const auto logged = captured.tables.find(table.shape.name);
    if (!table.has_rows || logged == captured.tables.end()) continue;
    Target& target = applier.targets_[table.shape.name];
    target.columns = PayloadColumns(table.shape);
    target.key = logged->second.key;
  }
  ASSIGN_OR_RETURN(const postgres::Rows always,
                   connection->Query("SELECT n.nspname, c.relname, a.attname FROM pg_attribute a"
                                     " JOIN pg_class c ON c.oid = a.attrelid"
                                     " JOIN pg_namespace n ON n.oid = c.relnamespace"
                                     " WHERE a.attidentity = 'a' AND NOT a.attisdropped"));
  for (const auto& row : always) {
    const auto at = applier.targets_.find({row[0].value_or(""), row[1].value_or("")});
    if (at != applier.targets_.end()) at->second.always.push_back(row[2].value_or(""));
  }
  return applier;
}

Status SinkApplier::Queue(const std::string& sql,
                          const std::vector<capture::ValueView>& parameters) {
  std::vector<std::string> literals;
  for (const capture::ValueView& value : parameters) {
    literals.push_back(value ? connection_->QuoteLiteral(*value) : "NULL");
  }
  queued_ += WithLiterals(sql, literals) + ";\n";
  return queued_.size() < kQueuedBytesMax ? Status::Ok() : Flush();
}

Status SinkApplier::Flush() {
  if (queued_.empty()) return {};
  return connection_->Execute(std::exchange(queued_, {}));
}

Result<bool> SinkApplier::Apply(const v1::Record& record) {
  const capture::ItemName name = capture::ParseItem(record.item());
  if (ChangesSchema(record, name)) return true;
  const bool put = record.kind() == v1::RECORD_KIND_PUT;
  if (!put && record.kind() != v1::RECORD_KIND_DELETE) return false;
  switch (name.kind) {
    case capture::ItemKind::kRow: return ApplyRow(record, name);
    case capture::ItemKind::kSequence:
      if (put) RETURN_IF_ERROR(PutSequence(record.payload(), name.table));
      return false;
    case capture::ItemKind::kLargeObject:
      RETURN_IF_ERROR(ApplyLargeObject(record, name.key));
      return false;
    default: return false;
  }
}

bool SinkApplier::ChangesSchema(const v1::Record& record, const capture::ItemName& name) const {
  const bool put = record.kind() == v1::RECORD_KIND_PUT;
  switch (name.kind) {
    case capture::ItemKind::kPreData: return put && record.payload() != captured_.pre_data;
    case capture::ItemKind::kPostData: return put && record.payload() != captured_.post_data;
    case capture::ItemKind::kTable: {
      const auto known = captured_.tables.find(name.table);
      if (!put) return known != captured_.tables.end();
      const Result<capture::TableShape> shape = capture::DecodeTable(record.payload());
      return known == captured_.tables.end() || !shape.ok() || !(*shape == known->second);
    }
    // Made or dropped: that is the schema's business; the SQL may come a little later.
    case capture::ItemKind::kSequence: return put && !captured_.sequences.contains(name.table);
    default: return false;
  }
}

Result<bool> SinkApplier::ApplyRow(const v1::Record& record, const capture::ItemName& name) {
  if (!targets_.contains(name.table)) return record.kind() == v1::RECORD_KIND_PUT;
  if (record.kind() == v1::RECORD_KIND_PUT) return PutRow(record.payload(), name.table);
  RETURN_IF_ERROR(DeleteRow(record, name));
  return false;
}

Result<bool> SinkApplier::PutRow(const std::string& payload, const capture::TableName& table) {
  const Target& target = targets_.at(table);
  ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(payload));
  std::string numbers, set;
  bool plain = true;  // an upsert does
  for (size_t i = 0; i < row.columns.size(); ++i) {
    const std::string& column = row.columns[i];
    if (!Contains(target.columns, column)) return true;
    numbers += (i > 0 ? ", $" : "$") + std::to_string(i + 1);
    if (Contains(target.key, column)) continue;
    // Such a column can only be written by an insert.
    if (Contains(target.always, column)) plain = false;
    const std::string quoted = connection_->QuoteIdent(column);
    set += (set.empty() ? "" : ", ") + quoted + " = excluded." + quoted;
  }
  const std::string name = QuoteTable(*connection_, table);
  if (!plain && !target.key.empty()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> key, KeyOf(row, target.key));
    RETURN_IF_ERROR(
        Queue("DELETE FROM ONLY " + name + " WHERE " + WhereKey(*connection_, target.key),
              std::vector<capture::ValueView>(key.begin(), key.end())));
  }
  std::string sql = "INSERT INTO " + name;
  sql += row.columns.empty() ? " DEFAULT VALUES"
                             : " (" + QuoteColumns(*connection_, row.columns) +
                                   ") OVERRIDING SYSTEM VALUE VALUES (" + numbers + ")";
  if (plain && !target.key.empty()) {
    sql += " ON CONFLICT (" + QuoteColumns(*connection_, target.key) + ") DO " +
           (set.empty() ? "NOTHING" : "UPDATE SET " + set);
  }
  RETURN_IF_ERROR(
      Queue(sql, std::vector<capture::ValueView>(row.values.begin(), row.values.end())));
  return false;
}

Result<std::optional<Version>> SinkApplier::Before(const v1::Record& record) {
  if (record.index() <= 1) return std::optional<Version>();
  return log_->Get(record.package(), record.item(), AtIndex(record.index() - 1));
}

Status SinkApplier::DeleteRow(const v1::Record& record, const capture::ItemName& name) {
  const Target& target = targets_.at(name.table);
  std::optional<std::vector<std::string>> key;
  if (!target.key.empty()) key = DecodeKey(name.key);
  if (!key || key->size() != target.key.size()) {
    ASSIGN_OR_RETURN(const std::optional<Version> before, Before(record));
    if (!before) return {};
    ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(before->payload));
    if (target.key.empty()) return DeleteEqual(name.table, row);
    ASSIGN_OR_RETURN(key, KeyOf(row, target.key));
  }
  return Queue("DELETE FROM ONLY " + QuoteTable(*connection_, name.table) + " WHERE " +
                   WhereKey(*connection_, target.key),
               std::vector<capture::ValueView>(key->begin(), key->end()));
}

// One of the rows that equal this one. format('%s') gives the text form, also of types that know no
// equality.
Status SinkApplier::DeleteEqual(const capture::TableName& table, const capture::Row& row) {
  std::string where = "true";
  std::vector<capture::ValueView> parameters;
  for (size_t i = 0; i < row.columns.size(); ++i) {
    const std::string column = connection_->QuoteIdent(row.columns[i]);
    if (!row.values[i]) {
      where += " AND " + column + " IS NULL";
      continue;
    }
    parameters.emplace_back(*row.values[i]);
    // A composite of NULLs only "IS NULL", yet has a text form.
    where += " AND format('%s', " + column + ") = $" + std::to_string(parameters.size());
  }
  const std::string name = QuoteTable(*connection_, table);
  return Queue("DELETE FROM ONLY " + name + " WHERE ctid = (SELECT ctid FROM ONLY " + name +
                   " WHERE " + where + " LIMIT 1)",
               parameters);
}

Status SinkApplier::PutSequence(const std::string& payload, const capture::TableName& sequence) {
  ASSIGN_OR_RETURN(const capture::SequenceState state, capture::DecodeSequence(payload));
  const std::string name = QuoteTable(*connection_, sequence);
  const std::vector<capture::ValueView> parameters = {name, state.last_value,
                                                      state.is_called ? "true" : "false"};
  return Queue(
      "SELECT setval(to_regclass($1), $2::bigint, $3::boolean)"
      " WHERE to_regclass($1) IS NOT NULL",
      parameters);
}

// `key` is "OID/N". A part that is not full is the last one.
Status SinkApplier::ApplyLargeObject(const v1::Record& record, const std::string& key) {
  const std::string oid = key.substr(0, key.find('/'));
  uint64_t part = 0;
  std::from_chars(key.data() + oid.size() + 1, key.data() + key.size(), part);
  const bool put = record.kind() == v1::RECORD_KIND_PUT;
  const std::vector<capture::ValueView> just_oid = {oid};
  if (!put && part == 0) {
    return Queue("SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = $1::oid",
                 just_oid);
  }
  const std::string offset = std::to_string(part * kLargeObjectPartBytes);
  const std::string size = std::to_string(part * kLargeObjectPartBytes + record.payload().size());
  if (put) {
    RETURN_IF_ERROR(
        Queue("SELECT lo_create($1::oid) WHERE NOT EXISTS"
              " (SELECT 1 FROM pg_largeobject_metadata WHERE oid = $1::oid)",
              just_oid));
    const std::string text = ByteaText(record.payload());
    const std::vector<capture::ValueView> write = {oid, offset, text};
    RETURN_IF_ERROR(Queue("SELECT lo_put($1::oid, $2::bigint, $3::bytea)", write));
    if (record.payload().size() == kLargeObjectPartBytes) return {};
  }
  const std::vector<capture::ValueView> cut = {oid, put ? size : offset};
  return Queue(
      // Only ever shorter: a part that goes may stand behind one that was cut already.
      "SELECT lo_close(fd) FROM (SELECT fd, CASE WHEN lo_lseek64(fd, 0, 2) > $2::bigint"
      " THEN lo_truncate64(fd, $2::bigint) END FROM (SELECT lo_open(oid, 131072) AS fd"
      " FROM pg_largeobject_metadata WHERE oid = $1::oid OFFSET 0) AS opened OFFSET 0) AS cut",
      cut);
}

}  // namespace kembar::restore
