// row_writer.h — rows from a log into empty tables, by COPY.
//
// A log gives rows package by package, so rows of all tables come mixed: they gather per table and
// leave as one COPY when a table has a mebibyte of them.
//
// Columns go by name. A column that the table does not have (any more) is left out and counted;
// one that a payload does not have takes the table's default.
//
// Thread-safety: none; used by one thread, like its connection.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/postgres/catalog.h"
#include "tools/postgres/connection.h"

namespace kembar::restore {

class RowWriter {
 public:
  RowWriter(postgres::Connection* connection, const std::vector<postgres::TableInfo>& tables);

  Status Add(const capture::TableName& table, std::string_view payload);
  Status Flush();

  // Tables that exist, with the rows given to each.
  const std::map<capture::TableName, uint64_t>& rows() const { return rows_; }
  // Values other than NULL that no column took: by table and column.
  const std::map<std::pair<capture::TableName, std::string>, uint64_t>& left_out_columns() const {
    return left_out_columns_;
  }
  // Rows of tables that do not exist.
  const std::map<capture::TableName, uint64_t>& left_out_tables() const { return left_out_tables_; }

 private:
  struct Buffer {
    std::vector<std::string> columns;  // as the payloads have them
    std::vector<size_t> taken;         // which of them go into the table
    std::vector<size_t> left_out;      // and which do not
    std::string copy;                  // the statement
    std::string data;
    uint64_t rows = 0;
  };

  void Prepare(const capture::TableName& table, const std::vector<std::string>& columns,
               Buffer* buffer) const;
  Status FlushOne(const capture::TableName& table, Buffer* buffer);

  postgres::Connection* const connection_;
  std::map<capture::TableName, std::vector<std::string>> columns_;
  std::map<capture::TableName, Buffer> buffers_;
  std::map<capture::TableName, uint64_t> rows_;
  std::map<std::pair<capture::TableName, std::string>, uint64_t> left_out_columns_;
  std::map<capture::TableName, uint64_t> left_out_tables_;
  size_t buffered_ = 0;
};

}  // namespace kembar::restore
