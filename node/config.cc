// config.cc — see config.h. The one file that knows TOML.
#include "node/config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>

#include <toml++/toml.h>

#include "replicator/base/config_text.h"

namespace kembar {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr size_t kPeersMax = 64;
constexpr size_t kNodeNameBytesMax = 64;

// A range of whole numbers, in the unit of its key.
struct Range {
  int64_t min;
  int64_t max;
};
constexpr Range kHeartbeatMs{10, 10'000};
constexpr Range kSilenceMs{100, 600'000};
constexpr Range kAppendWaitMs{100, 3'600'000};
constexpr Range kSourceSilenceS{0, 31'536'000};
constexpr Range kStopMs{100, 15'000};
constexpr Range kQueueMax{64, 10'000'000};
constexpr Range kCacheBytes{int64_t{1} << 20, int64_t{1} << 40};
constexpr Range kWriteBufferBytes{int64_t{1} << 20, int64_t{1} << 36};
constexpr Range kLinkLimitBytes{int64_t{16} << 10, int64_t{1} << 40};
constexpr Range kDiskReserveBytes{int64_t{1} << 20, int64_t{1} << 50};
// One lost heartbeat must not look like silence.
constexpr int64_t kHeartbeatsPerSilence = 3;
static_assert(kSilenceMs.max >= kHeartbeatsPerSilence * kHeartbeatMs.max);

constexpr std::array<std::string_view, 5> kLogLevels = {"debug", "info", "warn", "error", "off"};

constexpr std::array kKeys = {
    ConfigKey{"node", "name", "", "1 to 64 letters, digits, '-', '_', '.'"},
    ConfigKey{"node", "listen", "\"127.0.0.1:7401\"", "HOST:PORT"},
    ConfigKey{"node", "address", "the value of listen", "HOST:PORT"},
    ConfigKey{"node", "http", "\"\"", "HOST:PORT or empty"},
    ConfigKey{"node", "data", "", "a directory"},
    ConfigKey{"node", "disk_reserve", "\"512MiB\"", "1MiB to 1PiB"},
    ConfigKey{"node", "log_level", "\"info\"", "debug, info, warn, error, off"},
    ConfigKey{"peer", "name", "", "as node.name; not this node's, none twice"},
    ConfigKey{"peer", "address", "\"\"", "HOST:PORT or empty"},
    ConfigKey{"link_limit", "from", "", "HH:MM, local time"},
    ConfigKey{"link_limit", "to", "", "HH:MM, local time; not after from: on the next day"},
    ConfigKey{"link_limit", "catch_up", "", "16KiB to 1TiB a second"},
    ConfigKey{"link_limit", "blobs", "0", "0 (no limit) to 1TiB a second"},
    ConfigKey{"limits", "heartbeat_ms", "200", "10 to 10000"},
    ConfigKey{"limits", "silence_ms", "2000", "100 to 600000, at least 3 heartbeats"},
    ConfigKey{"limits", "append_wait_ms", "30000", "100 to 3600000"},
    ConfigKey{"limits", "source_silence_s", "1800", "0 (no alarm) to 31536000"},
    ConfigKey{"limits", "stop_ms", "3000", "100 to 15000"},
    ConfigKey{"limits", "queue_max", "65536", "64 to 10000000"},
    ConfigKey{"limits", "cache", "\"64MiB\"", "1MiB to 1TiB"},
    ConfigKey{"limits", "write_buffer", "\"128MiB\"", "1MiB to 64GiB"},
    ConfigKey{"mirror", "accept_logs", "[\"*\"]", "a list of log ids, or [\"*\"]"},
};

std::vector<std::string_view> Sections() {
  std::vector<std::string_view> sections;
  for (const ConfigKey& key : kKeys) {
    if (sections.empty() || sections.back() != key.section) sections.push_back(key.section);
  }
  return sections;
}

std::vector<std::string_view> KeysOf(std::string_view section) {
  std::vector<std::string_view> names;
  for (const ConfigKey& key : kKeys) {
    if (key.section == section) names.push_back(key.name);
  }
  return names;
}

std::string TypeName(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kNodeNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

// Takes values out of one table and remembers the first error; what was not taken is unknown.
class Section {
 public:
  Section(const std::string& file, std::string_view name, const toml::table* table, uint32_t line)
      : file_(file), name_(name), table_(table), line_(line) {}

  std::string String(std::string_view key, std::string fallback) {
    const toml::node* node = Find(key);
    if (node == nullptr) return fallback;
    const auto value = node->value_exact<std::string>();
    if (!value) {
      WrongType(key, *node, "a string in quotes");
      return fallback;
    }
    if (std::any_of(value->begin(), value->end(),
                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
      Fail(key, *node, "has a control character in it");
      return fallback;
    }
    return *value;
  }

  std::string Required(std::string_view key, std::string_view example) {
    if (Find(key) == nullptr) {
      Add(line_, key, "is missing", "write e.g. " + std::string(key) + " = " + Quoted(example));
      return {};
    }
    std::string value = String(key, {});
    if (value.empty()) Fail(key, *Find(key), "is empty");
    return value;
  }

  std::string Address(std::string_view key, std::string fallback, bool port_zero) {
    std::string value = String(key, std::move(fallback));
    const toml::node* node = Find(key);
    if (node == nullptr || value.empty()) return value;
    const Result<HostPort> parsed = ParseHostPort(value);
    if (!parsed.ok()) {
      Fail(key, *node, parsed.status().message(), "write e.g. \"127.0.0.1:7401\"");
    } else if (parsed->port == 0 && !port_zero) {
      Fail(key, *node, Quoted(value) + " has port 0, where nobody can be reached");
    }
    return value;
  }

  int64_t Number(std::string_view key, int64_t fallback, Range range) {
    const toml::node* node = Find(key);
    if (node == nullptr) return fallback;
    const auto value = node->value_exact<int64_t>();
    if (!value) {
      WrongType(key, *node, "a whole number");
      return fallback;
    }
    if (*value < range.min || *value > range.max) {
      Fail(key, *node,
           std::to_string(*value) + " is out of range: " + std::to_string(range.min) + " to " +
               std::to_string(range.max));
    }
    return *value;
  }

  uint64_t Size(std::string_view key, uint64_t fallback, Range range) {
    const toml::node* node = Find(key);
    if (node == nullptr) return fallback;
    std::optional<int64_t> value = node->value_exact<int64_t>();
    if (const auto text = node->value_exact<std::string>()) {
      value = ParseSize(*text);
      if (!value) {
        Fail(key, *node, Quoted(*text) + " is not a size", "write e.g. \"512MiB\" or \"2GiB\"");
        return fallback;
      }
    }
    if (!value) {
      WrongType(key, *node, "a size such as \"512MiB\", or bytes as a whole number");
      return fallback;
    }
    if (*value < range.min || *value > range.max) {
      Fail(key, *node,
           SizeText(static_cast<uint64_t>(std::max<int64_t>(*value, 0))) +
               " is out of range: " + SizeText(static_cast<uint64_t>(range.min)) + " to " +
               SizeText(static_cast<uint64_t>(range.max)));
      return fallback;
    }
    return static_cast<uint64_t>(*value);
  }

  std::vector<std::string> Strings(std::string_view key, std::vector<std::string> fallback) {
    const toml::node* node = Find(key);
    if (node == nullptr) return fallback;
    const toml::array* array = node->as_array();
    std::vector<std::string> values;
    for (size_t i = 0; array != nullptr && i < array->size(); ++i) {
      const auto value = (*array)[i].value_exact<std::string>();
      if (!value) {
        array = nullptr;
        break;
      }
      values.push_back(*value);
    }
    if (array == nullptr) WrongType(key, *node, "a list of strings");
    return values;
  }

  // Line of a key that is there, of the section otherwise.
  uint32_t LineOf(std::string_view key) const {
    const toml::node* node = Find(key);
    return node == nullptr ? line_ : node->source().begin.line;
  }
  void Add(uint32_t line, std::string_view key, const std::string& what, std::string hint = {}) {
    if (!error_.ok()) return;
    error_ = Status(Code::kInvalid,
                    file_ + ":" + std::to_string(line) + ": " + std::string(name_) + "." +
                        std::string(key) + ": " + what,
                    std::move(hint));
  }

  // The first error. A misspelt key comes first: it is why another one is missing.
  Status Finish() {
    if (table_ == nullptr) return error_;
    const std::vector<std::string_view> known = KeysOf(name_);
    for (auto&& [key, node] : *table_) {
      const std::string_view name = key.str();
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      return Status(Code::kInvalid,
                    file_ + ":" + std::to_string(key.source().begin.line) + ": " +
                        std::string(name_) + "." + std::string(name) + ": unknown key",
                    DidYouMean(name, known));
    }
    return error_;
  }

 private:
  const toml::node* Find(std::string_view key) const {
    return table_ == nullptr ? nullptr : table_->get(key);
  }
  void Fail(std::string_view key, const toml::node& node, const std::string& what,
            std::string hint = {}) {
    Add(node.source().begin.line, key, what, std::move(hint));
  }
  void WrongType(std::string_view key, const toml::node& node, const std::string& wanted) {
    Fail(key, node, "must be " + wanted + ", not " + TypeName(node));
  }

  const std::string& file_;
  const std::string_view name_;
  const toml::table* const table_;
  const uint32_t line_;
  Status error_;
};

std::string Resolve(const std::string& path, const std::string& file) {
  const std::filesystem::path given(path);
  if (path.empty() || given.is_absolute()) return path;
  return (std::filesystem::path(file).parent_path() / given).lexically_normal().string();
}

void CheckNodeName(Section* section, const std::string& name) {
  if (name.empty() || IsName(name)) return;
  section->Add(section->LineOf("name"), "name",
               Quoted(name) + " is not a node name: 1 to 64 letters, digits, '-', '_', '.'");
}

Status ReadNode(Section section, NodeConfig* config) {
  config->name = section.Required("name", "tebo");
  CheckNodeName(&section, config->name);
  config->listen = section.Address("listen", "127.0.0.1:7401", true);
  if (config->listen.empty()) section.Add(section.LineOf("listen"), "listen", "is empty");
  config->address = section.Address("address", {}, false);
  config->http = section.Address("http", {}, true);
  config->data = Resolve(section.Required("data", "/var/lib/kembar"), config->file);
  config->disk_reserve_bytes =
      section.Size("disk_reserve", config->disk_reserve_bytes, kDiskReserveBytes);
  config->log_level = section.String("log_level", config->log_level);
  if (std::find(kLogLevels.begin(), kLogLevels.end(), config->log_level) == kLogLevels.end()) {
    section.Add(section.LineOf("log_level"), "log_level",
                Quoted(config->log_level) + " is not a level: debug, info, warn, error, off");
  }
  RETURN_IF_ERROR(section.Finish());

  ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(config->listen));
  if (config->address.empty() && IsWildcard(listen.host)) {
    section.Add(section.LineOf("listen"), "address",
                "is missing, and no one can connect to " + listen.host,
                "write the HOST:PORT under which the other site reaches this node");
    return section.Finish();
  }
  if (config->address.empty()) config->address = config->listen;
  return Status::Ok();
}

Status ReadPeers(const toml::node& node, NodeConfig* config) {
  const toml::array* array = node.as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    return Status(Code::kInvalid,
                  config->file + ":" + std::to_string(node.source().begin.line) +
                      ": peer: must be a list of tables",
                  "write [[peer]] with two brackets, once for each peer");
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < array->size(); ++i) {
    const toml::table& table = *(*array)[i].as_table();
    Section section(config->file, "peer", &table, table.source().begin.line);
    PeerConfig peer;
    peer.name = section.Required("name", "jambi");
    CheckNodeName(&section, peer.name);
    peer.address = section.Address("address", {}, false);
    if (!peer.name.empty() && peer.name == config->name) {
      section.Add(section.LineOf("name"), "name", Quoted(peer.name) + " is this node's own name");
    }
    if (!seen.insert(peer.name).second) {
      section.Add(section.LineOf("name"), "name", Quoted(peer.name) + " is there twice");
    }
    if (seen.size() > kPeersMax) {
      section.Add(section.LineOf("name"), "name",
                  "more than " + std::to_string(kPeersMax) + " peers");
    }
    RETURN_IF_ERROR(section.Finish());
    config->peers.push_back(std::move(peer));
  }
  return Status::Ok();
}

int ReadMinute(Section* section, std::string_view key) {
  const std::string text = section->Required(key, "07:00");
  const std::optional<int> minute = ParseMinuteOfDay(text);
  if (!minute && !text.empty()) {
    section->Add(section->LineOf(key), key, Quoted(text) + " is not a time of day",
                 "write e.g. \"07:00\"");
  }
  return minute.value_or(0);
}

Status ReadLinkLimits(const toml::node& node, NodeConfig* config) {
  const toml::array* array = node.as_array();
  if (array == nullptr || !array->is_array_of_tables()) {
    return Status(Code::kInvalid,
                  config->file + ":" + std::to_string(node.source().begin.line) +
                      ": link_limit: must be a list of tables",
                  "write [[link_limit]] with two brackets, once for each part of the day");
  }
  for (size_t i = 0; i < array->size(); ++i) {
    const toml::table& table = *(*array)[i].as_table();
    Section section(config->file, "link_limit", &table, table.source().begin.line);
    LinkLimit limit;
    limit.from_minute = ReadMinute(&section, "from");
    limit.to_minute = ReadMinute(&section, "to");
    if (!table.contains("catch_up")) {
      section.Add(section.LineOf("catch_up"), "catch_up", "is missing",
                  "write e.g. catch_up = \"500KiB\", a second");
    }
    limit.bytes_per_s = section.Size("catch_up", limit.bytes_per_s, kLinkLimitBytes);
    limit.blob_bytes_per_s = section.Size("blobs", 0, {0, kLinkLimitBytes.max});
    for (const LinkLimit& other : config->link_limits) {
      if (!Overlap(limit, other)) continue;
      section.Add(section.LineOf("from"), "from",
                  "overlaps the limit from " + MinuteText(other.from_minute) + " to " +
                      MinuteText(other.to_minute));
    }
    RETURN_IF_ERROR(section.Finish());
    config->link_limits.push_back(limit);
  }
  return Status::Ok();
}

Status ReadLimits(Section section, NodeConfig* config) {
  config->heartbeat_ms = section.Number("heartbeat_ms", config->heartbeat_ms, kHeartbeatMs);
  config->silence_ms = section.Number("silence_ms", config->silence_ms, kSilenceMs);
  config->append_wait_ms = section.Number("append_wait_ms", config->append_wait_ms, kAppendWaitMs);
  config->source_silence_s =
      section.Number("source_silence_s", config->source_silence_s, kSourceSilenceS);
  config->stop_ms = section.Number("stop_ms", config->stop_ms, kStopMs);
  config->queue_max = static_cast<uint64_t>(
      section.Number("queue_max", static_cast<int64_t>(config->queue_max), kQueueMax));
  config->cache_bytes = section.Size("cache", config->cache_bytes, kCacheBytes);
  config->write_buffer_bytes =
      section.Size("write_buffer", config->write_buffer_bytes, kWriteBufferBytes);
  if (config->silence_ms < kHeartbeatsPerSilence * config->heartbeat_ms) {
    section.Add(section.LineOf("silence_ms"), "silence_ms",
                std::to_string(config->silence_ms) + " is less than " +
                    std::to_string(kHeartbeatsPerSilence) + " heartbeats of " +
                    std::to_string(config->heartbeat_ms) + " ms",
                "raise silence_ms or lower heartbeat_ms");
  }
  return section.Finish();
}

Status ReadMirror(Section section, NodeConfig* config) {
  config->accept_logs = section.Strings("accept_logs", config->accept_logs);
  for (const std::string& log : config->accept_logs) {
    const bool readable = std::none_of(log.begin(), log.end(), [](char c) {
      return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f;
    });
    if (log.empty() || !readable || (log.size() > 1 && log.find('*') != std::string::npos)) {
      section.Add(section.LineOf("accept_logs"), "accept_logs", Quoted(log) + " is not a log id",
                  "\"*\" alone stands for every log");
    }
  }
  return section.Finish();
}

Status ReadRoot(const toml::table& root, NodeConfig* config) {
  const std::vector<std::string_view> sections = Sections();
  for (auto&& [key, node] : root) {
    const std::string_view name = key.str();
    const std::string where =
        config->file + ":" + std::to_string(key.source().begin.line) + ": " + std::string(name);
    if (std::find(sections.begin(), sections.end(), name) == sections.end()) {
      return Status(Code::kInvalid, where + ": unknown section", DidYouMean(name, sections));
    }
    if (name != "peer" && name != "link_limit" && !node.is_table()) {
      return Status(Code::kInvalid, where + ": must be a section",
                    "write [" + std::string(name) + "]");
    }
  }
  const auto section = [&](std::string_view name) {
    const toml::node* node = root.get(name);
    return Section(config->file, name, node == nullptr ? nullptr : node->as_table(),
                   node == nullptr ? 1 : node->source().begin.line);
  };
  RETURN_IF_ERROR(ReadNode(section("node"), config));
  if (const toml::node* peers = root.get("peer")) RETURN_IF_ERROR(ReadPeers(*peers, config));
  if (const toml::node* limits = root.get("link_limit")) {
    RETURN_IF_ERROR(ReadLinkLimits(*limits, config));
  }
  RETURN_IF_ERROR(ReadLimits(section("limits"), config));
  return ReadMirror(section("mirror"), config);
}

}  // namespace

Result<NodeConfig> ParseConfig(std::string_view text, const std::string& file) {
  toml::table root;
  try {
    root = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return Status(Code::kInvalid, file + ":" + std::to_string(error.source().begin.line) +
                                      ": not TOML: " + std::string(error.description()));
  }
  NodeConfig config;
  config.file = file;
  RETURN_IF_ERROR(ReadRoot(root, &config));
  return config;
}

Result<NodeConfig> LoadConfig(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return Status(Code::kIo, "cannot read " + file + ": " + std::strerror(errno));
  std::string text(kFileBytesMax + 1, '\0');
  errno = 0;
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (in.gcount() == 0 && errno != 0)) {
    return Status(Code::kIo, "cannot read " + file + ": " + std::strerror(errno));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kFileBytesMax) {
    return Status(Code::kInvalid, file + ": larger than " + SizeText(kFileBytesMax));
  }
  return ParseConfig(text, file);
}

std::string EffectiveConfig(const NodeConfig& c) {
  std::ostringstream out;
  out << "[node]\nname = " << Quoted(c.name) << "\nlisten = " << Quoted(c.listen)
      << "\naddress = " << Quoted(c.address) << "\nhttp = " << Quoted(c.http)
      << "\ndata = " << Quoted(c.data)
      << "\ndisk_reserve = " << Quoted(SizeText(c.disk_reserve_bytes))
      << "\nlog_level = " << Quoted(c.log_level) << "\n";
  for (const PeerConfig& peer : c.peers) {
    out << "\n[[peer]]\nname = " << Quoted(peer.name) << "\naddress = " << Quoted(peer.address)
        << "\n";
  }
  for (const LinkLimit& limit : c.link_limits) {
    out << "\n[[link_limit]]\nfrom = " << Quoted(MinuteText(limit.from_minute))
        << "\nto = " << Quoted(MinuteText(limit.to_minute))
        << "\ncatch_up = " << Quoted(SizeText(limit.bytes_per_s));
    out << "\nblobs = " << Quoted(SizeText(limit.blob_bytes_per_s)) << "\n";
  }
  out << "\n[limits]\nheartbeat_ms = " << c.heartbeat_ms << "\nsilence_ms = " << c.silence_ms
      << "\nappend_wait_ms = " << c.append_wait_ms << "\nsource_silence_s = " << c.source_silence_s
      << "\nstop_ms = " << c.stop_ms << "\nqueue_max = " << c.queue_max
      << "\ncache = " << Quoted(SizeText(c.cache_bytes))
      << "\nwrite_buffer = " << Quoted(SizeText(c.write_buffer_bytes)) << "\n";
  out << "\n[mirror]\naccept_logs = [";
  for (size_t i = 0; i < c.accept_logs.size(); ++i) {
    out << (i == 0 ? "" : ", ") << Quoted(c.accept_logs[i]);
  }
  out << "]\n";
  return out.str();
}

std::string ConfigLine(const NodeConfig& config) {
  std::istringstream lines(EffectiveConfig(config));
  std::string out = "file=" + Quoted(config.file);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    if (line.front() == '[') {
      const size_t begin = line.find_first_not_of('[');
      section = line.substr(begin, line.find(']') - begin);
      continue;
    }
    const size_t equals = line.find(" = ");
    out += " " + section + "." + line.substr(0, equals) + "=" + line.substr(equals + 3);
  }
  return out;
}

bool AcceptsLog(const NodeConfig& config, std::string_view log) {
  return std::any_of(
      config.accept_logs.begin(), config.accept_logs.end(),
      [log](const std::string& accepted) { return accepted == "*" || accepted == log; });
}

std::span<const ConfigKey> ConfigKeys() { return kKeys; }

}  // namespace kembar
