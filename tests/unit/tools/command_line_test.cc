// command_line_test.cc — kembarctl's command line: exit codes, one-line errors, small texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/kembarctl/commands.h"
#include "tools/kembarctl/completion.h"
#include "tools/kembarctl/json.h"
#include "tools/kembarctl/parse.h"

namespace kembar::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

Ran RunTool(std::vector<std::string> words) {
  words.insert(words.begin(), "kembarctl");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.code = Main(static_cast<int>(words.size()), argv.data());
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

TEST(CommandLine, WrongUsageIsOneLineAndExitCode2) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {},
           {"nonsense"},
           {"status", "--no-such"},
           {"failover"},
           {"package", "show"},
           {"--output", "xml", "status"},
           {"config", "set"},
           {"append", "--package", "p", "--item", "i", "--file", "f", "--position", "7"},
           {"--tls-ca", "ca.pem", "status"}}) {
    const Ran ran = RunTool(words);
    EXPECT_EQ(ran.code, 2) << testing::PrintToString(words);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_THAT(ran.err, testing::StartsWith("error: "));
  }
}

TEST(CommandLine, CheckNeverCallsItsOwnTroubleCritical) {
  const Ran ran = RunTool({"check", "--no-such"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.out, testing::StartsWith("KEMBAR UNKNOWN - "));
  const Ran nobody = RunTool({"--node", "127.0.0.1:1", "check"});
  EXPECT_EQ(nobody.code, 3);
}

TEST(CommandLine, NobodyAnswersIsExitCode1) {
  const Ran ran = RunTool({"--node", "127.0.0.1:1", "--timeout", "1", "status"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("127.0.0.1:1"));
}

TEST(CommandLine, EveryCommandHasHelp) {
  for (const char* command : {"status", "check", "import", "append", "log", "package", "failover",
                              "switchover", "config", "member", "quarantine", "verify"}) {
    const Ran ran = RunTool({command, "--help"});
    EXPECT_EQ(ran.code, 0) << command;
    EXPECT_THAT(ran.out, HasSubstr(command));
  }
}

TEST(CommandLine, CompletionKnowsCommandsAndOptions) {
  const Ran ran = RunTool({"completion", "bash"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("\"quarantine resubmit\")"));
  EXPECT_THAT(ran.out, HasSubstr("--accept-loss"));
  EXPECT_THAT(ran.out, HasSubstr("--solo-after"));
}

TEST(Parse, Members) {
  const Result<Member> member = ParseMember("tebo=10.1.2.3:7301");
  ASSERT_TRUE(member.ok());
  EXPECT_EQ(*member, (Member{"tebo", "10.1.2.3:7301"}));
  EXPECT_TRUE(ParseMember("tebo=[::1]:7301").ok());
  for (const char* bad : {"", "tebo", "=a:1", "tebo=", "tebo=a", "tebo=a:", "tebo=:1", "tebo=a:x",
                          "tebo=a:99999", "te bo=a:1"}) {
    EXPECT_FALSE(ParseMember(bad).ok()) << bad;
  }
}

TEST(Parse, AsOf) {
  EXPECT_EQ(ParseAsOf("")->at_case(), v1::AsOf::AT_NOT_SET);
  EXPECT_EQ(ParseAsOf("17")->index(), 17u);
  EXPECT_EQ(ParseAsOf("2019-07-08T12:00:00+07:00")->time_us(), 1'562'562'000'000'000);
  EXPECT_FALSE(ParseAsOf("0").ok());
  EXPECT_FALSE(ParseAsOf("yesterday").ok());
  EXPECT_FALSE(ParseAsOf("99999999999999999999999").ok());
}

TEST(Parse, Lists) { EXPECT_THAT(SplitList(" a:1, b:2,,"), ElementsAre("a:1", "b:2")); }

TEST(JsonText, PayloadsKeepEveryByte) {
  Json json;
  SetPayload("teks \xc3\xa9", &json);
  EXPECT_EQ(json["payload"], "teks \xc3\xa9");
  Json binary;
  SetPayload(std::string("\xff\x00z", 3), &binary);
  EXPECT_EQ(binary["payload_base64"], "/wB6");
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
}

TEST(JsonText, Utf8IsCheckedStrictly) {
  EXPECT_TRUE(IsUtf8("\xf0\x9f\x98\x80 \xed\x9f\xbf"));
  for (const char* bad : {"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xc3", "\xf5\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(JsonText, Times) {
  EXPECT_EQ(JsonTime(1'562'562'000'000'678), "2019-07-08T05:00:00.000678Z");
  EXPECT_EQ(JsonTime(-1), "1969-12-31T23:59:59.999999Z");
}

}  // namespace
}  // namespace kembar::ctl
