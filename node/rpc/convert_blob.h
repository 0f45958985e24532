// convert_blob.h — messages about chunks between nodes, to and from the wire.
//
// Pure. What comes from a peer is checked for form: kInvalid names the field.
#pragma once

#include "node/blob/message.h"
#include "replicator/base/status.h"

namespace kembar {

namespace v1 {
class LinkMessage;
}

void ToProto(blob::Message message, v1::LinkMessage* out);
// Whether `in` is about chunks.
bool IsBlob(const v1::LinkMessage& in);
Result<blob::Message> BlobFromProto(v1::LinkMessage* in);

}  // namespace kembar
