// derive.cc — see derive.h.
#include "replicator/log/derive.h"

#include "replicator/base/check.h"

namespace kembar {

bool IsItem(RecordKind kind) { return kind == RecordKind::kPut || kind == RecordKind::kDelete; }

ItemVersion MakeItemVersion(const Record& record) {
  CHECK(IsItem(record.kind));
  return ItemVersion{.package = record.package,
                     .item = record.item,
                     .index = record.index,
                     .time_us = record.time_us,
                     .kind = record.kind,
                     .payload_bytes = record.payload.size(),
                     .payload_sha256 = Sha256({record.payload}),
                     .title = record.title,
                     .value = record.value,
                     .unit = record.unit};
}

bool HasPosition(const Record& record) { return !record.source.empty(); }

}  // namespace kembar
