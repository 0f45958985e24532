// pgoutput_test.cc — the server's messages, byte by byte, and what is not one of them.
#include "tools/postgres/pgoutput.h"

#include <gtest/gtest.h>

#include "tests/unit/agent/pg_bytes.h"
#include "tools/postgres/replication.h"

namespace kembar::postgres {
namespace {

namespace pg = pgbytes;

TEST(PgOutput, BeginAndCommit) {
  const auto begin = DecodePgMessage(pg::Begin(0x16B3748, 741, 1'000'000));
  ASSERT_TRUE(begin.ok());
  const auto& b = std::get<BeginMessage>(*begin);
  EXPECT_EQ(b.commit_lsn, 0x16B3748u);
  EXPECT_EQ(b.xid, 741u);
  EXPECT_EQ(b.committed_us, kPostgresEpochUs + 1'000'000);
  const auto commit = DecodePgMessage(pg::Commit(10, 20, 30));
  ASSERT_TRUE(commit.ok());
  EXPECT_EQ(std::get<CommitMessage>(*commit).end_lsn, 20u);
}

TEST(PgOutput, Relation) {
  const auto message =
      DecodePgMessage(pg::Relation(16'384, "public", "t", {{"id", true, 23}, {"x"}}, 'd'));
  ASSERT_TRUE(message.ok());
  const auto& relation = std::get<RelationMessage>(*message);
  EXPECT_EQ(relation.id, 16'384u);
  EXPECT_EQ(relation.name, (capture::TableName{"public", "t"}));
  ASSERT_EQ(relation.columns.size(), 2u);
  EXPECT_EQ(relation.columns[0], (RelationColumn{true, "id", 23, -1}));
  EXPECT_FALSE(relation.columns[1].key);
}

TEST(PgOutput, RowsTellNullEmptyAndUnchangedApart) {
  const auto message = DecodePgMessage(pg::Update(7, 'O', {"1", {}}, {"", pg::kUnchanged}));
  ASSERT_TRUE(message.ok());
  const auto& update = std::get<UpdateMessage>(*message);
  EXPECT_EQ(update.old_row, OldRow::kFull);
  EXPECT_EQ(update.before[1].kind, TupleValue::Kind::kNull);
  EXPECT_EQ(update.row[0].kind, TupleValue::Kind::kText);
  EXPECT_EQ(update.row[0].text, "");
  EXPECT_EQ(update.row[1].kind, TupleValue::Kind::kUnchanged);
}

TEST(PgOutput, EveryShorterPieceIsRefused) {
  for (const std::string& whole :
       {pg::Begin(1, 2), pg::Commit(1, 2), pg::Relation(1, "s", "t", {{"a", true}}),
        pg::Insert(1, {"x", {}}), pg::Update(1, 'K', {"a"}, {"b"}), pg::Delete(1, 'K', {"a"}),
        pg::Truncate({1, 2})}) {
    ASSERT_TRUE(DecodePgMessage(whole).ok());
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(DecodePgMessage(whole.substr(0, size)).ok());
    }
    EXPECT_FALSE(DecodePgMessage(whole + "x").ok());
  }
}

TEST(PgOutput, BinaryValuesAndUnknownMessagesAreRefused) {
  std::string insert = pg::Insert(1, {"x"});
  insert[8] = 'b';
  EXPECT_EQ(DecodePgMessage(insert).status().code(), Code::kCorrupt);
  EXPECT_EQ(DecodePgMessage("S").status().code(), Code::kCorrupt);
  EXPECT_EQ(DecodePgMessage("").status().code(), Code::kCorrupt);
}

TEST(Replication, Envelopes) {
  std::string data = "w";
  for (int i = 0; i < 3; ++i) pg::Number(&data, 5, 8);
  const auto event = DecodeStreamEvent(data + "payload");
  ASSERT_TRUE(event.ok());
  EXPECT_EQ(std::get<StreamData>(*event).bytes, "payload");
  std::string keepalive = "k";
  pg::Number(&keepalive, 99, 8);
  pg::Number(&keepalive, 0, 8);
  keepalive.push_back('\1');
  const auto alive = DecodeStreamEvent(keepalive);
  ASSERT_TRUE(alive.ok());
  EXPECT_EQ(std::get<StreamKeepalive>(*alive).end, 99u);
  EXPECT_TRUE(std::get<StreamKeepalive>(*alive).reply_wanted);
  EXPECT_FALSE(DecodeStreamEvent("w123").ok());
  EXPECT_FALSE(DecodeStreamEvent("").ok());
}

TEST(Replication, StandbyStatus) {
  const std::string status = EncodeStandbyStatus(3, 2, kPostgresEpochUs + 7, true);
  ASSERT_EQ(status.size(), 34u);
  EXPECT_EQ(status[0], 'r');
  EXPECT_EQ(status[8], 3);
  EXPECT_EQ(status[16], 2);
  EXPECT_EQ(status[24], 2);
  EXPECT_EQ(status[32], 7);
  EXPECT_EQ(status[33], 1);
}

}  // namespace
}  // namespace kembar::postgres
