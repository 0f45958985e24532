// audit_documents_test.cc — files of several audits as one; payloads may be anything.
#include "tools/kembarctl/audit_documents.h"

#include <gtest/gtest.h>

namespace kembar::ctl {
namespace {

Json Merged(const std::vector<std::string>& audits) {
  Json all = Json::object();
  for (const std::string& audit : audits) MergeFiles(Json::parse(audit), &all);
  return all;
}

TEST(AuditDocuments, FilesAreSummedUp) {
  const Json all = Merged({R"({"files":2,"equal":true,"troubles":[]})",
                           R"({"files":3,"equal":true,"troubles":[{"path":"a"}]})"});
  EXPECT_EQ(all["files"], 5);
  EXPECT_EQ(all["troubles"].size(), 1u);
  EXPECT_TRUE(SaysYes(all, "equal"));
}

TEST(AuditDocuments, EqualOnlyWhenAllSaySo) {
  for (const char* other : {R"({"equal":false})", R"({"files":1})", R"({"equal":"true"})", "{}"}) {
    EXPECT_FALSE(SaysYes(Merged({R"({"equal":true})", other}), "equal")) << other;
    EXPECT_FALSE(SaysYes(Merged({other, R"({"equal":true})"}), "equal")) << other;
  }
}

TEST(AuditDocuments, WhatIsOddIsShownAsNotKnown) {
  for (const char* odd : {"[]", "7", "null", R"({"name":7,"rows":"many"})", R"({"rows":-1})"}) {
    EXPECT_EQ(TextOf(Json::parse(odd), "name"), "?") << odd;
    EXPECT_EQ(CountOf(Json::parse(odd), "rows"), "?") << odd;
    EXPECT_FALSE(SaysYes(Json::parse(odd), "equal")) << odd;
  }
}

}  // namespace
}  // namespace kembar::ctl
