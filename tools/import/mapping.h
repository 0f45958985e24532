// mapping.h — what a parsed row is in the log: one function a form.
//
// `draft` has payload and row already; the mapper fills in the rest. A kInvalid Status is the
// reason for which the row is rejected. Manual recording, from CSV, is manual.h.
#pragma once

#include <string_view>

#include "replicator/base/status.h"
#include "tools/import/import.h"
#include "tools/import/row.h"

namespace kembar::import {

Status MapRup(const Row& row, Draft* draft);
Status MapOcds(const Row& row, Draft* draft);
Status MapIsb(const Row& row, Draft* draft);

}  // namespace kembar::import
