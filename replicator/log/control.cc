// control.cc — see control.h.
#include "replicator/log/control.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace kembar {
namespace {

// Keys without which a control record says too little: absent must never read as "no" or "none".
constexpr std::string_view kRequiredKeys[] = {"log_uuid",      "primary", "sync_mirrors", "mode",
                                              "solo_after_ms", "solo",    "lossy"};

std::string Escape(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      default: out += c;
    }
  }
  return out;
}

// Names end at the first space of a line, so a space inside one is written \s. ValidateConfig
// refuses such names; the codec still must not mix them up.
std::string EscapeName(std::string_view name) {
  std::string out;
  for (char c : Escape(name)) {
    if (c == ' ') {
      out += "\\s";
    } else {
      out += c;
    }
  }
  return out;
}

bool Unescape(std::string_view text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') return false;
    if (text[i] != '\\') {
      *out += text[i];
      continue;
    }
    if (++i == text.size()) return false;
    switch (text[i]) {
      case '\\': *out += '\\'; break;
      case 'n': *out += '\n'; break;
      case 'r': *out += '\r'; break;
      case 's': *out += ' '; break;
      default: return false;
    }
  }
  return true;
}

bool ReadNumber(std::string_view text, uint32_t* out) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *out);
  return error == std::errc() && stop == end;
}

bool ReadBool(std::string_view text, bool* out) {
  *out = text == "true";
  return *out || text == "false";
}

bool ReadMode(std::string_view text, Mode* out) {
  std::optional<Mode> mode = ModeFromName(text);
  if (mode) *out = *mode;
  return mode.has_value();
}

bool ReadMember(std::string_view text, std::vector<Member>* out) {
  size_t space = std::min(text.find(' '), text.size());
  std::string_view address = text.substr(std::min(space + 1, text.size()));
  Member member;
  if (!Unescape(text.substr(0, space), &member.name)) return false;
  if (!Unescape(address, &member.address)) return false;
  out->push_back(std::move(member));
  return true;
}

// False when the value is malformed. Keys that this version does not know are passed over.
bool ReadField(std::string_view key, std::string_view value, ControlState* state) {
  if (key == "member") return ReadMember(value, &state->config.members);
  if (key == "left_out") return ReadMember(value, &state->config.left_out);
  if (key == "sync_mirrors") return ReadNumber(value, &state->config.sync_mirrors);
  if (key == "mode") return ReadMode(value, &state->config.mode);
  if (key == "solo_after_ms") return ReadNumber(value, &state->config.solo_after_ms);
  if (key == "solo") return ReadBool(value, &state->config.solo);
  if (key == "lossy") return ReadBool(value, &state->lossy);
  if (key == "log_uuid") return Unescape(value, &state->log_uuid);
  if (key == "primary") return Unescape(value, &state->primary);
  if (key == "reason") return Unescape(value, &state->reason);
  if (key == "actor") return Unescape(value, &state->actor);
  if (key == "known") return Unescape(value, &state->known);
  return true;
}

bool MayRepeat(std::string_view key) { return key == "member" || key == "left_out"; }

Status Corrupt(size_t line, std::string_view why, std::string_view key = {}) {
  std::string text = "control text line " + std::to_string(line) + ": " + std::string(why);
  if (!key.empty()) text += " " + std::string(key);
  return {Code::kCorrupt, std::move(text)};
}

Status ValidateName(std::string_view name) {
  bool printable = std::all_of(name.begin(), name.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7f;
  });
  if (name.empty() || name.size() > kNameBytesMax || !printable) {
    return {Code::kInvalid, "node name \"" + Escape(name) +
                                "\" is empty, too long, or has a space or control character"};
  }
  return Status::Ok();
}

}  // namespace

std::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kMaxProtection: return "max-protection";
    case Mode::kMaxAvailability: return "max-availability";
    case Mode::kMaxPerformance: return "max-performance";
  }
  return "unknown";
}

std::optional<Mode> ModeFromName(std::string_view name) {
  for (Mode mode : {Mode::kMaxProtection, Mode::kMaxAvailability, Mode::kMaxPerformance}) {
    if (name == ModeName(mode)) return mode;
  }
  return std::nullopt;
}

const Member* Config::Find(std::string_view name) const {
  for (const std::vector<Member>* list : {&members, &left_out}) {
    for (const Member& member : *list) {
      if (member.name == name) return &member;
    }
  }
  return nullptr;
}

bool Config::HasMember(std::string_view name) const {
  return std::any_of(members.begin(), members.end(),
                     [name](const Member& member) { return member.name == name; });
}

uint32_t Config::MirrorsOfQuorum() const {
  auto mirrors = static_cast<uint32_t>(members.empty() ? 0 : members.size() - 1);
  return std::min(sync_mirrors, mirrors);
}

uint32_t Config::RequiredMirrors() const {
  return solo || mode == Mode::kMaxPerformance ? 0 : MirrorsOfQuorum();
}

uint32_t Config::FenceQuorum() const {
  uint32_t quorum = static_cast<uint32_t>(members.size()) - MirrorsOfQuorum();
  return std::max(quorum, uint32_t{1});
}

Status ValidateConfig(const Config& config) {
  if (config.members.empty()) return {Code::kInvalid, "no members"};
  std::set<std::string_view> names;
  for (const std::vector<Member>* list : {&config.members, &config.left_out}) {
    for (const Member& member : *list) {
      RETURN_IF_ERROR(ValidateName(member.name));
      if (!names.insert(member.name).second) {
        return {Code::kInvalid, "node " + member.name + " is named twice"};
      }
    }
  }
  return Status::Ok();
}

std::string EncodeControl(const ControlState& state) {
  const Config& config = state.config;
  std::string out;
  auto line = [&out](std::string_view key, std::string_view value) {
    out.append(key).append("=").append(value).append("\n");
  };
  auto list = [&line](std::string_view key, const std::vector<Member>& members) {
    for (const Member& member : members) {
      line(key, EscapeName(member.name) + " " + Escape(member.address));
    }
  };
  line("log_uuid", Escape(state.log_uuid));
  line("primary", Escape(state.primary));
  list("member", config.members);
  list("left_out", config.left_out);
  line("sync_mirrors", std::to_string(config.sync_mirrors));
  line("mode", ModeName(config.mode));
  line("solo_after_ms", std::to_string(config.solo_after_ms));
  line("solo", config.solo ? "true" : "false");
  line("lossy", state.lossy ? "true" : "false");
  line("reason", Escape(state.reason));
  line("actor", Escape(state.actor));
  line("known", Escape(state.known));
  return out;
}

Result<ControlState> DecodeControl(std::string_view text) {
  ControlState state;
  std::set<std::string_view> seen;
  size_t line = 0;
  while (!text.empty()) {
    ++line;
    size_t end = text.find('\n');
    if (end == std::string_view::npos) return Corrupt(line, "cut short");
    std::string_view whole = text.substr(0, end);
    text.remove_prefix(end + 1);
    size_t equals = whole.find('=');
    if (equals == std::string_view::npos || equals == 0) return Corrupt(line, "not key=value");
    std::string_view key = whole.substr(0, equals);
    if (!ReadField(key, whole.substr(equals + 1), &state)) return Corrupt(line, "malformed", key);
    bool first_time = seen.insert(key).second;
    if (!first_time && !MayRepeat(key)) return Corrupt(line, "repeated", key);
  }
  for (std::string_view key : kRequiredKeys) {
    if (!seen.contains(key)) return Corrupt(line + 1, "missing", key);
  }
  return state;
}

}  // namespace kembar
