// derive.h — what a store derives from records, the same in every implementation of Store.
//
// Pure.
#pragma once

#include "replicator/log/record.h"
#include "replicator/log/store.h"

namespace kembar {

// Records of these kinds are versions of an item: what VisitItems shows. Control records, notes and
// kinds that this version does not know are not.
bool IsItem(RecordKind kind);

// The version that an item record makes. `record.kind` satisfies IsItem (CHECKed).
ItemVersion MakeItemVersion(const Record& record);

// Whether a record counts for Recovered::positions and FindPosition: it has a source.
bool HasPosition(const Record& record);

}  // namespace kembar
