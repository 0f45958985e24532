// part_writer.cc — see part_writer.h.
#include "tools/agent/postgres/part_writer.h"

namespace kembar::agent {

v1::Draft MakeDraft(v1::RecordKind kind, const std::string& package, const std::string& item,
                    std::string payload) {
  v1::Draft draft;
  draft.set_kind(kind);
  draft.set_package(package);
  draft.set_item(item);
  draft.set_payload(std::move(payload));
  return draft;
}

void AddStatements(const capture::Placement& placement, v1::Draft* draft) {
  draft->set_title(placement.title);
  draft->set_value(placement.value);
  draft->set_unit(placement.unit);
}

PartWriter::PartWriter(Options options, EmitFn emit)
    : options_(std::move(options)), emit_(std::move(emit)) {
  marker_ = {.lsn = options_.lsn,
             .xid = 0,
             .committed_us = options_.time_us,
             .changes = 0,
             .part = 1,
             .last = false};
}

Status PartWriter::MakeRoom() {
  if (drafts_.size() + 1 < options_.records_max && bytes_ < options_.bytes_max) return Status::Ok();
  return Emit(false);
}

Status PartWriter::Put(const std::string& package, const std::string& item, std::string payload,
                       const capture::Placement* of_package) {
  RETURN_IF_ERROR(MakeRoom());
  bytes_ += item.size() + payload.size();
  drafts_.push_back(MakeDraft(v1::RECORD_KIND_PUT, package, item, std::move(payload)));
  if (of_package != nullptr) AddStatements(*of_package, &drafts_.back());
  return Status::Ok();
}

Status PartWriter::Delete(const std::string& package, const std::string& item) {
  RETURN_IF_ERROR(MakeRoom());
  bytes_ += item.size();
  drafts_.push_back(MakeDraft(v1::RECORD_KIND_DELETE, package, item, {}));
  return Status::Ok();
}

Status PartWriter::Emit(bool last) {
  marker_.changes += drafts_.size();
  marker_.last = last;
  Batch batch{.drafts = std::move(drafts_), .marker = marker_};
  for (const v1::Draft& draft : batch.drafts) batch.rows += draft.item().starts_with("row/");
  batch.drafts.push_back(MakeDraft(v1::RECORD_KIND_PUT, "-",
                                   capture::TransactionItem(options_.source, last),
                                   capture::EncodeMarker(marker_)));
  drafts_.clear();
  bytes_ = 0;
  if (!last) ++marker_.part;
  return emit_(std::move(batch));
}

Result<Marker> PartWriter::Finish() {
  RETURN_IF_ERROR(Emit(true));
  return marker_;
}

}  // namespace kembar::agent
