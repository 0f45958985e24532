// config_test.cc — node/config: defaults, every kind of error with its line, and that samples and
// documentation keep up with the schema.
#include "node/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "replicator/base/config_text.h"

namespace kembar {
namespace {

constexpr char kMinimal[] = "[node]\nname = \"tebo\"\ndata = \"/d\"\n";

std::string ErrorOf(const std::string& text) {
  const Result<NodeConfig> config = ParseConfig(text, "x.toml");
  return config.ok() ? "none" : config.status().ToString();
}

std::string FileText(const std::string& path) {
  std::ifstream in(std::filesystem::path(KEMBAR_SOURCE_DIR) / path);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_FALSE(text.str().empty()) << path;
  return text.str();
}

TEST(Config, FillsInDefaults) {
  const Result<NodeConfig> config = ParseConfig(kMinimal, "x.toml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->name, "tebo");
  EXPECT_EQ(config->listen, "127.0.0.1:7401");
  EXPECT_EQ(config->address, "127.0.0.1:7401");
  EXPECT_EQ(config->http, "");
  EXPECT_EQ(config->disk_reserve_bytes, uint64_t{512} << 20);
  EXPECT_EQ(config->silence_ms, 2'000);
  EXPECT_TRUE(config->peers.empty());
  EXPECT_EQ(config->accept_logs, std::vector<std::string>{"*"});
}

TEST(Config, TakesEveryKey) {
  const Result<NodeConfig> config = ParseConfig(R"(
[node]
name = "tebo"
listen = "0.0.0.0:7401"
address = "10.0.0.1:7401"
http = "[::1]:7481"
data = "var/tebo"
disk_reserve = "2GiB"
log_level = "debug"
[[peer]]
name = "jambi"
address = "10.0.0.2:7401"
[[peer]]
name = "bungo"
[limits]
heartbeat_ms = 100
silence_ms = 1000
append_wait_ms = 5000
stop_ms = 500
queue_max = 1000
cache = 33554432
write_buffer = "16 MiB"
[mirror]
accept_logs = ["tebo", "bungo"]
)",
                                                "/etc/kembar/x.toml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->data, "/etc/kembar/var/tebo");
  EXPECT_EQ(config->address, "10.0.0.1:7401");
  EXPECT_EQ(config->disk_reserve_bytes, uint64_t{2} << 30);
  ASSERT_EQ(config->peers.size(), 2u);
  EXPECT_EQ(config->peers[0].address, "10.0.0.2:7401");
  EXPECT_EQ(config->peers[1].address, "");
  EXPECT_EQ(config->cache_bytes, uint64_t{32} << 20);
  EXPECT_EQ(config->write_buffer_bytes, uint64_t{16} << 20);
  EXPECT_EQ(config->stop_ms, 500);
  EXPECT_TRUE(AcceptsLog(*config, "bungo"));
  EXPECT_FALSE(AcceptsLog(*config, "muna"));

  const Result<NodeConfig> again = ParseConfig(EffectiveConfig(*config), "y.toml");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(EffectiveConfig(*again), EffectiveConfig(*config));
  EXPECT_EQ(ConfigLine(*config).find('\n'), std::string::npos);
  EXPECT_NE(ConfigLine(*config).find("peer.name=\"jambi\""), std::string::npos);
}

TEST(Config, NamesFileLineAndKey) {
  struct Case {
    const char* text;
    const char* error;
  };
  const std::vector<Case> cases = {
      {"[node]\nnam = \"tebo\"\n", "x.toml:2: node.nam: unknown key (hint: did you mean name?)"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[lmits]\n",
       "x.toml:4: lmits: unknown section (hint: did you mean limits?)"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[tls]\nca = \"x\"\n",
       "x.toml:4: tls: unknown section (hint: known here: node peer link_limit limits mirror)"},
      {"[node]\ndata = \"/d\"\n",
       "x.toml:1: node.name: is missing (hint: write e.g. name = \"tebo\")"},
      {"", "x.toml:1: node.name: is missing (hint: write e.g. name = \"tebo\")"},
      {"[node]\nname = 5\ndata = \"/d\"\n",
       "x.toml:2: node.name: must be a string in quotes, not integer"},
      {"[node]\nname = \"a b\"\ndata = \"/d\"\n",
       "x.toml:2: node.name: \"a b\" is not a node name: 1 to 64 letters, digits, '-', '_', '.'"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\nlisten = \"localhost\"\n",
       "x.toml:4: node.listen: \"localhost\" is not HOST:PORT: no port (hint: write e.g. "
       "\"127.0.0.1:7401\")"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\nlisten = \"0.0.0.0:7401\"\n",
       "x.toml:4: node.address: is missing, and no one can connect to 0.0.0.0 (hint: write the "
       "HOST:PORT under which the other site reaches this node)"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\naddress = \"h:0\"\n",
       "x.toml:4: node.address: \"h:0\" has port 0, where nobody can be reached"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\ndisk_reserve = \"5 MB\"\n",
       "x.toml:4: node.disk_reserve: \"5 MB\" is not a size (hint: write e.g. \"512MiB\" or "
       "\"2GiB\")"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\ndisk_reserve = \"5KiB\"\n",
       "x.toml:4: node.disk_reserve: 5KiB is out of range: 1MiB to 1PiB"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\nlog_level = \"loud\"\n",
       "x.toml:4: node.log_level: \"loud\" is not a level: debug, info, warn, error, off"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[limits]\nheartbeat_ms = 1\n",
       "x.toml:5: limits.heartbeat_ms: 1 is out of range: 10 to 10000"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[limits]\nheartbeat_ms = 900\n",
       "x.toml:4: limits.silence_ms: 2000 is less than 3 heartbeats of 900 ms (hint: raise "
       "silence_ms or lower heartbeat_ms)"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[[peer]]\nname = \"tebo\"\n",
       "x.toml:5: peer.name: \"tebo\" is this node's own name"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[[peer]]\nname = \"a\"\n[[peer]]\nname = \"a\"\n",
       "x.toml:7: peer.name: \"a\" is there twice"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[peer]\nname = \"a\"\n",
       "x.toml:4: peer: must be a list of tables (hint: write [[peer]] with two brackets, once for "
       "each peer)"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[mirror]\naccept_logs = \"*\"\n",
       "x.toml:5: mirror.accept_logs: must be a list of strings, not string"},
      {"[node]\nname = \"tebo\"\ndata = \"/d\"\n[mirror]\naccept_logs = [\"a*\"]\n",
       "x.toml:5: mirror.accept_logs: \"a*\" is not a log id (hint: \"*\" alone stands for every "
       "log)"},
      {"node = 5\n", "x.toml:1: node: must be a section (hint: write [node])"},
  };
  for (const Case& c : cases) EXPECT_EQ(ErrorOf(c.text), c.error) << c.text;
}

TEST(Config, NamesTheLineOfBrokenToml) {
  EXPECT_EQ(ErrorOf("[node]\nname = \"tebo\n").find("x.toml:2: not TOML: "), 0u);
  EXPECT_EQ(ErrorOf("[node]\nname = \"a\"\nname = \"b\"\n").find("x.toml:3: not TOML: "), 0u);
}

TEST(Config, TakesLimitsByHourOfDay) {
  const std::string text = std::string(kMinimal) +
                           "[[link_limit]]\nfrom = \"07:00\"\nto = \"17:30\"\n"
                           "catch_up = \"500KiB\"\n"
                           "[[link_limit]]\nfrom = \"22:00\"\nto = \"06:00\"\ncatch_up = 2097152\n"
                           "blobs = \"1MiB\"\n";
  const Result<NodeConfig> config = ParseConfig(text, "x.toml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  const std::vector<LinkLimit> want = {{7 * 60, 17 * 60 + 30, 500 << 10},
                                       {22 * 60, 6 * 60, 2 << 20, 1 << 20}};
  EXPECT_EQ(config->link_limits, want);
  const Result<NodeConfig> again = ParseConfig(EffectiveConfig(*config), "x.toml");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->link_limits, want);
}

TEST(Config, RefusesLimitsThatSayNothingClear) {
  const auto error = [](const std::string& limits) { return ErrorOf(kMinimal + limits); };
  const std::string day = "[[link_limit]]\nfrom = \"07:00\"\nto = \"17:00\"\ncatch_up = \"1MiB\"\n";
  const std::string night =
      "[[link_limit]]\nfrom = \"16:59\"\nto = \"02:00\"\ncatch_up = \"1MiB\"\n";
  EXPECT_EQ(error(day + night),
            "x.toml:9: link_limit.from: overlaps the limit from 07:00 to 17:00");
  EXPECT_NE(error("[[link_limit]]\nfrom = \"7:00\"\nto = \"17:00\"\ncatch_up = \"1MiB\"\n")
                .find("is not a time of day"),
            std::string::npos);
  EXPECT_NE(error("[[link_limit]]\nfrom = \"07:00\"\nto = \"17:00\"\n")
                .find("link_limit.catch_up: is missing"),
            std::string::npos);
  EXPECT_NE(error("[link_limit]\nfrom = \"07:00\"\n").find("two brackets"), std::string::npos);
  EXPECT_NE(error("[[link_limit]]\nfrom = \"07:00\"\nto = \"17:00\"\ncatch_up = \"1KiB\"\n")
                .find("out of range"),
            std::string::npos);
}

TEST(Config, SaysWhichFileCannotBeRead) {
  const Result<NodeConfig> missing = LoadConfig("/nowhere/kembar.toml");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().message(),
            "cannot read /nowhere/kembar.toml: No such file or directory");
  EXPECT_FALSE(LoadConfig("/").ok());
}

TEST(Config, ReadsItsSamples) {
  for (const char* site : {"tebo", "jambi"}) {
    const std::string path = std::string(KEMBAR_SOURCE_DIR "/deploy/config/") + site + ".toml";
    const Result<NodeConfig> config = LoadConfig(path);
    ASSERT_TRUE(config.ok()) << config.status().ToString();
    EXPECT_EQ(config->name, site);
    EXPECT_EQ(config->peers.size(), 1u);
  }
}

TEST(Config, IsDocumentedKeyByKey) {
  const std::string docs = FileText("docs/configuration.md");
  for (const ConfigKey& key : ConfigKeys()) {
    std::string row = "| `" + std::string(key.name) + "` | ";
    row += key.fallback.empty() ? "must be given" : "`" + std::string(key.fallback) + "`";
    row += " | " + std::string(key.range) + " |";
    EXPECT_NE(docs.find(row), std::string::npos) << key.section << ": no row " << row;
  }
}

TEST(ConfigText, ReadsAddresses) {
  EXPECT_EQ(ParseHostPort("tebo.go.id:7401")->host, "tebo.go.id");
  EXPECT_EQ(ParseHostPort("[::1]:7401")->host, "::1");
  EXPECT_EQ(ParseHostPort("[::1]:7401")->port, 7401);
  EXPECT_EQ(ParseHostPort("h:0")->port, 0);
  for (const char* bad : {"", "h", "h:", ":1", "h:65536", "h:-1", "h:1x", "::1:7401", "a b:1"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
  EXPECT_EQ(JoinHostPort("::1", 80), "[::1]:80");
  EXPECT_EQ(JoinHostPort("h", 80), "h:80");
  EXPECT_TRUE(IsWildcard("::"));
  EXPECT_FALSE(IsWildcard("127.0.0.1"));
}

TEST(ConfigText, ReadsSizes) {
  EXPECT_EQ(ParseSize("512MiB"), int64_t{512} << 20);
  EXPECT_EQ(ParseSize("7"), 7);
  EXPECT_EQ(ParseSize("1 PiB"), int64_t{1} << 50);
  for (const char* bad : {"", "MiB", "-1", "1MB", "1.5GiB", "99999999999999999999", "9000000PiB"}) {
    EXPECT_FALSE(ParseSize(bad).has_value()) << bad;
  }
  EXPECT_EQ(SizeText(uint64_t{512} << 20), "512MiB");
  EXPECT_EQ(SizeText(1000), "1000");
  EXPECT_EQ(SizeText(0), "0");
}

}  // namespace
}  // namespace kembar
