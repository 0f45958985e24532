// agent_config_test.cc — the agent's configuration: defaults, and errors that name file, line and
// key.
#include <gtest/gtest.h>

#include "tools/agent/config.h"

namespace kembar::agent {
namespace {

constexpr char kSmall[] =
    "[agent]\nname = \"spse\"\nnodes = [\"127.0.0.1:7401\"]\n"
    "[postgres]\nname = \"Epns-prod\"\ndsn = \"host=/tmp password=secret dbname=x\"\n";

std::string Error(const std::string& text) {
  return ParseConfig(text, "a.toml").status().ToString();
}

TEST(AgentConfig, SmallestAndItsDefaults) {
  const Result<AgentConfig> config = ParseConfig(kSmall, "a.toml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  ASSERT_TRUE(config->postgres);
  EXPECT_EQ(config->postgres->Source(), "postgres/Epns-prod");
  EXPECT_EQ(config->postgres->slot, "kembar_epns_prod");
  EXPECT_EQ(config->postgres->application_name, "Epns-prod");
  EXPECT_EQ(config->postgres->canary_every_s, 30);
}

TEST(AgentConfig, WhatIsPrintedGivesTheSameAgainAndNoPassword) {
  const Result<AgentConfig> config = ParseConfig(kSmall, "a.toml");
  ASSERT_TRUE(config.ok());
  const std::string printed = EffectiveConfig(*config);
  EXPECT_EQ(printed.find("secret"), std::string::npos);
  const Result<AgentConfig> again = ParseConfig(printed, "b.toml");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(EffectiveConfig(*again), printed);
}

TEST(AgentConfig, ErrorsNameTheLineAndTheKey) {
  EXPECT_EQ(Error(std::string(kSmall) + "slots = \"x\"\n"),
            "a.toml:7: postgres.slots: unknown key (hint: did you mean slot?)");
  EXPECT_NE(
      Error(std::string(kSmall) + "include = [\"paket\"]\n").find("a.toml:7: postgres.include"),
      std::string::npos);
  EXPECT_NE(Error(std::string(kSmall) + "slot = \"A b\"\n").find("not a slot's name"),
            std::string::npos);
  EXPECT_NE(Error(std::string(kSmall) + "lag_warn_s = 900\n").find("postgres.lag_critical_s"),
            std::string::npos);
  EXPECT_NE(Error("[agent]\nname = \"a\"\nnodes = [\"x\"]\n").find("a.toml:3: agent.nodes"),
            std::string::npos);
  EXPECT_NE(Error("[agent\n").find("a.toml:1: not TOML"), std::string::npos);
}

constexpr char kSink[] =
    "[agent]\nname = \"siaga\"\nnodes = [\"127.0.0.1:7401\"]\n"
    "[sink]\ndsn = \"host=/tmp password=secret dbname=x\"\n";

TEST(AgentConfig, SinkAlone) {
  const Result<AgentConfig> config = ParseConfig(kSink, "a.toml");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_FALSE(config->postgres || config->documents);
  ASSERT_TRUE(config->sink);
  EXPECT_EQ(config->sink->source, "");
  EXPECT_EQ(config->sink->at, "");
  EXPECT_EQ(config->sink->lag_critical_s, 300);
  const std::string printed = EffectiveConfig(*config);
  EXPECT_EQ(printed.find("secret"), std::string::npos);
  const Result<AgentConfig> again = ParseConfig(printed, "b.toml");
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(EffectiveConfig(*again), printed);
  EXPECT_TRUE(ParseConfig(std::string(kSmall) + "[sink]\ndsn = \"dbname=y\"\n", "a.toml").ok());
}

TEST(AgentConfig, ErrorsOfTheSink) {
  EXPECT_EQ(Error(std::string(kSink) + "sourc = \"x\"\n"),
            "a.toml:6: sink.sourc: unknown key (hint: did you mean source?)");
  EXPECT_NE(Error(std::string(kSink) + "source = \"epns\"\n").find("a.toml:6: sink.source"),
            std::string::npos);
  EXPECT_NE(Error(std::string(kSink) + "lag_critical_s = 5\n").find("is less than lag_warn_s"),
            std::string::npos);
  EXPECT_NE(
      Error("[agent]\nname = \"a\"\nnodes = [\"h:1\"]\n[sink]\n").find("sink.dsn: is missing"),
      std::string::npos);
  EXPECT_NE(Error("[agent]\nname = \"a\"\nnodes = [\"h:1\"]\n").find("nothing to fill"),
            std::string::npos);
}

TEST(AgentConfig, PatternsTakeInAndOut) {
  PostgresConfig config;
  config.include = {"public.*", "ekontrak.kontrak"};
  config.exclude = {"public.temp_*"};
  EXPECT_TRUE(Captures(config, {"public", "paket"}));
  EXPECT_FALSE(Captures(config, {"public", "temp_1"}));
  EXPECT_TRUE(Captures(config, {"ekontrak", "kontrak"}));
  EXPECT_FALSE(Captures(config, {"ekontrak", "kontrak2"}));
}

}  // namespace
}  // namespace kembar::agent
