// manual_record.cc — see manual.h: records as the log holds them.
#include <nlohmann/json.hpp>

#include "tools/import/manual.h"

namespace kembar::import {
namespace {

using Json = nlohmann::ordered_json;

// Members of one object; remembers the first that is odd.
class Members {
 public:
  explicit Members(const Json& object) : object_(object) {}

  std::string Text(const char* key, bool required) {
    const auto at = object_.find(key);
    if (at == object_.end() || at->is_null()) {
      if (required) Fail(key);
      return {};
    }
    if (!at->is_string()) {
      Fail(key);
      return {};
    }
    return at->get<std::string>();
  }
  bool Bool(const char* key) {
    const auto at = object_.find(key);
    if (at == object_.end()) return false;
    if (!at->is_boolean()) Fail(key);
    return at->is_boolean() && at->get<bool>();
  }
  uint64_t Number(const char* key) {
    const auto at = object_.find(key);
    if (at == object_.end() || !at->is_number_unsigned()) {
      Fail(key);
      return 0;
    }
    return at->get<uint64_t>();
  }
  void Fail(const std::string& key) {
    if (status_.ok())
      status_ = Status(Code::kCorrupt, "manual record: " + key + " is missing or odd");
  }
  const Status& status() const { return status_; }

 private:
  const Json& object_;
  Status status_;
};

Json OrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

std::string EncodeManual(const StoredManual& stored) {
  Json attachments = Json::array();
  for (const ManualAttachment& file : stored.attachments) {
    attachments.push_back(
        {{"name", file.name}, {"path", file.path}, {"size", file.size}, {"sha256", file.sha256}});
  }
  const ManualRecord& record = stored.record;
  const Json json = {{"title", record.title},
                     {"unit", record.unit},
                     {"value", record.value},
                     {"method", record.method},
                     {"vendor", record.vendor},
                     {"contract_number", record.contract_number},
                     {"contract_date", record.contract_date},
                     {"recommendation_letter", OrNull(record.recommendation_letter)},
                     {"attachments", std::move(attachments)},
                     {"recorded_by", stored.recorded_by},
                     {"entered", stored.entered},
                     {"entered_by", OrNull(stored.entered_by)},
                     {"entered_at", OrNull(stored.entered_at)},
                     {"spse_code", OrNull(stored.spse_code)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<StoredManual> DecodeManual(std::string_view payload) {
  const Json json =
      Json::parse(payload.begin(), payload.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Status(Code::kCorrupt, "manual record: not a JSON object");
  Members members(json);
  StoredManual stored;
  stored.record.title = members.Text("title", true);
  stored.record.unit = members.Text("unit", true);
  stored.record.value = members.Text("value", true);
  stored.record.method = members.Text("method", true);
  stored.record.vendor = members.Text("vendor", true);
  stored.record.contract_number = members.Text("contract_number", true);
  stored.record.contract_date = members.Text("contract_date", true);
  stored.record.recommendation_letter = members.Text("recommendation_letter", false);
  stored.recorded_by = members.Text("recorded_by", false);
  stored.entered = members.Bool("entered");
  stored.entered_by = members.Text("entered_by", false);
  stored.entered_at = members.Text("entered_at", false);
  stored.spse_code = members.Text("spse_code", false);
  const auto attachments = json.find("attachments");
  if (attachments == json.end() || !attachments->is_array()) {
    return Status(Code::kCorrupt, "manual record: attachments is missing or odd");
  }
  for (const Json& entry : *attachments) {
    if (!entry.is_object()) return Status(Code::kCorrupt, "manual record: odd attachment");
    Members file(entry);
    stored.attachments.push_back({file.Text("name", true), file.Text("path", true),
                                  file.Number("size"), file.Text("sha256", true)});
    RETURN_IF_ERROR(file.status());
  }
  RETURN_IF_ERROR(members.status());
  return stored;
}

bool SameFacts(const StoredManual& a, const StoredManual& b) {
  const auto facts = [](const StoredManual& stored) {
    StoredManual bare;
    bare.record = stored.record;
    bare.attachments = stored.attachments;
    return EncodeManual(bare);
  };
  return facts(a) == facts(b);
}

}  // namespace kembar::import
