// status_test.cc — failures keep their code, text and hint on the way up.
#include "replicator/base/status.h"

#include <gtest/gtest.h>

#include <set>

namespace kembar {
namespace {

TEST(Status, IsOkByDefault) {
  Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.hint(), "");
  EXPECT_EQ(status.ToString(), "ok");
}

TEST(Status, CarriesCodeMessageAndHint) {
  Status status(Code::kFull, "no space left on device", "free some, then restart");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kFull);
  EXPECT_EQ(status.message(), "no space left on device");
  EXPECT_EQ(status.hint(), "free some, then restart");
  EXPECT_EQ(status.ToString(), "no space left on device (hint: free some, then restart)");
  EXPECT_EQ(Status(Code::kIo, "fsync failed").ToString(), "fsync failed");
}

TEST(Status, PrependSaysWhatWasBeingDone) {
  Status status(Code::kFull, "no space left on device", "free some");
  Status above = status.Prepend("write batch").Prepend("append");
  EXPECT_EQ(above.message(), "append: write batch: no space left on device");
  EXPECT_EQ(above.code(), Code::kFull);
  EXPECT_EQ(above.hint(), "free some");
  EXPECT_EQ(status.message(), "no space left on device");
  EXPECT_TRUE(Status().Prepend("anything").ok());
}

TEST(Status, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(Code::kInternal); ++code) {
    std::string_view name = CodeName(static_cast<Code>(code));
    EXPECT_NE(name, "unknown") << code;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  // Scripts read these.
  EXPECT_EQ(CodeName(Code::kNotPrimary), "not-primary");
  EXPECT_EQ(CodeName(Code::kDiverged), "diverged");
}

TEST(StatusDeathTest, OkIsNotAFailure) { EXPECT_DEATH(Status(Code::kOk, "fine"), "CHECK failed"); }

Result<std::string> Named(bool there) {
  if (!there) return Status(Code::kNotFound, "no such log");
  return std::string("tebo");
}

Result<size_t> LengthOfName(bool there) {
  ASSIGN_OR_RETURN(std::string name, Named(there));
  return name.size();
}

Status Check(bool there, bool* reached) {
  RETURN_IF_ERROR(Named(there).status());
  *reached = true;
  return Status::Ok();
}

TEST(Result, HoldsAValueOrAStatus) {
  Result<std::string> good = Named(true);
  ASSERT_TRUE(good.ok());
  EXPECT_TRUE(good.status().ok());
  EXPECT_EQ(*good, "tebo");
  EXPECT_EQ(good->size(), 4U);
  EXPECT_EQ(*std::move(good), "tebo");
  Result<std::string> bad = Named(false);
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().code(), Code::kNotFound);
}

TEST(Result, MacrosPassFailuresUp) {
  EXPECT_EQ(*LengthOfName(true), 4U);
  EXPECT_EQ(LengthOfName(false).status().message(), "no such log");
  bool reached = false;
  EXPECT_EQ(Check(false, &reached).code(), Code::kNotFound);
  EXPECT_FALSE(reached);
  EXPECT_TRUE(Check(true, &reached).ok());
  EXPECT_TRUE(reached);
}

TEST(ResultDeathTest, AskingAFailureForItsValueAborts) {
  Result<std::string> bad = Named(false);
  EXPECT_DEATH({ [[maybe_unused]] size_t size = bad->size(); }, "no such log");
}

}  // namespace
}  // namespace kembar
