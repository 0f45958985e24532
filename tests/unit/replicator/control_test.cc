// control_test.cc — control records are read years later and by other versions: text is fixed here.
#include "replicator/log/control.h"

#include <gtest/gtest.h>

namespace kembar {
namespace {

ControlState Sample() {
  ControlState state;
  state.log_uuid = "0c8e";
  state.primary = "tebo";
  state.config.members = {{"tebo", "10.0.0.1:7400"}, {"jambi", "mirror.jambiprov.go.id:7400"}};
  state.config.left_out = {{"bungo", ""}};
  state.config.sync_mirrors = 1;
  state.config.mode = Mode::kMaxAvailability;
  state.config.solo_after_ms = 30'000;
  state.reason = "site lost:\nfire";
  state.actor = "budi@jambi";
  state.known = "C:\\log";
  return state;
}

constexpr char kSampleText[] =
    "log_uuid=0c8e\n"
    "primary=tebo\n"
    "member=tebo 10.0.0.1:7400\n"
    "member=jambi mirror.jambiprov.go.id:7400\n"
    "left_out=bungo \n"
    "sync_mirrors=1\n"
    "mode=max-availability\n"
    "solo_after_ms=30000\n"
    "solo=false\n"
    "lossy=false\n"
    "reason=site lost:\\nfire\n"
    "actor=budi@jambi\n"
    "known=C:\\\\log\n";

TEST(Control, HasThisText) {
  EXPECT_EQ(EncodeControl(Sample()), kSampleText);
  Result<ControlState> state = DecodeControl(kSampleText);
  ASSERT_TRUE(state.ok()) << state.status().ToString();
  EXPECT_EQ(*state, Sample());
}

TEST(Control, RoundTripsAnyContent) {
  ControlState state;
  EXPECT_EQ(*DecodeControl(EncodeControl(state)), state);
  std::string hostile = "a=b\nlossy=true\r\n\\n\\ \\s\t";
  hostile += std::string("\0\xff", 2);
  state.log_uuid = state.primary = state.reason = state.actor = state.known = hostile;
  state.config.members = {{"plain", ""}, {"with space", "x y"}, {"a\\ b", hostile}};
  state.config.left_out = {{hostile, " "}};
  state.config.sync_mirrors = 4'294'967'295;
  state.config.solo_after_ms = 0;
  state.config.solo = true;
  state.lossy = true;
  for (Mode mode : {Mode::kMaxProtection, Mode::kMaxAvailability, Mode::kMaxPerformance}) {
    state.config.mode = mode;
    Result<ControlState> back = DecodeControl(EncodeControl(state));
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(*back, state);
  }
}

TEST(Control, IgnoresKeysOfLaterVersions) {
  std::string text = std::string("observer=etcd \\q 7\n") + kSampleText + "witness=\n";
  Result<ControlState> state = DecodeControl(text);
  ASSERT_TRUE(state.ok()) << state.status().ToString();
  EXPECT_EQ(*state, Sample());
}

TEST(Control, TakesAMemberWithoutAddress) {
  Result<ControlState> state = DecodeControl(std::string(kSampleText) + "member=kerinci\n");
  ASSERT_TRUE(state.ok());
  EXPECT_EQ(state->config.members.back(), (Member{"kerinci", ""}));
}

void ExpectCorrupt(std::string_view text, std::string_view why) {
  Status status = DecodeControl(text).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << why;
  EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
}

std::string Replaced(std::string_view line, std::string_view by) {
  std::string text = kSampleText;
  size_t at = text.find(line);
  EXPECT_NE(at, std::string::npos) << line;
  return text.replace(at, line.size(), by);
}

TEST(Control, RefusesMalformedTextAndNamesTheLine) {
  ExpectCorrupt("", "missing log_uuid");
  ExpectCorrupt(Replaced("primary=tebo", "primary"), "line 2: not key=value");
  ExpectCorrupt(Replaced("primary=tebo", "=tebo"), "line 2: not key=value");
  ExpectCorrupt(Replaced("primary=tebo\n", "primary=tebo\n\n"), "line 3: not key=value");
  ExpectCorrupt(Replaced("sync_mirrors=1", "sync_mirrors="), "line 6: malformed sync_mirrors");
  ExpectCorrupt(Replaced("sync_mirrors=1", "sync_mirrors=-1"), "malformed sync_mirrors");
  ExpectCorrupt(Replaced("sync_mirrors=1", "sync_mirrors=1x"), "malformed sync_mirrors");
  ExpectCorrupt(Replaced("=30000", "=4294967296"), "malformed solo_after_ms");
  ExpectCorrupt(Replaced("max-availability", "maximum"), "line 7: malformed mode");
  ExpectCorrupt(Replaced("lossy=false", "lossy=no"), "line 10: malformed lossy");
  ExpectCorrupt(Replaced("solo=false", "solo="), "malformed solo");
  ExpectCorrupt(Replaced("\\nfire", "\\qfire"), "line 11: malformed reason");
  ExpectCorrupt(Replaced("C:\\\\log", "C:\\"), "malformed known");
  ExpectCorrupt(Replaced("actor=budi", "actor=\rbudi"), "malformed actor");
  ExpectCorrupt(Replaced("actor=", "primary=x\nactor="), "repeated primary");
}

TEST(Control, RefusesTextThatIsCutShort) {
  std::string_view whole = kSampleText;
  size_t last_required = whole.find("reason=");
  for (size_t size = 0; size < whole.size(); ++size) {
    bool whole_lines = size >= last_required && whole[size - 1] == '\n';
    EXPECT_EQ(DecodeControl(whole.substr(0, size)).ok(), whole_lines) << size;
  }
}

TEST(Control, AbsentNeverMeansNo) {
  ExpectCorrupt(Replaced("lossy=false\n", ""), "missing lossy");
  ExpectCorrupt(Replaced("solo=false\n", ""), "missing solo");
  ExpectCorrupt(Replaced("sync_mirrors=1\n", ""), "missing sync_mirrors");
  ExpectCorrupt(Replaced("mode=max-availability\n", ""), "missing mode");
}

TEST(Mode, NamesAreTheDocumentedOnes) {
  EXPECT_EQ(ModeName(Mode::kMaxProtection), "max-protection");
  EXPECT_EQ(ModeName(Mode::kMaxAvailability), "max-availability");
  EXPECT_EQ(ModeName(Mode::kMaxPerformance), "max-performance");
  EXPECT_EQ(ModeFromName("max-performance"), Mode::kMaxPerformance);
  EXPECT_EQ(ModeFromName(""), std::nullopt);
  EXPECT_EQ(ModeFromName("unknown"), std::nullopt);
}

Config WithMembers(size_t members, uint32_t sync_mirrors) {
  Config config;
  for (size_t i = 0; i < members; ++i) config.members.push_back({"n" + std::to_string(i), ""});
  config.sync_mirrors = sync_mirrors;
  return config;
}

TEST(Config, QuorumsIntersect) {
  for (size_t members = 1; members <= 7; ++members) {
    for (uint32_t sync_mirrors = 0; sync_mirrors <= 8; ++sync_mirrors) {
      Config config = WithMembers(members, sync_mirrors);
      uint32_t written = 1 + config.RequiredMirrors();
      EXPECT_LE(written, members);
      EXPECT_LE(config.FenceQuorum(), members);
      EXPECT_EQ(config.FenceQuorum() + written, members + 1) << members << "/" << sync_mirrors;
    }
  }
}

TEST(Config, QuorumsAsDesigned) {
  EXPECT_EQ(WithMembers(2, 1).RequiredMirrors(), 1U);
  EXPECT_EQ(WithMembers(2, 1).FenceQuorum(), 1U);
  EXPECT_EQ(WithMembers(3, 1).FenceQuorum(), 2U);
  EXPECT_EQ(WithMembers(3, 2).FenceQuorum(), 1U);
  EXPECT_EQ(WithMembers(1, 1).RequiredMirrors(), 0U);
  EXPECT_EQ(WithMembers(0, 1).RequiredMirrors(), 0U);
  EXPECT_EQ(WithMembers(0, 1).FenceQuorum(), 1U);
}

TEST(Config, AcknowledgesAloneOnlyInSoloAndMaxPerformance) {
  Config config = WithMembers(3, 2);
  EXPECT_EQ(config.RequiredMirrors(), 2U);
  config.mode = Mode::kMaxAvailability;
  EXPECT_EQ(config.RequiredMirrors(), 2U);
  config.solo = true;
  EXPECT_EQ(config.RequiredMirrors(), 0U);
  EXPECT_EQ(config.FenceQuorum(), 1U);
  config.solo = false;
  config.mode = Mode::kMaxPerformance;
  EXPECT_EQ(config.RequiredMirrors(), 0U);
}

TEST(Config, FindsMembersAndThoseLeftOut) {
  Config config = Sample().config;
  EXPECT_TRUE(config.HasMember("jambi"));
  EXPECT_FALSE(config.HasMember("bungo"));
  ASSERT_NE(config.Find("bungo"), nullptr);
  EXPECT_EQ(config.Find("tebo")->address, "10.0.0.1:7400");
  EXPECT_EQ(config.Find("teb"), nullptr);
}

TEST(ValidateConfig, RefusesWhatCannotBeAMembership) {
  EXPECT_TRUE(ValidateConfig(Sample().config).ok());
  EXPECT_EQ(ValidateConfig(Config{}).code(), Code::kInvalid);
  for (const char* name : {"", "a b", "a\n", "a\x7f", "jambi", "bungo"}) {
    Config config = Sample().config;
    config.members.push_back({name, "x:1"});
    EXPECT_EQ(ValidateConfig(config).code(), Code::kInvalid) << name;
  }
  Config config = Sample().config;
  config.left_out.push_back({std::string(kNameBytesMax + 1, 'x'), ""});
  EXPECT_EQ(ValidateConfig(config).code(), Code::kInvalid);
}

}  // namespace
}  // namespace kembar
