// convert_blob.cc — see convert_blob.h.
#include "node/rpc/convert_blob.h"

#include <utility>

#include "kembar/v1/replication.pb.h"

namespace kembar {
namespace {

// A log of this name is passed over by nodes that know nothing of chunks.
constexpr char kNoLog[] = "-";

void WriteDigests(const std::vector<Digest>& digests, v1::BlobDigests* out) {
  std::string* bytes = out->mutable_digests();
  bytes->reserve(digests.size() * sizeof(Digest));
  for (const Digest& digest : digests) bytes->append(AsBytes(digest));
}

Result<std::vector<Digest>> ReadDigests(const v1::BlobDigests& in) {
  const std::string_view bytes = in.digests();
  if (bytes.size() % sizeof(Digest) != 0 || bytes.size() > blob::kDigestsMax * sizeof(Digest)) {
    return Status(Code::kInvalid, "digests: " + std::to_string(bytes.size()) + " bytes");
  }
  std::vector<Digest> digests;
  for (size_t at = 0; at < bytes.size(); at += sizeof(Digest)) {
    digests.push_back(DigestFromBytes(bytes.substr(at, sizeof(Digest))));
  }
  return digests;
}

template <class Kind>
Result<blob::Message> Read(const v1::BlobDigests& in) {
  ASSIGN_OR_RETURN(auto digests, ReadDigests(in));
  return blob::Message(Kind{std::move(digests)});
}

Result<blob::Message> ReadPiece(v1::BlobPiece* in) {
  if (in->digest().size() != sizeof(Digest)) return Status(Code::kInvalid, "digest: not 32 bytes");
  if (in->data().size() > blob::kPieceBytesMax) return Status(Code::kInvalid, "data: too long");
  return blob::Message(blob::Piece{.digest = DigestFromBytes(in->digest()),
                                   .offset = in->offset(),
                                   .total = in->total(),
                                   .data = std::move(*in->mutable_data()),
                                   .sent = in->sent()});
}

void Write(const blob::Offer& m, v1::LinkMessage* out) {
  WriteDigests(m.digests, out->mutable_blob_offer());
}
void Write(const blob::Want& m, v1::LinkMessage* out) {
  WriteDigests(m.digests, out->mutable_blob_want());
}
void Write(const blob::Lack& m, v1::LinkMessage* out) {
  WriteDigests(m.digests, out->mutable_blob_lack());
}
void Write(const blob::Have& m, v1::LinkMessage* out) {
  WriteDigests(m.digests, out->mutable_blob_have());
}
void Write(blob::Piece& m, v1::LinkMessage* out) {
  v1::BlobPiece* piece = out->mutable_blob_piece();
  piece->set_digest(std::string(AsBytes(m.digest)));
  piece->set_offset(m.offset);
  piece->set_total(m.total);
  piece->set_data(std::move(m.data));
  piece->set_sent(m.sent);
}
void Write(const blob::Taken& m, v1::LinkMessage* out) { out->set_blob_taken(m.sent); }

}  // namespace

void ToProto(blob::Message message, v1::LinkMessage* out) {
  out->Clear();
  out->set_log(kNoLog);
  std::visit([out](auto& m) { Write(m, out); }, message);
}

bool IsBlob(const v1::LinkMessage& in) {
  return in.body_case() >= v1::LinkMessage::kBlobOffer &&
         in.body_case() <= v1::LinkMessage::kBlobTaken;
}

Result<blob::Message> BlobFromProto(v1::LinkMessage* in) {
  if (in->has_blob_offer()) return Read<blob::Offer>(in->blob_offer());
  if (in->has_blob_want()) return Read<blob::Want>(in->blob_want());
  if (in->has_blob_lack()) return Read<blob::Lack>(in->blob_lack());
  if (in->has_blob_have()) return Read<blob::Have>(in->blob_have());
  if (in->has_blob_piece()) return ReadPiece(in->mutable_blob_piece());
  if (in->body_case() == v1::LinkMessage::kBlobTaken) {
    return blob::Message(blob::Taken{in->blob_taken()});
  }
  return Status(Code::kInvalid, "body: not about chunks");
}

}  // namespace kembar
