// pgoutput_fuzz.cc — any bytes as a message of PostgreSQL's logical decoding: refused as corrupt,
// or a message in which nothing is larger than what came in.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "replicator/base/check.h"
#include "tools/postgres/pgoutput.h"

namespace {

namespace postgres = kembar::postgres;

size_t Size(const postgres::Tuple& tuple) {
  size_t size = tuple.size();
  for (const postgres::TupleValue& value : tuple) {
    CHECK(value.text.empty() || value.kind == postgres::TupleValue::Kind::kText);
    size += value.text.size();
  }
  return size;
}

struct SizeOf {
  size_t operator()(const postgres::InsertMessage& m) const { return Size(m.row); }
  size_t operator()(const postgres::UpdateMessage& m) const {
    CHECK(m.old_row != postgres::OldRow::kNone || m.before.empty());
    return Size(m.before) + Size(m.row);
  }
  size_t operator()(const postgres::DeleteMessage& m) const {
    CHECK(m.old_row != postgres::OldRow::kNone);
    return Size(m.before);
  }
  size_t operator()(const postgres::RelationMessage& m) const {
    return m.columns.size() + m.name.table.size();
  }
  size_t operator()(const postgres::TruncateMessage& m) const { return 4 * m.relations.size(); }
  size_t operator()(const postgres::LogicalMessage& m) const {
    return m.prefix.size() + m.content.size();
  }
  template <class Other>
  size_t operator()(const Other&) const {
    return 0;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto message = postgres::DecodePgMessage(bytes);
  if (!message.ok()) {
    CHECK(message.status().code() == kembar::Code::kCorrupt);
    return 0;
  }
  CHECK(std::visit(SizeOf(), *message) <= size);
  return 0;
}
