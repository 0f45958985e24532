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
  status.started_us = kAuditNow - 60'000'000;
  EXPECT_THAT(DocumentsAlarms(status, options, kAuditNow), IsEmpty()) << "none yet: it may be new";
  status.started_us = kAuditNow - 3 * kDay;
  status.caught_up_us = kAuditNow;
  const std::vector<AgentAlarm> never = DocumentsAlarms(status, options, kAuditNow);
  ASSERT_THAT(never, SizeIs(1));
  EXPECT_THAT(never[0].text, HasSubstr("no audit since the start"));
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

TEST(DocumentsAlarmsTest, WhatNeverWasIsAsOldAsTheProcess) {
  documents::SourceOptions options;
  documents::SourceStatus status;
  status.started_us = kAuditNow - 300'000'000;
  std::vector<AgentAlarm> alarms = DocumentsAlarms(status, options, kAuditNow);
  ASSERT_THAT(alarms, SizeIs(1));
  EXPECT_FALSE(alarms[0].critical);
  EXPECT_THAT(alarms[0].text, HasSubstr("never level since the start, 300 s ago"));
  status.started_us = kAuditNow - int64_t{3'600} * 1'000'000;
  alarms = DocumentsAlarms(status, options, kAuditNow);
  ASSERT_THAT(alarms, SizeIs(2));
  EXPECT_TRUE(alarms[0].critical);
  EXPECT_TRUE(alarms[1].critical);
  EXPECT_THAT(alarms[1].text, HasSubstr("no canary file came into the log since the start"));
}

TEST(DocumentsAlarmsTest, WhatNeedsAnOperatorIsCriticalAlways) {
  documents::SourceOptions options;
  options.canary_every_s = 0;
  documents::SourceStatus status;
  status.started_us = status.caught_up_us = kAuditNow;
  status.trouble = "no node answers";
  EXPECT_FALSE(DocumentsAlarms(status, options, kAuditNow).at(0).critical);
  status.needs_operator = true;
  EXPECT_TRUE(DocumentsAlarms(status, options, kAuditNow).at(0).critical);
}

TEST(DocumentsAlarmsTest, RecordsThatCannotBeReadAreTold) {
  documents::SourceOptions options;
  options.canary_every_s = 0;
  documents::SourceStatus status;
  status.started_us = status.caught_up_us = kAuditNow;
  status.unreadable_records = 1;
  const std::vector<AgentAlarm> alarms = DocumentsAlarms(status, options, kAuditNow);
  ASSERT_THAT(alarms, SizeIs(1));
  EXPECT_FALSE(alarms[0].critical);
  EXPECT_THAT(alarms[0].text, HasSubstr("1 records of documents could not be read"));
}

TEST(DocumentsAlarmsTest, TheStateIsAMetric) {
  documents::SourceStatus status;
  status.source = "documents/uji";
  status.state = "waiting";
  const std::string page = RenderDocumentsMetrics(status, {}, kAuditNow);
  EXPECT_THAT(page, HasSubstr("state{source=\"documents/uji\",state=\"waiting\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("state{source=\"documents/uji\",state=\"watching\"} 0\n"));
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
