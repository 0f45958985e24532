// pg_bytes.h — writes pgoutput messages as the server would send them, for tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kembar::pgbytes {

inline void Number(std::string* out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(value >> (8 * i)));
}
inline void Text(std::string* out, std::string_view text) {
  out->append(text);
  out->push_back('\0');
}

// A value of a tuple: nullopt is NULL, kUnchanged what the server leaves out.
using Cell = std::optional<std::string>;
inline const std::string kUnchanged = std::string("\1unchanged");

inline void Tuple(std::string* out, const std::vector<Cell>& cells) {
  Number(out, cells.size(), 2);
  for (const Cell& cell : cells) {
    if (!cell) {
      out->push_back('n');
    } else if (*cell == kUnchanged) {
      out->push_back('u');
    } else {
      out->push_back('t');
      Number(out, cell->size(), 4);
      out->append(*cell);
    }
  }
}

inline std::string Begin(uint64_t commit_lsn, uint32_t xid, uint64_t time_us = 0) {
  std::string out = "B";
  Number(&out, commit_lsn, 8);
  Number(&out, time_us, 8);
  Number(&out, xid, 4);
  return out;
}
inline std::string Commit(uint64_t commit_lsn, uint64_t end_lsn, uint64_t time_us = 0) {
  std::string out = "C";
  out.push_back('\0');
  Number(&out, commit_lsn, 8);
  Number(&out, end_lsn, 8);
  Number(&out, time_us, 8);
  return out;
}

struct Column {
  std::string name;
  bool key = false;
  uint32_t type = 25;  // text
};
inline std::string Relation(uint32_t id, std::string_view schema, std::string_view table,
                            const std::vector<Column>& columns, char identity = 'd') {
  std::string out = "R";
  Number(&out, id, 4);
  Text(&out, schema);
  Text(&out, table);
  out.push_back(identity);
  Number(&out, columns.size(), 2);
  for (const Column& column : columns) {
    out.push_back(column.key || identity == 'f' ? '\1' : '\0');
    Text(&out, column.name);
    Number(&out, column.type, 4);
    Number(&out, 0xffffffff, 4);
  }
  return out;
}
inline std::string Insert(uint32_t id, const std::vector<Cell>& row) {
  std::string out = "I";
  Number(&out, id, 4);
  out.push_back('N');
  Tuple(&out, row);
  return out;
}
// `old_tag` 'K' or 'O', or 0 for none.
inline std::string Update(uint32_t id, char old_tag, const std::vector<Cell>& before,
                          const std::vector<Cell>& row) {
  std::string out = "U";
  Number(&out, id, 4);
  if (old_tag != 0) {
    out.push_back(old_tag);
    Tuple(&out, before);
  }
  out.push_back('N');
  Tuple(&out, row);
  return out;
}
inline std::string Delete(uint32_t id, char old_tag, const std::vector<Cell>& before) {
  std::string out = "D";
  Number(&out, id, 4);
  out.push_back(old_tag);
  Tuple(&out, before);
  return out;
}
inline std::string Truncate(const std::vector<uint32_t>& ids) {
  std::string out = "T";
  Number(&out, ids.size(), 4);
  out.push_back('\0');
  for (const uint32_t id : ids) Number(&out, id, 4);
  return out;
}

}  // namespace kembar::pgbytes
