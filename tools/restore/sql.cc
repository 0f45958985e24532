// sql.cc — see sql.h.
#include "tools/restore/sql.h"

#include <charconv>

#include "replicator/base/bytes.h"

namespace kembar::restore {

std::string QuoteTable(const postgres::Connection& connection, const capture::TableName& table) {
  return connection.QuoteIdent(table.schema) + "." + connection.QuoteIdent(table.table);
}

std::string QuoteColumns(const postgres::Connection& connection,
                         std::span<const std::string> columns) {
  std::string sql;
  for (const std::string& column : columns) {
    if (!sql.empty()) sql += ", ";
    sql += connection.QuoteIdent(column);
  }
  return sql;
}

std::string QuoteTexts(const postgres::Connection& connection, std::span<const std::string> texts) {
  std::string sql;
  for (const std::string& text : texts) {
    sql += (sql.empty() ? "(" : ", ") + connection.QuoteLiteral(text);
  }
  return texts.empty() ? "(NULL)" : sql + ")";
}

std::string WhereKey(const postgres::Connection& connection, std::span<const std::string> columns,
                     size_t first) {
  std::string sql;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) sql += " AND ";
    sql += connection.QuoteIdent(columns[i]) + " = $" + std::to_string(first + i);
  }
  return sql;
}

Result<uint64_t> QueryCount(postgres::Connection* connection, const std::string& sql) {
  ASSIGN_OR_RETURN(const postgres::Rows rows, connection->Query(sql));
  uint64_t count = 0;
  if (rows.size() == 1 && rows[0].size() == 1 && rows[0][0]) {
    const std::string& text = *rows[0][0];
    if (std::from_chars(text.data(), text.data() + text.size(), count).ec == std::errc()) {
      return count;
    }
  }
  return Status(Code::kInternal, connection->where() + ": no number came from " + sql);
}

std::vector<std::string> PayloadColumns(const capture::TableShape& table) {
  std::vector<std::string> columns;
  for (const capture::Column& column : table.columns) {
    if (!column.generated) columns.push_back(column.name);
  }
  return columns;
}

std::string ByteaText(std::string_view bytes) { return "\\x" + ToHex(bytes); }

}  // namespace kembar::restore
