// manual_log.cc — see manual_log.h.
#include "tools/kembarctl/manual_log.h"

#include "replicator/base/digest.h"
#include "tools/client/reader.h"

namespace kembar::ctl {
namespace {

// One source a record, because positions are those of its versions.
std::string SourceOf(const ManualKey& key) {
  const Digest digest = Sha256({key.first, std::string_view("\0", 1), key.second});
  return "manual/" + ToHex(digest).substr(0, 32);
}

Status CheckHolds(client::PrimaryFollower* follower, const ManualKey& key,
                  const std::string& payload, const client::Deadline& deadline) {
  ASSIGN_OR_RETURN(const auto node, follower->Get(deadline));
  v1::GetItemRequest request;
  request.set_log(follower->log());
  request.set_package(key.first);
  request.set_item(key.second);
  v1::ItemVersion version;
  RETURN_IF_ERROR(client::GetItem(node.get(), request, deadline, &version));
  if (version.payload() == payload) return Status::Ok();
  return Status(Code::kDiverged,
                key.second + " of package " + key.first + " was changed by somebody else meanwhile",
                "look at it with kembarctl manual list --all, then try again");
}

}  // namespace

Result<ManualVersions> ReadManuals(client::NodeStubs* node, const std::string& log) {
  v1::ListItemsRequest request;
  request.set_log(log);
  request.set_item_prefix(std::string(import::kManualPrefix));
  request.set_with_payload(true);
  ManualVersions all;
  Status odd;
  const Status status = client::ListItems(
      node, request, client::Deadline::Never(), [&](const v1::ItemVersion& version) {
        if (!version.item().starts_with(import::kManualPrefix)) return true;
        ManualVersion& known = all[{version.package(), version.item()}];
        known.index = version.index();
        known.time_us = version.time_us();
        known.living = version.kind() == v1::RECORD_KIND_PUT;
        if (!known.living) return true;
        known.payload = version.payload();
        Result<import::StoredManual> stored = import::DecodeManual(version.payload());
        if (!stored.ok()) {
          odd = stored.status().Prepend("record " + std::to_string(version.index()));
          return false;
        }
        known.stored = *std::move(stored);
        known.stored.record.package = version.package();
        return true;
      });
  RETURN_IF_ERROR(status.Prepend("read manual procurement"));
  RETURN_IF_ERROR(odd);
  return all;
}

v1::Draft ManualDraft(const ManualKey& key, const std::string& payload) {
  v1::Draft draft;
  draft.set_kind(v1::RECORD_KIND_PUT);
  draft.set_package(key.first);
  draft.set_item(key.second);
  draft.set_payload(payload);
  return draft;
}

Status AppendManual(client::PrimaryFollower* follower, const ManualKey& key, uint64_t after,
                    const std::string& payload, std::vector<v1::Draft> drafts,
                    client::Millis timeout) {
  v1::AppendRequest request;
  request.set_log(follower->log());
  request.set_source(SourceOf(key));
  request.set_position(after + 1);
  for (v1::Draft& draft : drafts) *request.add_drafts() = std::move(draft);
  ASSIGN_OR_RETURN(const v1::AppendResponse response,
                   client::AppendOnce(follower, request, timeout));
  // There already: by our own repetition, or with other contents by somebody else's.
  if (!response.duplicate()) return Status::Ok();
  return CheckHolds(follower, key, payload, client::Deadline::After(timeout));
}

}  // namespace kembar::ctl
