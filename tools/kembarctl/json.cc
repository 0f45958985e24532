// json.cc — see json.h.
#include "tools/kembarctl/json.h"

#include <ctime>

#include "replicator/base/bytes.h"
#include "replicator/log/epoch_history.h"
#include "tools/client/convert.h"

namespace kembar::ctl {
namespace {

// The length of the well-formed UTF-8 sequence that text begins with; 0 if there is none.
size_t SequenceLength(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                        : (first & 0xf0) == 0xe0         ? 3
                        : first >= 0xf0 && first <= 0xf4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  const unsigned char second = at(1);
  const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                   (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return bad ? 0 : length;
}

}  // namespace

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string JsonTime(int64_t time_us) {
  int64_t seconds = time_us / 1'000'000;
  int64_t micros = time_us % 1'000'000;
  if (micros < 0) {
    micros += 1'000'000;
    --seconds;
  }
  const time_t time = seconds;
  tm utc{};
  gmtime_r(&time, &utc);
  char date[32];
  char text[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text, sizeof text, "%s.%06dZ", date, static_cast<int>(micros));
  return text;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      const bool padding = i + j > bytes.size();
      out += padding ? '=' : kDigits[group >> (18 - 6 * j) & 63];
    }
  }
  return out;
}

void SetPayload(std::string_view payload, Json* json) {
  if (IsUtf8(payload)) {
    (*json)["payload"] = payload;
  } else {
    (*json)["payload_base64"] = Base64(payload);
  }
}

Json RecordJson(const v1::Record& record) {
  Json json{{"index", record.index()},
            {"epoch", EpochNumber(record.epoch())},
            {"restarts", EpochRestarts(record.epoch())},
            {"time", JsonTime(record.time_us())},
            {"time_us", record.time_us()},
            {"kind", client::KindText(record.kind())},
            {"source", record.source()},
            {"position", record.position()},
            {"package", record.package()},
            {"item", record.item()},
            {"title", record.title()},
            {"value", record.value()},
            {"unit", record.unit()}};
  SetPayload(record.payload(), &json);
  json["batch_end"] = record.batch_end();
  return json;
}

std::string PackageStateText(v1::PackageState state) {
  switch (state) {
    case v1::PACKAGE_STATE_COMPLETE: return "complete";
    case v1::PACKAGE_STATE_INCOMPLETE: return "incomplete";
    case v1::PACKAGE_STATE_AT_RISK: return "at-risk";
    default: return "unknown";
  }
}

Json PackageJson(const v1::Package& package) {
  return Json{{"package", package.package()},
              {"title", package.title()},
              {"value", package.value()},
              {"unit", package.unit()},
              {"items", package.items()},
              {"documents", package.documents()},
              {"missing_documents", package.missing_documents()},
              {"last_index", package.last_index()},
              {"last_time", JsonTime(package.last_time_us())},
              {"state", PackageStateText(package.state())}};
}

Json ItemJson(const v1::Item& item, bool with_payload) {
  Json json{{"item", item.item()},
            {"versions", item.versions()},
            {"index", item.index()},
            {"time", JsonTime(item.time_us())},
            {"kind", client::KindText(item.kind())},
            {"bytes", item.payload_bytes()},
            {"sha256", ToHex(item.payload_sha256())},
            {"missing", item.missing()}};
  if (with_payload) SetPayload(item.payload(), &json);
  return json;
}

}  // namespace kembar::ctl
