// restore.cc — see restore.h.
#include "tools/restore/restore.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "tools/postgres/catalog.h"
#include "tools/restore/row_writer.h"
#include "tools/restore/sequences.h"
#include "tools/restore/sql.h"
#include "tools/restore/transaction.h"

namespace kembar::restore {
namespace {

constexpr uint64_t kLargeObjectPartBytes = uint64_t{1} << 20;
// Names in a message about what is in the way.
constexpr size_t kNamesShown = 8;

std::string Some(const postgres::Rows& rows) {
  std::string names;
  for (size_t i = 0; i < std::min(rows.size(), kNamesShown); ++i) {
    names += (i > 0 ? ", " : "") + rows[i][0].value_or("");
  }
  if (rows.size() > kNamesShown) {
    names += " and " + std::to_string(rows.size() - kNamesShown) + " more";
  }
  return names;
}

// Of partitioned tables the partitions hold the rows, and the log speaks of those.
Status CheckComplete(const Captured& captured) {
  for (const auto* sql : {&captured.pre_data, &captured.post_data}) {
    if (!sql->empty()) continue;
    return Status(Code::kNotFound,
                  std::string("the log holds no ") +
                      (sql == &captured.pre_data ? capture::kPreDataItem : capture::kPostDataItem) +
                      " at that moment",
                  "it was not captured by kembar-agent, or the first copy is not finished");
  }
  return {};
}

// The dump makes the schemas it needs, and an empty one of the same name would be in its way.
Status DropEmptySchemas(postgres::Connection* connection, const Captured& captured) {
  for (const std::string& schema : captured.Schemas()) {
    const std::string quoted = connection->QuoteIdent(schema);
    if (captured.pre_data.find("CREATE SCHEMA " + schema + ";") == std::string::npos &&
        captured.pre_data.find("CREATE SCHEMA " + quoted + ";") == std::string::npos) {
      continue;
    }
    RETURN_IF_ERROR(connection->Execute("DROP SCHEMA IF EXISTS " + quoted + " RESTRICT"));
  }
  return {};
}

class Filler {
 public:
  Filler(postgres::Connection* connection, LogReader* log, const Boundary& boundary,
         const OnProgress& progress)
      : connection_(connection), log_(log), boundary_(boundary), progress_(progress) {}

  Result<Restored> Run(const Captured& captured) {
    RETURN_IF_ERROR(CountItems());
    RETURN_IF_ERROR(connection_->Execute(captured.pre_data).Prepend("SQL before the rows"));
    RETURN_IF_ERROR(WriteRows(captured));
    RETURN_IF_ERROR(WriteLargeObjects());
    ASSIGN_OR_RETURN(out_.sequences, SetSequences(connection_, captured.sequences));
    RETURN_IF_ERROR(connection_->Execute(captured.post_data).Prepend("SQL after the rows"));
    RETURN_IF_ERROR(CountRows());
    return std::move(out_);
  }

 private:
  Status CountItems() {
    return log_->Packages(AtIndex(boundary_.index), [&](const PackageFacts& package) {
      total_ += package.items;
      return Status::Ok();
    });
  }

  Status WriteRows(const Captured& captured) {
    ASSIGN_OR_RETURN(std::vector<postgres::TableInfo> tables, postgres::ListTables(connection_));
    // The position of a sink, which stays when its database is filled anew.
    std::erase_if(tables, [&](const postgres::TableInfo& table) {
      return IsOwn(table.shape.name) && !captured.tables.contains(table.shape.name);
    });
    RowWriter writer(connection_, tables);
    const ItemQuery query{
        .item_prefix = "row/", .as_of = AtIndex(boundary_.index), .with_payload = true};
    RETURN_IF_ERROR(log_->List(query, [&](const Version& version) -> Status {
      const capture::ItemName name = capture::ParseItem(version.item);
      if (version.deleted || name.kind != capture::ItemKind::kRow) return {};
      if (progress_) progress_(++done_, total_);
      return writer.Add(name.table, version.payload)
          .Prepend("record " + std::to_string(version.index) + ", " + version.item);
    }));
    RETURN_IF_ERROR(writer.Flush());
    for (const auto& [table, rows] : writer.rows()) out_.tables.push_back({table, rows});
    for (const auto& [column, rows] : writer.left_out_columns()) {
      out_.left_out_columns.push_back({column.first, column.second, rows});
    }
    for (const auto& [table, rows] : writer.left_out_tables()) {
      out_.left_out_tables.push_back({table, rows});
    }
    return {};
  }

  Status WriteLargeObjects() {
    const ItemQuery query{.package = "-",
                          .item_prefix = "large-object/",
                          .as_of = AtIndex(boundary_.index),
                          .with_payload = true};
    std::set<std::string> made;
    RETURN_IF_ERROR(log_->List(query, [&](const Version& version) -> Status {
      const capture::ItemName name = capture::ParseItem(version.item);
      if (version.deleted || name.kind != capture::ItemKind::kLargeObject) return {};
      return WritePart(name.key, version.payload, &made).Prepend(version.item);
    }));
    out_.large_objects = made.size();
    return {};
  }

  // `key` is "OID/N".
  Status WritePart(const std::string& key, const std::string& bytes, std::set<std::string>* made) {
    const std::string oid = key.substr(0, key.find('/'));
    uint64_t part = 0;
    const char* const end = key.data() + key.size();
    if (std::from_chars(key.data() + oid.size() + 1, end, part).ptr != end) {
      return Status(Code::kCorrupt, "no such part: " + key);
    }
    if (made->insert(oid).second) {
      // The dump's SQL may have made it already.
      const capture::ValueView make[] = {oid};
      RETURN_IF_ERROR(
          connection_->Execute("SELECT lo_create($1::oid) WHERE NOT EXISTS"
                               " (SELECT 1 FROM pg_largeobject_metadata WHERE oid = $1::oid)",
                               make));
    }
    if (bytes.empty()) return {};
    const std::string offset = std::to_string(part * kLargeObjectPartBytes);
    const std::string text = ByteaText(bytes);
    const capture::ValueView put[] = {oid, offset, text};
    return connection_->Execute("SELECT lo_put($1::oid, $2::bigint, $3::bytea)", put);
  }

  // What the server itself says it holds now.
  Status CountRows() {
    for (const TableRows& table : out_.tables) {
      ASSIGN_OR_RETURN(const uint64_t rows,
                       QueryCount(connection_, "SELECT count(*) FROM ONLY " +
                                                   QuoteTable(*connection_, table.name)));
      if (rows != table.rows) {
        return Status(Code::kInternal, "table " + table.name.Display() + " has " +
                                           std::to_string(rows) + " rows, but " +
                                           std::to_string(table.rows) + " were written");
      }
    }
    return {};
  }

  postgres::Connection* const connection_;
  LogReader* const log_;
  const Boundary& boundary_;
  const OnProgress& progress_;
  Restored out_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

Status CheckEmpty(postgres::Connection* connection, const Captured& captured) {
  const std::vector<std::string> schemas = captured.Schemas();
  ASSIGN_OR_RETURN(
      const postgres::Rows there,
      connection->Query("SELECT n.nspname || '.' || c.relname FROM pg_class c"
                        " JOIN pg_namespace n ON n.oid = c.relnamespace"
                        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname IN " +
                        QuoteTexts(*connection, schemas) +
                        " AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE"
                        " d.classid = 'pg_class'::regclass AND d.objid = c.oid"
                        " AND d.deptype = 'e') ORDER BY 1"));
  if (!there.empty()) {
    return Status(Code::kExists, connection->where() + " is not empty, it holds " + Some(there),
                  "restore into a new database, or repair packages with --package");
  }
  if (captured.large_objects.empty()) return {};
  std::vector<std::string> oids;
  for (const uint32_t oid : captured.large_objects) oids.push_back(std::to_string(oid));
  ASSIGN_OR_RETURN(const postgres::Rows objects,
                   connection->Query("SELECT oid::text FROM pg_largeobject_metadata WHERE oid IN " +
                                     QuoteTexts(*connection, oids) + " ORDER BY oid"));
  if (objects.empty()) return {};
  return Status(Code::kExists,
                connection->where() + " is not empty, it holds large objects " + Some(objects),
                "restore into a new database");
}

Result<Restored> FillDatabase(postgres::Connection* connection, LogReader* log,
                              const Boundary& boundary, const Captured& captured,
                              const OnProgress& progress) {
  RETURN_IF_ERROR(CheckComplete(captured));
  RETURN_IF_ERROR(DropEmptySchemas(connection, captured));
  return Filler(connection, log, boundary, progress).Run(captured);
}

Result<RestoreReport> RestoreDatabase(LogReader* log, const RestoreOptions& options,
                                      const OnProgress& progress) {
  RestoreReport report;
  ASSIGN_OR_RETURN(report.boundary, FindBoundary(log, options.as_of, options.source));
  ASSIGN_OR_RETURN(const Captured captured, ReadCaptured(log, report.boundary));
  ASSIGN_OR_RETURN(const auto connection, postgres::Connection::Open({.dsn = options.dsn}));
  RETURN_IF_ERROR(CheckEmpty(connection.get(), captured));
  {
    Transaction transaction(connection.get());
    RETURN_IF_ERROR(transaction.Begin());
    Result<Restored> filled =
        FillDatabase(connection.get(), log, report.boundary, captured, progress);
    if (!filled.ok()) return RolledBack(filled.status());
    report.restored = *std::move(filled);
    const Status committed = transaction.Commit();
    if (!committed.ok()) {
      return Status(committed.code(), committed.message(),
                    "look whether the database holds the tables: all or none of them are there");
    }
  }
  report.analyze_error = connection->Execute("ANALYZE").message();
  return report;
}

}  // namespace kembar::restore
