// row_writer.cc — see row_writer.h.
#include "tools/restore/row_writer.h"

#include <algorithm>

#include "tools/capture/row.h"
#include "tools/postgres/copy_text.h"
#include "tools/restore/sql.h"

namespace kembar::restore {
namespace {

constexpr size_t kTableBytes = size_t{1} << 20;
// Over all tables: a database may have a thousand partitions.
constexpr size_t kAllBytes = size_t{64} << 20;

}  // namespace

RowWriter::RowWriter(postgres::Connection* connection,
                     const std::vector<postgres::TableInfo>& tables)
    : connection_(connection) {
  for (const postgres::TableInfo& table : tables) {
    if (!table.has_rows) continue;
    columns_.emplace(table.shape.name, PayloadColumns(table.shape));
    rows_.emplace(table.shape.name, 0);
  }
}

Status RowWriter::Add(const capture::TableName& table, std::string_view payload) {
  ASSIGN_OR_RETURN(const capture::Row row, capture::DecodeRow(payload));
  const auto count = rows_.find(table);
  if (count == rows_.end()) {
    ++left_out_tables_[table];
    return {};
  }
  Buffer& buffer = buffers_[table];
  if (buffer.copy.empty() || buffer.columns != row.columns) {
    RETURN_IF_ERROR(FlushOne(table, &buffer));
    Prepare(table, row.columns, &buffer);
  }
  std::vector<capture::ValueView> values;
  values.reserve(buffer.taken.size());
  for (const size_t i : buffer.taken) values.emplace_back(row.values[i]);
  for (const size_t i : buffer.left_out) {
    if (row.values[i]) ++left_out_columns_[{table, row.columns[i]}];
  }
  const size_t before = buffer.data.size();
  postgres::AppendCopyRow(values, &buffer.data);
  buffered_ += buffer.data.size() - before;
  ++buffer.rows;
  ++count->second;
  if (buffer.data.size() >= kTableBytes) return FlushOne(table, &buffer);
  return buffered_ >= kAllBytes ? Flush() : Status::Ok();
}

Status RowWriter::Flush() {
  for (auto& [table, buffer] : buffers_) RETURN_IF_ERROR(FlushOne(table, &buffer));
  return {};
}

void RowWriter::Prepare(const capture::TableName& table, const std::vector<std::string>& columns,
                        Buffer* buffer) const {
  const std::vector<std::string>& known = columns_.at(table);
  buffer->columns = columns;
  buffer->taken.clear();
  buffer->left_out.clear();
  std::vector<std::string> names;
  for (size_t i = 0; i < columns.size(); ++i) {
    const bool there = std::find(known.begin(), known.end(), columns[i]) != known.end();
    (there ? buffer->taken : buffer->left_out).push_back(i);
    if (there) names.push_back(columns[i]);
  }
  // A table without columns has rows nonetheless; COPY then takes no list.
  buffer->copy = "COPY " + QuoteTable(*connection_, table) +
                 (names.empty() ? std::string() : " (" + QuoteColumns(*connection_, names) + ")") +
                 " FROM STDIN";
}

Status RowWriter::FlushOne(const capture::TableName& table, Buffer* buffer) {
  if (buffer->rows == 0) return {};
  Result<uint64_t> written = connection_->CopyIn(buffer->copy, buffer->data);
  if (!written.ok()) return written.status().Prepend("rows of " + table.Display());
  if (*written != buffer->rows) {
    return Status(Code::kInternal, "rows of " + table.Display() + ": of " +
                                       std::to_string(buffer->rows) + " the server took " +
                                       std::to_string(*written));
  }
  buffered_ -= buffer->data.size();
  buffer->data.clear();
  buffer->rows = 0;
  return {};
}

}  // namespace kembar::restore
