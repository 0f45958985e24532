// capturer_test.cc — from the server's bytes to the log's drafts: what each kind of change becomes,
// how transactions are cut, and how an interrupted one is resumed.
#include "tools/agent/postgres/capturer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/agent/pg_bytes.h"

namespace kembar::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
namespace pg = pgbytes;

constexpr char kMapping[] = R"(
[[package]]
table = "public.paket"
prefix = "paket/"
title = "nama"
value = "pagu"

[[member]]
table = "public.peserta"
column = "pkt_id"
parent = "public.paket"

[[member]]
table = "public.dokumen"
column = "pst_id"
parent = "public.peserta"

[[document_column]]
table = "public.peserta"
column = "ket"
base = "/srv/"
)";

constexpr uint32_t kPaket = 100;
constexpr uint32_t kPeserta = 101;
constexpr uint32_t kLog = 102;
constexpr uint32_t kDokumen = 103;

// A log in memory: what was emitted, as a node would hold it.
class FakeHost : public CaptureHost {
 public:
  Status Emit(Batch batch) override {
    for (const v1::Draft& draft : batch.drafts) {
      const std::string id = draft.package() + " " + draft.item();
      if (draft.kind() == v1::RECORD_KIND_PUT) {
        held[id] = draft.payload();
      } else {
        held.erase(id);
      }
    }
    batches.push_back(std::move(batch));
    return Status::Ok();
  }
  Result<std::optional<std::string>> CurrentPayload(const std::string& package,
                                                    const std::string& item) override {
    ++payloads_asked;
    const auto found = held.find(package + " " + item);
    if (found == held.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }
  Result<std::vector<LiveItem>> LiveItems(const TableName& table) override {
    std::vector<LiveItem> items;
    for (const auto& [id, payload] : held) {
      const size_t blank = id.find(' ');
      if (!id.substr(blank + 1).starts_with(capture::RowPrefix(table))) continue;
      items.push_back({id.substr(0, blank), id.substr(blank + 1)});
    }
    return items;
  }
  Result<std::vector<LiveItem>> PackageRows(const std::string& package) override {
    std::vector<LiveItem> rows;
    for (const auto& [id, payload] : held) {
      if (id.starts_with(package + " row/")) {
        rows.push_back({package, id.substr(package.size() + 1), payload});
      }
    }
    return rows;
  }
  Result<std::vector<std::string>> TypeNames(const postgres::RelationMessage& relation) override {
    std::vector<std::string> names;
    for (const auto& column : relation.columns) {
      names.push_back(column.type_oid == 23 ? "integer" : "text");
    }
    return names;
  }
  Result<std::optional<TableShape>> VisibleShape(uint32_t) override { return visible; }

  std::vector<Batch> batches;
  std::map<std::string, std::string> held;
  std::optional<TableShape> visible;
  int payloads_asked = 0;
};

class CapturerTest : public ::testing::Test {
 protected:
  CapturerTest() : mapping_(*capture::Mapping::Parse(kMapping, "mapping.toml")), state_(&mapping_) {
    Shape({"public", "paket"}, {"id", "nama", "pagu"}, {"id"});
    Shape({"public", "peserta"}, {"id", "pkt_id", "ket"}, {"id"});
    Shape({"public", "log"}, {"a", "b"}, {});
    Shape({"public", "dokumen"}, {"id", "pst_id"}, {"id"});
    Restart({});
  }

  void Shape(const TableName& name, const std::vector<std::string>& columns,
             const std::vector<std::string>& key) {
    TableShape shape{.name = name, .root = name};
    for (const std::string& column : columns) shape.columns.push_back({column, "text", false});
    shape.key = key;
    state_.tables[name] = shape;
  }

  // As the next session would: with what the log holds.
  void Restart(Marker marker) {
    CapturerOptions options{
        .source = "postgres/db", .records_max = records_max_, .references = references_};
    options.captures = [](const TableName& table) { return table.schema != "secret"; };
    capturer_ = std::make_unique<Capturer>(options, &mapping_, &state_, &host_);
    capturer_->StartAfter(marker);
    Feed(pg::Relation(kPaket, "public", "paket", {{"id", true}, {"nama"}, {"pagu"}}));
    Feed(pg::Relation(kPeserta, "public", "peserta", {{"id", true}, {"pkt_id"}, {"ket"}}));
    Feed(pg::Relation(kLog, "public", "log", {{"a"}, {"b"}}, 'f'));
    Feed(pg::Relation(kDokumen, "public", "dokumen", {{"id", true}, {"pst_id"}}));
  }

  void Feed(const std::string& bytes) {
    const Result<postgres::PgMessage> message = postgres::DecodePgMessage(bytes);
    ASSERT_TRUE(message.ok()) << message.status().ToString();
    const Status status = capturer_->Handle(*message);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Transaction(uint64_t lsn, const std::vector<std::string>& changes) {
    Feed(pg::Begin(lsn, static_cast<uint32_t>(lsn)));
    for (const std::string& change : changes) Feed(change);
    Feed(pg::Commit(lsn, lsn + 8));
  }

  // "put paket/1 row/public.paket/1" of a batch, markers left out.
  static std::vector<std::string> Lines(const Batch& batch) {
    std::vector<std::string> lines;
    for (const v1::Draft& draft : batch.drafts) {
      if (draft.item().starts_with("transaction")) continue;
      lines.push_back((draft.kind() == v1::RECORD_KIND_PUT ? "put " : "delete ") + draft.package() +
                      " " + draft.item());
    }
    return lines;
  }
  std::string Payload(const std::string& id) {
    const auto found = host_.held.find(id);
    return found == host_.held.end() ? "none" : found->second;
  }
  static std::string Keyless(const std::string& payload, int n) {
    return capture::KeylessRowItem({"public", "log"}, Sha256({payload}), static_cast<uint64_t>(n));
  }

  const capture::Mapping mapping_;
  CapturedState state_;
  FakeHost host_;
  size_t records_max_ = 4'096;
  bool references_ = false;
  std::unique_ptr<Capturer> capturer_;
};

TEST_F(CapturerTest, ATransactionIsOneBatchThatEndsWithItsMarker) {
  Transaction(1'000,
              {pg::Insert(kPaket, {"1", "Jalan", "500"}), pg::Insert(kPeserta, {"7", "1", {}})});
  ASSERT_THAT(host_.batches, SizeIs(1));
  EXPECT_THAT(Lines(host_.batches[0]),
              ElementsAre("put paket/1 row/public.paket/1", "put paket/1 row/public.peserta/7"));
  EXPECT_EQ(host_.batches[0].drafts[0].title(), "Jalan");
  EXPECT_EQ(host_.batches[0].drafts[0].value(), "500");
  EXPECT_EQ(Payload("paket/1 row/public.peserta/7"), R"({"id":"7","pkt_id":"1","ket":null})");
  const v1::Draft& last = host_.batches[0].drafts.back();
  EXPECT_EQ(last.item(), "transaction/postgres/db");
  const Result<Marker> marker = capture::DecodeMarker(last.payload());
  ASSERT_TRUE(marker.ok());
  EXPECT_EQ(marker->lsn, 1'008u);
  EXPECT_EQ(marker->xid, 1'000u);
  EXPECT_EQ(marker->changes, 2u);
  EXPECT_TRUE(marker->last);
}

TEST_F(CapturerTest, NothingOfOursGivesNoBatch) {
  Feed(pg::Relation(9, "secret", "t", {{"id", true}}));
  Transaction(1'000, {pg::Insert(9, {"1"})});
  Transaction(2'000, {});
  EXPECT_THAT(host_.batches, IsEmpty());
  EXPECT_EQ(capturer_->handled(), 2'008u);
}

TEST_F(CapturerTest, AChangedKeyIsADeleteAndAPut) {
  Transaction(1'000, {pg::Insert(kPaket, {"1", "Jalan", "500"})});
  Transaction(2'000, {pg::Update(kPaket, 'K', {"1", {}, {}}, {"2", "Jalan", "500"})});
  EXPECT_THAT(Lines(host_.batches[1]),
              ElementsAre("delete paket/1 row/public.paket/1", "put paket/2 row/public.paket/2"));
}

TEST_F(CapturerTest, ARowThatMovesToAnotherPackageIsEndedInTheOldOne) {
  Transaction(1'000, {pg::Insert(kPaket, {"1", "a", "1"}), pg::Insert(kPaket, {"2", "b", "1"}),
                      pg::Insert(kPeserta, {"7", "1", "x"})});
  Transaction(2'000, {pg::Update(kPeserta, 0, {}, {"7", "2", "x"})});
  EXPECT_THAT(Lines(host_.batches[1]), ElementsAre("delete paket/1 row/public.peserta/7",
                                                   "put paket/2 row/public.peserta/7"));
  Transaction(3'000, {pg::Delete(kPeserta, 'K', {"7", {}, {}})});
  EXPECT_THAT(Lines(host_.batches[2]), ElementsAre("delete paket/2 row/public.peserta/7"));
}

TEST_F(CapturerTest, RowsBelowARowThatMovesFollowIt) {
  Transaction(1'000, {pg::Insert(kPeserta, {"7", "1", "x"}), pg::Insert(kPeserta, {"8", "1", "x"}),
                      pg::Insert(kDokumen, {"70", "7"}), pg::Insert(kDokumen, {"80", "8"})});
  Transaction(2'000,
              {pg::Insert(kDokumen, {"71", "7"}), pg::Update(kPeserta, 0, {}, {"7", "2", "x"})});
  EXPECT_THAT(
      Lines(host_.batches[1]),
      ElementsAre("put paket/1 row/public.dokumen/71", "delete paket/1 row/public.peserta/7",
                  "put paket/2 row/public.peserta/7", "delete paket/1 row/public.dokumen/70",
                  "put paket/2 row/public.dokumen/70", "delete paket/1 row/public.dokumen/71",
                  "put paket/2 row/public.dokumen/71"));
  EXPECT_EQ(Payload("paket/1 row/public.dokumen/80"), R"({"id":"80","pst_id":"8"})");
}

TEST_F(CapturerTest, AServerWithoutTheLastTransactionHasAnotherHistory) {
  const Marker marker{.lsn = 1'008, .xid = 1'000, .last = true};
  const auto next = [this] { return *postgres::DecodePgMessage(pg::Begin(2'000, 2'000)); };
  capturer_->ResumeAfter(marker);
  Transaction(1'000, {pg::Insert(kPeserta, {"7", "1", "x"})});
  EXPECT_TRUE(capturer_->Handle(next()).ok());
  Restart({});
  capturer_->ResumeAfter(marker);
  Transaction(1'002, {pg::Insert(kPeserta, {"7", "1", "x"})});
  EXPECT_EQ(capturer_->Handle(next()).code(), Code::kDiverged);
  Restart({});
  capturer_->ResumeAfter({.lsn = 2'000, .xid = 1'999, .changes = 3, .last = false});
  EXPECT_EQ(capturer_->Handle(next()).code(), Code::kDiverged);
  Restart({});
  capturer_->ResumeAfter({.lsn = 2'000, .xid = 2'000, .changes = 3, .last = false});
  EXPECT_TRUE(capturer_->Handle(next()).ok());
}

TEST_F(CapturerTest, RowsOfNoPackageAreCounted) {
  Transaction(1'000, {pg::Insert(kPeserta, {"7", {}, "x"}), pg::Insert(kLog, {"1", "2"})});
  EXPECT_EQ(capturer_->counts().unmapped.at({"public", "peserta"}), 1u);
  EXPECT_EQ(capturer_->counts().unmapped.at({"public", "log"}), 1u);
}

TEST_F(CapturerTest, UnchangedValuesComeFromTheTransactionTheCacheOrTheLog) {
  const std::string wide(3'000, 'w');
  Transaction(1'000, {pg::Insert(kPeserta, {"7", "1", wide}),
                      pg::Update(kPeserta, 0, {}, {"7", "2", pg::kUnchanged})});
  EXPECT_EQ(Payload("paket/2 row/public.peserta/7"),
            R"({"id":"7","pkt_id":"2","ket":")" + wide + "\"}");
  Transaction(2'000, {pg::Update(kPeserta, 0, {}, {"7", "3", pg::kUnchanged})});
  EXPECT_EQ(host_.payloads_asked, 0);
  state_.wide.Clear();
  Transaction(3'000, {pg::Update(kPeserta, 0, {}, {"7", "4", pg::kUnchanged})});
  EXPECT_EQ(host_.payloads_asked, 1);
  EXPECT_EQ(Payload("paket/4 row/public.peserta/7"),
            R"({"id":"7","pkt_id":"4","ket":")" + wide + "\"}");
}

TEST_F(CapturerTest, AnUnchangedValueMovesAlongWithAChangedKey) {
  const std::string wide(3'000, 'w');
  Transaction(1'000, {pg::Insert(kPeserta, {"7", "1", wide})});
  Transaction(2'000, {pg::Update(kPeserta, 'K', {"7", {}, {}}, {"8", "1", pg::kUnchanged})});
  EXPECT_EQ(Payload("paket/1 row/public.peserta/7"), "none");
  EXPECT_EQ(Payload("paket/1 row/public.peserta/8"),
            R"({"id":"8","pkt_id":"1","ket":")" + wide + "\"}");
}

TEST_F(CapturerTest, WhatTheLogLacksIsLeftToAReconciliation) {
  Transaction(1'000, {pg::Update(kPeserta, 0, {}, {"7", "3", pg::kUnchanged})});
  EXPECT_EQ(capturer_->counts().incomplete, 1u);
  EXPECT_EQ(state_.pending, (std::set<TableName>{{"public", "peserta"}}));
  EXPECT_THAT(Lines(host_.batches[0]), ElementsAre("put - pending/postgres/db"));
}

TEST_F(CapturerTest, EqualRowsWithoutKeyAreNumbered) {
  Transaction(1'000, {pg::Insert(kLog, {"1", "x"}), pg::Insert(kLog, {"1", "x"})});
  const std::string row = R"({"a":"1","b":"x"})";
  const std::string other = R"({"a":"1","b":"y"})";
  EXPECT_THAT(Lines(host_.batches[0]),
              ElementsAre("put - " + Keyless(row, 1), "put - " + Keyless(row, 2)));
  Transaction(2'000, {pg::Update(kLog, 'O', {"1", "x"}, {"1", "y"})});
  EXPECT_THAT(Lines(host_.batches[1]),
              ElementsAre("delete - " + Keyless(row, 2), "put - " + Keyless(other, 1)));
  Transaction(3'000, {pg::Delete(kLog, 'O', {"1", "x"})});
  EXPECT_THAT(Lines(host_.batches[2]), ElementsAre("delete - " + Keyless(row, 1)));
}

TEST_F(CapturerTest, TruncateDeletesWhatTheLogAndTheTransactionHold) {
  Transaction(1'000, {pg::Insert(kPeserta, {"7", "1", "x"}), pg::Insert(kLog, {"1", "x"})});
  Transaction(2'000,
              {pg::Insert(kPeserta, {"8", "1", "x"}), pg::Delete(kPeserta, 'K', {"7", {}, {}}),
               pg::Truncate({kPeserta, kLog}), pg::Insert(kPeserta, {"9", "1", "x"})});
  EXPECT_THAT(host_.held, testing::Contains(testing::Key("paket/1 row/public.peserta/9")));
  for (const auto& [id, payload] : host_.held) {
    EXPECT_FALSE(id.find(" row/") != std::string::npos && id != "paket/1 row/public.peserta/9")
        << id;
  }
  Transaction(3'000, {pg::Insert(kLog, {"1", "x"})});
  EXPECT_THAT(Lines(host_.batches[2]), ElementsAre("put - " + Keyless(R"({"a":"1","b":"x"})", 1)));
}

TEST_F(CapturerTest, ALargeTransactionIsCutAndResumedExactly) {
  records_max_ = 4;
  Restart({});
  std::vector<std::string> changes;
  for (int i = 0; i < 8; ++i) {
    changes.push_back(pg::Insert(kPeserta, {std::to_string(i), "1", "x"}));
  }
  Transaction(1'000, changes);
  ASSERT_THAT(host_.batches, SizeIs(3));
  EXPECT_FALSE(host_.batches[0].marker.last);
  EXPECT_EQ(host_.batches[0].drafts.back().item(), "transaction-part/postgres/db");
  EXPECT_EQ(host_.batches[1].marker.changes, 6u);
  EXPECT_EQ(host_.batches[1].marker.part, 2u);
  EXPECT_TRUE(host_.batches[2].marker.last);

  const Marker part = host_.batches[1].marker;
  const auto held = host_.held;
  host_.batches.clear();
  Restart(part);
  Transaction(500, changes);  // sent again: it is before
  EXPECT_THAT(host_.batches, IsEmpty());
  Transaction(1'000, changes);
  ASSERT_THAT(host_.batches, SizeIs(1));
  EXPECT_THAT(Lines(host_.batches[0]),
              ElementsAre("put paket/1 row/public.peserta/6", "put paket/1 row/public.peserta/7"));
  EXPECT_EQ(host_.batches[0].marker.part, 3u);
  EXPECT_EQ(host_.held, held);
  Transaction(1'000, changes);  // and once more
  EXPECT_THAT(host_.batches, SizeIs(1));
}

TEST_F(CapturerTest, ATransactionThatBeginsWhereTheLastEndedIsNotSkipped) {
  Transaction(1'000, {pg::Insert(kPeserta, {"1", "1", "x"})});
  Transaction(1'008, {pg::Insert(kPeserta, {"2", "1", "x"})});
  EXPECT_THAT(host_.batches, SizeIs(2));
}

TEST_F(CapturerTest, ATruncateThatTakesSeveralBatchesIsResumedWithWhatIsLeft) {
  for (int i = 0; i < 6; ++i) {
    Transaction(100 + 10 * static_cast<uint64_t>(i),
                {pg::Insert(kPeserta, {std::to_string(i), "1", "x"})});
  }
  records_max_ = 4;
  Restart(capturer_->marker());
  host_.batches.clear();
  Transaction(1'000, {pg::Truncate({kPeserta}), pg::Insert(kPeserta, {"9", "1", "x"})});
  ASSERT_THAT(host_.batches, SizeIs(3));
  EXPECT_EQ(host_.batches[0].marker.changes, 0u);
  // The same from after the first part, whose rows are gone already.
  FakeHost again = host_;
  again.held.clear();
  for (int i = 3; i < 6; ++i) again.held["paket/1 row/public.peserta/" + std::to_string(i)] = "{}";
  const Marker part = host_.batches[0].marker;
  host_ = again;
  host_.batches.clear();
  Restart(part);
  Transaction(1'000, {pg::Truncate({kPeserta}), pg::Insert(kPeserta, {"9", "1", "x"})});
  std::vector<std::string> rows;
  for (const auto& [id, payload] : host_.held) {
    if (id.find(" row/") != std::string::npos) rows.push_back(id);
  }
  EXPECT_THAT(rows, ElementsAre("paket/1 row/public.peserta/9"));
}

TEST_F(CapturerTest, AChangedRelationIsRecordedAndReconciled) {
  Feed(pg::Relation(kPeserta, "public", "peserta",
                    {{"id", true}, {"pkt_id"}, {"ket"}, {"baru", false, 23}}));
  Transaction(1'000, {pg::Insert(kPeserta, {"7", "1", "x", "5"})});
  EXPECT_THAT(Lines(host_.batches[0]),
              ElementsAre("put - table/public.peserta", "put - pending/postgres/db",
                          "put paket/1 row/public.peserta/7"));
  const Result<TableShape> shape = capture::DecodeTable(Payload("- table/public.peserta"));
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->columns.back(), (capture::Column{"baru", "integer", false}));
  EXPECT_THAT(shape->key, ElementsAre("id"));
}

TEST_F(CapturerTest, AnOldRelationOfASkippedTransactionIsNotCompared) {
  Restart({.lsn = 5'000, .last = true});
  Feed(pg::Relation(kPeserta, "public", "peserta", {{"id", true}}));
  Transaction(1'000, {pg::Insert(kPeserta, {"7"})});
  EXPECT_TRUE(state_.pending.empty());
}

// The stream goes on while a snapshot is made: what is newer than the snapshot is told apart.
TEST_F(CapturerTest, WhatIsTouchedWhileASnapshotIsMadeIsNoted) {
  Transaction(1'000, {pg::Insert(kPeserta, {"1", "1", "x"}), pg::Insert(kLog, {"1", "x"})});
  Touches touches;
  capturer_->NoteTouches(&touches);
  Transaction(2'000, {pg::Insert(kPeserta, {"2", "1", "x"})});
  Transaction(3'000, {pg::Delete(kPeserta, 'K', {"1", {}, {}}), pg::Delete(kLog, 'O', {"1", "x"}),
                      pg::Update(kPeserta, 0, {}, {"9", "1", pg::kUnchanged})});
  capturer_->NoteTouches(nullptr);
  Transaction(4'000, {pg::Insert(kPeserta, {"4", "1", "x"})});
  EXPECT_TRUE(touches.HasRow("row/public.peserta/2", 2'000));
  EXPECT_FALSE(touches.HasRow("row/public.peserta/2", 2'001));
  EXPECT_TRUE(touches.HasRow("row/public.peserta/1", 3'000));
  EXPECT_FALSE(touches.HasRow("row/public.peserta/4", 0));
  const Digest row = Sha256({R"({"a":"1","b":"x"})"});
  EXPECT_TRUE(touches.HasEqual({"public", "log"}, row, 3'000));
  EXPECT_FALSE(touches.HasEqual({"public", "log"}, row, 3'001));
  EXPECT_TRUE(touches.IsPending({"public", "peserta"}, 3'000));
  EXPECT_FALSE(touches.IsPending({"public", "log"}, 0));
}

TEST_F(CapturerTest, WhatARowRefersToIsSaidInItsBatch) {
  references_ = true;
  Restart({});
  Transaction(1'000, {pg::Insert(kPaket, {"1", "a", "1"}), pg::Insert(kPaket, {"2", "b", "1"}),
                      pg::Insert(kPeserta, {"7", "1", "/srv/1/a.rhs"}),
                      pg::Insert(kPeserta, {"8", "1", "../passwd"})});
  EXPECT_THAT(Lines(host_.batches[0]),
              ElementsAre("put paket/1 row/public.paket/1", "put paket/2 row/public.paket/2",
                          "put paket/1 row/public.peserta/7", "put paket/1 reference/1/a.rhs",
                          "put paket/1 row/public.peserta/8"));
  EXPECT_EQ(host_.batches[0].rows, 4u);
  // As the documents source would write it, which then finds nothing to do.
  EXPECT_EQ(Payload("paket/1 reference/1/a.rhs"), R"({"table":"public.peserta","key":"7"})");
  // Into another package: what no row there refers to any more is left to the documents source.
  Transaction(2'000, {pg::Update(kPeserta, 0, {}, {"7", "2", pg::kUnchanged})});
  EXPECT_THAT(Lines(host_.batches[1]),
              ElementsAre("delete paket/1 row/public.peserta/7", "put paket/2 row/public.peserta/7",
                          "put paket/2 reference/1/a.rhs"));
}

TEST_F(CapturerTest, TheCanaryBringsACut) {
  Shape({"kembar", "canary"}, {"source", "at"}, {"source"});
  Feed(pg::Relation(50, "kembar", "canary", {{"source", true}, {"at"}}));
  Transaction(1'000, {pg::Insert(50, {"db", "2026-11-24 10:00:00+00"})});
  EXPECT_THAT(Lines(host_.batches[0]),
              ElementsAre("put - row/kembar.canary/db", "put - cut/postgres/db"));
  EXPECT_TRUE(host_.batches[0].canary);
}

TEST_F(CapturerTest, MessagesThatDoNotFitAreErrors) {
  const auto refused = [this](const std::string& bytes) {
    return !capturer_->Handle(*postgres::DecodePgMessage(bytes)).ok();
  };
  EXPECT_TRUE(refused(pg::Insert(kPaket, {"1", "a", "1"})));  // outside of a transaction
  Feed(pg::Begin(1'000, 1));
  EXPECT_TRUE(refused(pg::Begin(1'001, 2)));
  EXPECT_TRUE(refused(pg::Insert(77, {"1"})));
  EXPECT_TRUE(refused(pg::Insert(kPaket, {"1"})));
  EXPECT_TRUE(refused(pg::Insert(kPaket, {{}, "a", "1"})));  // the key is NULL
}

}  // namespace
}  // namespace kembar::agent
