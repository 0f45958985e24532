// facts.cc — see facts.h. Written by hand, so that equal facts have equal bytes; read by the JSON
// library.
#include "tools/capture/facts.h"

#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/capture/json_text.h"

namespace kembar::capture {
namespace {

using Json = nlohmann::json;

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kDayUs = 86'400 * kSecondUs;
// 0001-01-01 and 9999-12-31, counted from 1970-01-01.
constexpr int64_t kFirstDay = -719'162;
constexpr int64_t kLastDay = 2'932'896;
constexpr int64_t kZoneUs = 7 * 3'600 * kSecondUs;  // shown in WIB

Status Corrupt(std::string_view what, std::string_view why) {
  return {Code::kCorrupt, std::string(what) + ": " + std::string(why)};
}

Result<Json> ParseObject(std::string_view what, std::string_view payload) {
  Json json = Json::parse(payload.begin(), payload.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Corrupt(what, "not a JSON object");
  return json;
}

// Members of one object; remembers the first that is missing or of another type.
class Members {
 public:
  Members(std::string_view what, const Json& object) : what_(what), object_(object) {}

  std::string Text(const char* key) {
    const Json* member = Find(key);
    if (member == nullptr || !member->is_string()) return Fail(key), std::string();
    return member->get<std::string>();
  }
  uint64_t Number(const char* key, uint64_t max = UINT64_MAX) {
    const Json* member = Find(key);
    if (member == nullptr || !member->is_number_unsigned()) return Fail(key), 0;
    const auto number = member->get<uint64_t>();
    if (number > max) return Fail(key), 0;
    return number;
  }
  bool Bool(const char* key, std::optional<bool> fallback = {}) {
    const Json* member = Find(key);
    if (member == nullptr && fallback) return *fallback;
    if (member == nullptr || !member->is_boolean()) return Fail(key), false;
    return member->get<bool>();
  }
  const Json& Array(const char* key) {
    static const Json empty = Json::array();
    const Json* member = Find(key);
    if (member == nullptr || !member->is_array()) return Fail(key), empty;
    return *member;
  }
  bool IsNull(const char* key) const {
    const Json* member = Find(key);
    return member == nullptr || member->is_null();
  }
  void Fail(std::string_view key) {
    if (status_.ok()) status_ = Corrupt(what_, std::string(key) + " is missing or odd");
  }
  const Status& status() const { return status_; }

 private:
  const Json* Find(const char* key) const {
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
  }

  const std::string_view what_;
  const Json& object_;
  Status status_;
};

void AppendMember(std::string_view key, std::string_view text, std::string* out) {
  AppendJsonText(key, out);
  out->push_back(':');
  AppendJsonText(text, out);
}

std::string_view BoolText(bool value) { return value ? "true" : "false"; }

// "2026-11-24T10:00:00.123456+07:00"; nothing outside the years that have four digits.
std::optional<std::string> FormatTime(int64_t us) {
  using std::chrono::days;
  if (us > INT64_MAX - kZoneUs) return std::nullopt;
  const int64_t local = us + kZoneUs;
  int64_t day = local / kDayUs;
  int64_t rest = local % kDayUs;
  if (rest < 0) {
    --day;
    rest += kDayUs;
  }
  if (day < kFirstDay || day > kLastDay) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::sys_days{days{day}}};
  char text[40];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02d.%06d+07:00", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(rest / (3'600 * kSecondUs)),
                static_cast<int>(rest / (60 * kSecondUs) % 60),
                static_cast<int>(rest / kSecondUs % 60), static_cast<int>(rest % kSecondUs));
  return text;
}

// `text` is digits only.
std::optional<int> Digits(std::string_view text) {
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  return number;
}

// The form that FormatTime writes, in any zone.
std::optional<int64_t> ParseTime(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000000+00:00";
  if (text.size() != kForm.size()) return std::nullopt;
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool sign = i == 26 && (text[i] == '+' || text[i] == '-');
    if (kForm[i] != '0' && text[i] != kForm[i] && !sign) return std::nullopt;
  }
  const auto year = Digits(text.substr(0, 4));
  const auto month = Digits(text.substr(5, 2));
  const auto day = Digits(text.substr(8, 2));
  const auto hour = Digits(text.substr(11, 2));
  const auto minute = Digits(text.substr(14, 2));
  const auto second = Digits(text.substr(17, 2));
  const auto micros = Digits(text.substr(20, 6));
  const auto zone_hour = Digits(text.substr(27, 2));
  const auto zone_minute = Digits(text.substr(30, 2));
  if (!year || !month || !day || !hour || !minute || !second || !micros || !zone_hour ||
      !zone_minute || *hour > 23 || *minute > 59 || *second > 59 || *zone_hour > 15 ||
      *zone_minute > 59) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  const int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  const int64_t zone = (int64_t{*zone_hour} * 60 + *zone_minute) * (text[26] == '-' ? -60 : 60);
  const int64_t seconds = (int64_t{*hour} * 60 + *minute) * 60 + *second - zone;
  return days * kDayUs + seconds * kSecondUs + *micros;
}

bool IsWholeNumber(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text.size() <= 20 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string FormatUtc(int64_t us) {
  const auto seconds = static_cast<std::time_t>(us / kSecondUs);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string FormatLsn(Lsn lsn) {
  char text[24];
  std::snprintf(text, sizeof(text), "%X/%X", static_cast<unsigned>(lsn >> 32),
                static_cast<unsigned>(lsn & 0xffffffff));
  return text;
}

Result<Lsn> ParseLsn(std::string_view text) {
  const auto part = [](std::string_view digits) -> std::optional<uint32_t> {
    uint32_t number = 0;
    const char* end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, number, 16);
    if (digits.empty() || error != std::errc() || at != end) return std::nullopt;
    return number;
  };
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto high = part(text.substr(0, slash));
    const auto low = part(text.substr(slash + 1));
    if (high && low) return (Lsn{*high} << 32) | *low;
  }
  return Status(Code::kInvalid, "\"" + std::string(text.substr(0, 40)) + "\" is not an LSN",
                "write e.g. 0/16B3748");
}

std::string EncodeTable(const TableShape& table) {
  std::string out = "{";
  AppendMember("schema", table.name.schema, &out);
  out += ',';
  AppendMember("table", table.name.table, &out);
  if (table.root != table.name) {
    out += ",\"root\":{";
    AppendMember("schema", table.root.schema, &out);
    out += ',';
    AppendMember("table", table.root.table, &out);
    out += '}';
  }
  out += ",\"columns\":[";
  for (const Column& column : table.columns) {
    if (&column != &table.columns.front()) out += ',';
    out += '{';
    AppendMember("name", column.name, &out);
    out += ',';
    AppendMember("type", column.type, &out);
    if (column.generated) out += ",\"generated\":true";
    out += '}';
  }
  out += "],\"key\":[";
  for (const std::string& column : table.key) {
    if (&column != &table.key.front()) out += ',';
    AppendJsonText(column, &out);
  }
  return out + "]}";
}

Result<TableShape> DecodeTable(std::string_view payload) {
  constexpr std::string_view kWhat = "table";
  ASSIGN_OR_RETURN(const Json json, ParseObject(kWhat, payload));
  Members members(kWhat, json);
  TableShape table;
  table.name.schema = members.Text("schema");
  table.name.table = members.Text("table");
  table.root = table.name;
  if (!members.IsNull("root")) {
    const Json& root = json["root"];
    if (!root.is_object()) return Corrupt(kWhat, "root is not an object");
    Members names(kWhat, root);
    table.root = {names.Text("schema"), names.Text("table")};
    RETURN_IF_ERROR(names.status());
  }
  for (const Json& entry : members.Array("columns")) {
    if (!entry.is_object()) return Corrupt(kWhat, "a column is not an object");
    Members column(kWhat, entry);
    table.columns.push_back(
        {column.Text("name"), column.Text("type"), column.Bool("generated", false)});
    RETURN_IF_ERROR(column.status());
  }
  for (const Json& entry : members.Array("key")) {
    if (!entry.is_string()) return Corrupt(kWhat, "a column of the key is not a text");
    table.key.push_back(entry.get<std::string>());
  }
  RETURN_IF_ERROR(members.status());
  return table;
}

std::string EncodeMarker(const Marker& marker) {
  std::string out = "{";
  AppendMember("lsn", FormatLsn(marker.lsn), &out);
  out += ",\"xid\":" + std::to_string(marker.xid) + ",\"committed\":";
  const std::optional<std::string> committed =
      marker.committed_us == 0 ? std::nullopt : FormatTime(marker.committed_us);
  if (committed) {
    AppendJsonText(*committed, &out);
  } else {
    out += "null";
  }
  out += ",\"changes\":" + std::to_string(marker.changes);
  out += ",\"part\":" + std::to_string(marker.part) + ",\"last\":";
  out += BoolText(marker.last);
  return out + "}";
}

Result<Marker> DecodeMarker(std::string_view payload) {
  constexpr std::string_view kWhat = "transaction marker";
  ASSIGN_OR_RETURN(const Json json, ParseObject(kWhat, payload));
  Members members(kWhat, json);
  Marker marker;
  const Result<Lsn> lsn = ParseLsn(members.Text("lsn"));
  if (lsn.ok()) {
    marker.lsn = *lsn;
  } else {
    members.Fail("lsn");
  }
  marker.xid = static_cast<uint32_t>(members.Number("xid", UINT32_MAX));
  if (!members.IsNull("committed")) {
    const std::optional<int64_t> time = ParseTime(members.Text("committed"));
    if (!time) members.Fail("committed");
    marker.committed_us = time.value_or(0);
  }
  marker.changes = members.Number("changes");
  marker.part = members.Number("part");
  marker.last = members.Bool("last");
  RETURN_IF_ERROR(members.status());
  return marker;
}

std::string EncodeSequence(const SequenceState& state) {
  std::string out = "{";
  AppendMember("last_value", state.last_value, &out);
  out += ",\"is_called\":";
  out += BoolText(state.is_called);
  return out + "}";
}

Result<SequenceState> DecodeSequence(std::string_view payload) {
  constexpr std::string_view kWhat = "sequence";
  ASSIGN_OR_RETURN(const Json json, ParseObject(kWhat, payload));
  Members members(kWhat, json);
  SequenceState state{members.Text("last_value"), members.Bool("is_called")};
  if (!IsWholeNumber(state.last_value)) members.Fail("last_value");
  RETURN_IF_ERROR(members.status());
  return state;
}

}  // namespace kembar::capture
