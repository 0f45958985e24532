// config.cc — see config.h.
#include "tools/agent/config.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <toml++/toml.h>

#include "replicator/base/config_text.h"
#include "tools/agent/config_section.h"

namespace kembar::agent {
namespace {

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr NumberRange kPeriod{0, 31'536'000};
constexpr NumberRange kWal{1, int64_t{1} << 50};
constexpr NumberRange kRecords{2, 100'000};
constexpr NumberRange kBytes{1'024, int64_t{16} << 20};
constexpr std::array<std::string_view, 5> kLogLevels = {"debug", "info", "warn", "error", "off"};

std::string Resolve(const std::string& path, const std::string& file) {
  const std::filesystem::path given(path);
  if (path.empty() || given.is_absolute()) return path;
  return (std::filesystem::path(file).parent_path() / given).lexically_normal().string();
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kSourceNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

void CheckName(ConfigSection* section, std::string_view key, const std::string& name) {
  if (name.empty() || IsName(name)) return;
  section->Add(key, Quoted(name) + " is not a name: 1 to 63 letters, digits, '-', '_', '.'");
}

// A slot's name has lower-case letters, digits and underscores.
std::string SlotFor(const std::string& name) {
  std::string slot = "kembar_";
  for (const char c : name) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool fits = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    slot += fits ? lower : '_';
  }
  return slot.substr(0, kSourceNameBytesMax);
}

bool IsSlotName(std::string_view text) {
  return !text.empty() && text.size() <= kSourceNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

Status ReadAgent(ConfigSection section, AgentConfig* config) {
  config->name = section.Required("name", "spse");
  CheckName(&section, "name", config->name);
  config->nodes = section.Strings("nodes", {});
  if (config->nodes.empty()) {
    section.Add("nodes", "names no node", "write e.g. nodes = [\"10.1.0.5:7401\"]");
  }
  for (const std::string& node : config->nodes) {
    const Result<HostPort> parsed = ParseHostPort(node);
    if (!parsed.ok()) section.Add("nodes", parsed.status().message());
  }
  config->log = section.String("log", {});
  config->http = section.Address("http", {}, true);
  config->log_level = section.String("log_level", config->log_level);
  if (std::find(kLogLevels.begin(), kLogLevels.end(), config->log_level) == kLogLevels.end()) {
    section.Add("log_level",
                Quoted(config->log_level) + " is not a level: debug, info, warn, error, off");
  }
  return section.Finish();
}

void ReadWhat(ConfigSection* section, PostgresConfig* postgres) {
  postgres->include = section->Strings("include", postgres->include);
  postgres->exclude = section->Strings("exclude", {});
  for (const auto* key : {"include", "exclude"}) {
    for (const std::string& pattern : key[0] == 'i' ? postgres->include : postgres->exclude) {
      if (pattern.find('.') != std::string::npos) continue;
      section->Add(key, Quoted(pattern) + " names no schema", "write e.g. \"public.*\"");
    }
  }
  postgres->set_replica_identity = section->Flag("set_replica_identity", false);
}

void ReadPeriods(ConfigSection* section, PostgresConfig* postgres) {
  postgres->canary_every_s = section->Number("canary_every_s", postgres->canary_every_s, kPeriod);
  postgres->sequences_every_s =
      section->Number("sequences_every_s", postgres->sequences_every_s, kPeriod);
  postgres->schema_check_every_s =
      section->Number("schema_check_every_s", postgres->schema_check_every_s, kPeriod);
  postgres->large_objects_every_s =
      section->Number("large_objects_every_s", postgres->large_objects_every_s, kPeriod);
  postgres->audit_every_s = section->Number("audit_every_s", postgres->audit_every_s, kPeriod);
  postgres->audit_repair = section->Flag("audit_repair", postgres->audit_repair);
}

void ReadLimits(ConfigSection* section, PostgresConfig* postgres) {
  postgres->retained_wal_warn_bytes =
      section->Size("retained_wal_warn", postgres->retained_wal_warn_bytes, kWal);
  postgres->retained_wal_critical_bytes =
      section->Size("retained_wal_critical", postgres->retained_wal_critical_bytes, kWal);
  postgres->lag_warn_s = section->Number("lag_warn_s", postgres->lag_warn_s, kLag);
  postgres->lag_critical_s = section->Number("lag_critical_s", postgres->lag_critical_s, kLag);
  postgres->transaction_records_max = static_cast<uint64_t>(
      section->Number("transaction_records_max",
                      static_cast<int64_t>(postgres->transaction_records_max), kRecords));
  postgres->transaction_bytes_max =
      section->Size("transaction_bytes_max", postgres->transaction_bytes_max, kBytes);
  if (postgres->retained_wal_critical_bytes < postgres->retained_wal_warn_bytes) {
    section->Add("retained_wal_critical", "is less than retained_wal_warn");
  }
  if (postgres->lag_critical_s < postgres->lag_warn_s) {
    section->Add("lag_critical_s", "is less than lag_warn_s");
  }
}

Status ReadPostgres(ConfigSection section, AgentConfig* config) {
  PostgresConfig postgres;
  postgres.name = section.Required("name", "epns_prod");
  CheckName(&section, "name", postgres.name);
  postgres.dsn = section.Required("dsn", "host=/var/run/postgresql dbname=epns_prod");
  postgres.slot = section.String("slot", SlotFor(postgres.name));
  postgres.publication = section.String("publication", postgres.publication);
  postgres.application_name = section.String("application_name", postgres.name);
  if (!IsSlotName(postgres.slot)) {
    section.Add("slot", Quoted(postgres.slot) +
                            " is not a slot's name: lower-case letters, digits and '_'");
  }
  if (postgres.publication.empty()) section.Add("publication", "is empty");
  if (postgres.application_name.empty()) section.Add("application_name", "is empty");
  postgres.mapping_file = Resolve(section.String("mapping", {}), config->file);
  ReadWhat(&section, &postgres);
  ReadPeriods(&section, &postgres);
  ReadLimits(&section, &postgres);
  RETURN_IF_ERROR(section.Finish());
  config->postgres = std::move(postgres);
  return Status::Ok();
}

Result<std::string> ReadFile(const std::string& file) {
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
  return text;
}

std::string ListText(const std::vector<std::string>& values) {
  std::string text = "[";
  for (const std::string& value : values) text += (text.size() > 1 ? ", " : "") + Quoted(value);
  return text + "]";
}

bool Matches(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

}  // namespace

Result<AgentConfig> ParseConfig(std::string_view text, const std::string& file) {
  toml::table root;
  try {
    root = toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    return Status(Code::kInvalid, file + ":" + std::to_string(error.source().begin.line) +
                                      ": not TOML: " + std::string(error.description()));
  }
  AgentConfig config;
  config.file = file;
  const std::vector<std::string_view> sections = {"agent", "postgres", "documents", "sink"};
  for (auto&& [key, node] : root) {
    const std::string where =
        file + ":" + std::to_string(key.source().begin.line) + ": " + std::string(key.str());
    if (std::find(sections.begin(), sections.end(), key.str()) == sections.end()) {
      return Status(Code::kInvalid, where + ": unknown section", DidYouMean(key.str(), sections));
    }
    if (!node.is_table()) {
      return Status(Code::kInvalid, where + ": must be a section",
                    "write [" + std::string(key.str()) + "]");
    }
  }
  const auto section = [&](std::string_view name) {
    const toml::node* node = root.get(name);
    return ConfigSection(config.file, name, node == nullptr ? nullptr : node->as_table(),
                         node == nullptr ? 1 : node->source().begin.line);
  };
  RETURN_IF_ERROR(ReadAgent(section("agent"), &config));
  if (root.contains("postgres")) RETURN_IF_ERROR(ReadPostgres(section("postgres"), &config));
  if (root.contains("documents")) {
    ASSIGN_OR_RETURN(config.documents, ReadDocuments(section("documents")));
    config.documents->mapping_file = Resolve(config.documents->mapping_file, config.file);
  }
  if (root.contains("sink")) {
    ASSIGN_OR_RETURN(config.sink, ReadSink(section("sink")));
  }
  if (!config.postgres && !config.documents && !config.sink) {
    return Status(Code::kInvalid, file + ": names nothing to capture and nothing to fill",
                  "write a section [postgres], [documents] or [sink]");
  }
  return config;
}

Result<AgentConfig> LoadConfig(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  ASSIGN_OR_RETURN(AgentConfig config, ParseConfig(text, file));
  if (config.postgres && !config.postgres->mapping_file.empty()) {
    const std::string& mapping = config.postgres->mapping_file;
    ASSIGN_OR_RETURN(const std::string toml, ReadFile(mapping));
    ASSIGN_OR_RETURN(config.postgres->mapping, capture::Mapping::Parse(toml, mapping));
  }
  if (config.documents && !config.documents->mapping_file.empty()) {
    const std::string& mapping = config.documents->mapping_file;
    ASSIGN_OR_RETURN(const std::string toml, ReadFile(mapping));
    ASSIGN_OR_RETURN(config.documents->mapping, capture::Mapping::Parse(toml, mapping));
  } else if (config.documents && config.postgres) {
    config.documents->mapping = config.postgres->mapping;
  }
  return config;
}

std::string EffectiveConfig(const AgentConfig& c) {
  std::ostringstream out;
  out << std::boolalpha << "[agent]\nname = " << Quoted(c.name) << "\nnodes = " << ListText(c.nodes)
      << "\nlog = " << Quoted(c.log) << "\nhttp = " << Quoted(c.http)
      << "\nlog_level = " << Quoted(c.log_level) << "\n";
  if (c.documents) out << DocumentsText(*c.documents);
  if (c.sink) out << SinkText(*c.sink);
  if (!c.postgres) return out.str();
  const PostgresConfig& p = *c.postgres;
  out << "\n[postgres]\nname = " << Quoted(p.name) << "\ndsn = " << Quoted(SafeDsn(p.dsn))
      << "\nslot = " << Quoted(p.slot) << "\npublication = " << Quoted(p.publication)
      << "\napplication_name = " << Quoted(p.application_name)
      << "\ninclude = " << ListText(p.include) << "\nexclude = " << ListText(p.exclude)
      << "\nset_replica_identity = " << p.set_replica_identity
      << "\nmapping = " << Quoted(p.mapping_file) << "\ncanary_every_s = " << p.canary_every_s
      << "\nsequences_every_s = " << p.sequences_every_s
      << "\nschema_check_every_s = " << p.schema_check_every_s
      << "\nlarge_objects_every_s = " << p.large_objects_every_s
      << "\naudit_every_s = " << p.audit_every_s << "\naudit_repair = " << p.audit_repair
      << "\nretained_wal_warn = " << Quoted(SizeText(p.retained_wal_warn_bytes))
      << "\nretained_wal_critical = " << Quoted(SizeText(p.retained_wal_critical_bytes))
      << "\nlag_warn_s = " << p.lag_warn_s << "\nlag_critical_s = " << p.lag_critical_s
      << "\ntransaction_records_max = " << p.transaction_records_max
      << "\ntransaction_bytes_max = " << Quoted(SizeText(p.transaction_bytes_max)) << "\n";
  return out.str();
}

bool Captures(const PostgresConfig& config, const capture::TableName& table) {
  const std::string name = table.Display();
  return Matches(config.include, name) && !Matches(config.exclude, name);
}

}  // namespace kembar::agent
