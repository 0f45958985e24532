// json.h — the JSON that commands print: keys in the order in which they are set, one line a
// document.
//
// Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "kembar/v1/record.pb.h"
#include "kembar/v1/tender.pb.h"

namespace kembar::ctl {

using Json = nlohmann::ordered_json;

// One line, without its end.
std::string Dump(const Json& json);

// RFC 3339 in UTC with microseconds, e.g. "2026-02-01T03:04:05.000678Z".
std::string JsonTime(int64_t time_us);

template <class T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

bool IsUtf8(std::string_view text);
std::string Base64(std::string_view bytes);
// Sets json["payload"] when the bytes are UTF-8 text, else json["payload_base64"]. Nothing is lost.
void SetPayload(std::string_view payload, Json* json);

Json RecordJson(const v1::Record& record);
Json PackageJson(const v1::Package& package);
Json ItemJson(const v1::Item& item, bool with_payload);
// "complete", "incomplete", "at-risk", "unknown".
std::string PackageStateText(v1::PackageState state);

}  // namespace kembar::ctl
