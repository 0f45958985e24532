// log_reader.cc — see log_reader.h.
#include "tools/restore/log_reader.h"

#include <utility>

#include "tools/client/reader.h"

namespace kembar::restore {
namespace {

Result<Version> FromProto(const v1::ItemVersion& in) {
  Version out;
  out.package = in.package();
  out.item = in.item();
  out.index = in.index();
  out.time_us = in.time_us();
  out.deleted = in.kind() == v1::RECORD_KIND_DELETE;
  if (in.payload_sha256().size() == Digest{}.size()) {
    out.sha256 = DigestFromBytes(in.payload_sha256());
  } else if (!out.deleted) {
    return Status(Code::kCorrupt, "record " + std::to_string(in.index()) + ": no SHA-256");
  }
  out.payload = in.payload();
  return out;
}

}  // namespace

v1::AsOf AtIndex(uint64_t index) {
  v1::AsOf as_of;
  as_of.set_index(index);
  return as_of;
}

Status NodeLog::List(const ItemQuery& query, const EachVersion& each) {
  v1::ListItemsRequest request;
  request.set_log(log_);
  request.set_package(query.package);
  request.set_item_prefix(query.item_prefix);
  if (query.as_of.at_case() != v1::AsOf::AT_NOT_SET) *request.mutable_as_of() = query.as_of;
  request.set_versions_max(query.versions_max);
  request.set_with_payload(query.with_payload);
  Status failed;
  const Status status = client::ListItems(
      node_.get(), request, client::Deadline::Never(), [&](const v1::ItemVersion& version) {
        Result<Version> own = FromProto(version);
        failed = own.ok() ? each(*std::move(own)) : own.status();
        return failed.ok();
      });
  RETURN_IF_ERROR(failed);
  return status.Prepend("list items of log " + log_ + " at " + node_->address);
}

Result<std::optional<Version>> NodeLog::Get(const std::string& package, const std::string& item,
                                            const v1::AsOf& as_of) {
  v1::GetItemRequest request;
  request.set_log(log_);
  request.set_package(package);
  request.set_item(item);
  if (as_of.at_case() != v1::AsOf::AT_NOT_SET) *request.mutable_as_of() = as_of;
  v1::ItemVersion answer;
  const Status status = client::GetItem(node_.get(), request, client::Deadline::Never(), &answer);
  if (status.code() == Code::kNotFound) return std::optional<Version>();
  RETURN_IF_ERROR(status.Prepend("read item " + item + " of log " + log_));
  ASSIGN_OR_RETURN(Version version, FromProto(answer));
  if (version.deleted) return std::optional<Version>();
  return std::optional<Version>(std::move(version));
}

Status NodeLog::Packages(const v1::AsOf& as_of, const EachPackage& each) {
  v1::ListPackagesRequest request;
  request.set_log(log_);
  if (as_of.at_case() != v1::AsOf::AT_NOT_SET) *request.mutable_as_of() = as_of;
  Status failed;
  const Status status = client::ListPackages(
      node_.get(), request, client::Deadline::Never(), [&](const v1::Package& package) {
        failed = each({package.package(), package.title(), package.value(), package.items()});
        return failed.ok();
      });
  RETURN_IF_ERROR(failed);
  return status.Prepend("list packages of log " + log_);
}

Status NodeLog::Watch(uint64_t from, const client::Deadline& deadline, const EachRecord& each) {
  v1::ReadRequest request;
  request.set_log(log_);
  request.set_from(from);
  return client::WatchRecords(node_.get(), request, deadline, each);
}

}  // namespace kembar::restore
