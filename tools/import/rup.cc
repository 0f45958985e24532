// rup.cc — rows of SiRUP's procurement plan (RUP). See mapping.h.
#include "tools/import/mapping.h"

namespace kembar::import {

Status MapRup(const Row& row, Draft* draft) {
  ASSIGN_OR_RETURN(std::string id, ReadCode(row, "/id"));
  draft->package = "rup/" + id;
  draft->item = "rup";
  draft->title = row.Text("/nama");
  draft->unit = row.Text("/nama_satker");
  draft->value = row.Decimal("/total_pagu");
  return Status::Ok();
}

}  // namespace kembar::import
