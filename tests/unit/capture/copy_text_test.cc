// copy_text_test.cc — COPY's text form: as PostgreSQL writes it, and what it would also read.
#include "tools/postgres/copy_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kembar::postgres {
namespace {

using capture::ValueView;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Line(std::vector<ValueView> values) {
  std::string out;
  AppendCopyRow(values, &out);
  return out;
}

// "NULL" stands for nullopt; "!" for a refusal.
std::vector<std::string> Parse(std::string_view line) {
  std::vector<std::string> storage;
  const auto values = ParseCopyRow(line, &storage);
  if (!values.ok()) {
    EXPECT_EQ(values.status().code(), Code::kCorrupt);
    EXPECT_THAT(values.status().message(), HasSubstr("COPY row"));
    return {"!"};
  }
  std::vector<std::string> texts;
  for (const ValueView& value : *values) texts.push_back(value ? std::string(*value) : "NULL");
  return texts;
}

TEST(CopyText, WritesAsPostgreSqlDoes) {
  EXPECT_EQ(Line({}), "\n");
  EXPECT_EQ(Line({""}), "\n");
  EXPECT_EQ(Line({"a", std::nullopt, ""}), "a\t\\N\t\n");
  EXPECT_EQ(Line({"\b\f\n\r\t\v\\"}), "\\b\\f\\n\\r\\t\\v\\\\\n");
  EXPECT_EQ(Line({"\\N", "\\."}), "\\\\N\t\\\\.\n");
  EXPECT_EQ(Line({"é \x01\x7f"}), "é \x01\x7f\n");
}

TEST(CopyText, TellsNullFromTheTextThatLooksLikeIt) {
  EXPECT_THAT(Parse("\\N\t\\\\N\t\tN"), ElementsAre("NULL", "\\N", "", "N"));
}

TEST(CopyText, ReadsAllEscapesOfTheManual) {
  EXPECT_THAT(Parse("\\b\\f\\n\\r\\t\\v\\\\"), ElementsAre("\b\f\n\r\t\v\\"));
  EXPECT_THAT(Parse("\\101\\60\\7x\\x41\\x4g\\xq\\q"), ElementsAre("A0\ax"
                                                                   "A\x04gxqq"));
  EXPECT_THAT(Parse("a\\\tb\tc"), ElementsAre("a\tb", "c"));  // a tab that belongs to the data
  EXPECT_THAT(Parse(""), ElementsAre(""));
  EXPECT_THAT(Parse("\t"), ElementsAre("", ""));
}

TEST(CopyText, RefusesWhatIsNoRow) {
  EXPECT_THAT(Parse("a\\"), ElementsAre("!"));
  EXPECT_THAT(Parse("a\\\\\\"), ElementsAre("!"));
  EXPECT_THAT(Parse("\\Nb\n"), ElementsAre("!"));
  EXPECT_THAT(Parse("a\rb"), ElementsAre("!"));
}

TEST(CopyText, RoundTripsEveryByte) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  const std::vector<ValueView> values = {all, std::nullopt, "", "x", all, "\\", "\t\n"};
  std::string line = Line(values);
  ASSERT_EQ(line.back(), '\n');
  line.pop_back();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  std::vector<std::string> storage = {"left from the row before"};
  const auto again = ParseCopyRow(line, &storage);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, values);
}

// Views must stay where they are when the storage grows: short texts live inside the strings.
TEST(CopyText, ViewsLiveAsLongAsTheStorage) {
  std::vector<ValueView> values(500, ValueView("\t"));
  std::string line = Line(values);
  line.pop_back();
  std::vector<std::string> storage;
  const auto again = ParseCopyRow(line, &storage);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, values);
}

}  // namespace
}  // namespace kembar::postgres
