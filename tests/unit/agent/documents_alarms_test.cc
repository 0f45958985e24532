// documents_alarms_test.cc — what audits of documents make the agent tell, to metrics and people.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/agent/documents_thread.h"

namespace kembar::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kAuditNow = int64_t{1'795'539'600} * 1'000'000;
constexpr int64_t kDay = int64_t{86'400} * 1'000'000;

TEST(DocumentsAlarmsTest, DifferencesAreCriticalAndLateAuditsAWarning) {
  documents::SourceOptions options;
  options.canary_every_s = 0;
  documents::SourceStatus status;
  status.source = "documents/uji";
  EXPECT_THAT(DocumentsAlarms(status, options, kAuditNow), IsEmpty()) << "none yet: it may be new";
  status.audit_us = kAuditNow - kDay;
  EXPECT_THAT(DocumentsAlarms(status, options, kAuditNow), IsEmpty());
  status.audit_us = kAuditNow - 3 * kDay;
  status.audit_differences = 2;
  const std::vector<AgentAlarm> alarms = DocumentsAlarms(status, options, kAuditNow);
  ASSERT_THAT(alarms, SizeIs(2));
  EXPECT_TRUE(alarms[0].critical);
  EXPECT_THAT(alarms[0].text, HasSubstr("2 differing files"));
  EXPECT_FALSE(alarms[1].critical);
  EXPECT_THAT(alarms[1].text, HasSubstr("259200 s old"));
  options.audit_every_s = 0;
  EXPECT_THAT(DocumentsAlarms(status, options, kAuditNow), SizeIs(1));
}

TEST(DocumentsAlarmsTest, AuditsAreMetrics) {
  documents::SourceStatus status;
  status.source = "documents/uji";
  const std::string never = RenderDocumentsMetrics(status, {}, kAuditNow);
  EXPECT_THAT(never, HasSubstr("documents_audit_age_seconds{source=\"documents/uji\"} +Inf"));
  status.audit_us = kAuditNow - 5'000'000;
  status.audit_differences = 2;
  status.audit_repaired = 3;
  const std::string page = RenderDocumentsMetrics(status, {}, kAuditNow);
  EXPECT_THAT(page, HasSubstr("documents_audit_age_seconds{source=\"documents/uji\"} 5\n"));
  EXPECT_THAT(page, HasSubstr("documents_audit_differences{source=\"documents/uji\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("documents_audit_repaired_total{source=\"documents/uji\"} 3\n"));
}

}  // namespace
}  // namespace kembar::agent
