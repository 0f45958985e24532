// sql.h — the pieces of SQL that restore, repair, compare and sink have in common.
//
// Thread-safety: as the connection, which only quotes here.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tools/capture/facts.h"
#include "tools/postgres/connection.h"

namespace kembar::restore {

// "schema"."table": everything is qualified, since the dump's SQL empties search_path.
std::string QuoteTable(const postgres::Connection& connection, const capture::TableName& table);
// "a", "b".
std::string QuoteColumns(const postgres::Connection& connection,
                         std::span<const std::string> columns);
// ('a', 'b') for IN; of an empty list one that nothing is in.
std::string QuoteTexts(const postgres::Connection& connection, std::span<const std::string> texts);
// "a" = $1 AND "b" = $2, numbered from `first`.
std::string WhereKey(const postgres::Connection& connection, std::span<const std::string> columns,
                     size_t first = 1);
// A single number such as count(*). kInternal when the answer is none.
Result<uint64_t> QueryCount(postgres::Connection* connection, const std::string& sql);

// The columns of a row's payload.
std::vector<std::string> PayloadColumns(const capture::TableShape& table);
// Bytes as a text for a bytea parameter.
std::string ByteaText(std::string_view bytes);

}  // namespace kembar::restore
