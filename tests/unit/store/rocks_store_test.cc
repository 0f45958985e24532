// rocks_store_test.cc — RocksStore under the conformance suite, beside MemoryStore under random
// operations, and what only a store on a disk has to bear.
#include "node/store/rocks_store.h"

#include <rocksdb/db.h>

#include <atomic>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "node/store/keys.h"
#include "replicator/base/bytes.h"
#include "replicator/log/memory_store.h"
#include "tests/unit/store/rocks_test_util.h"
#include "tests/unit/store/store_conformance.h"

namespace kembar {
namespace {

RocksOptions Options(const std::string& dir) {
  return {.dir = dir + "/data",
          .create_if_missing = true,
          .block_cache_bytes = 1 << 20,
          .write_buffer_bytes = 1 << 20};
}

std::unique_ptr<RocksStore> MustOpen(const RocksOptions& options) {
  auto store = RocksStore::Open(options);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return store.ok() ? *std::move(store) : nullptr;
}

class RocksSubject {
 public:
  Store& store() { return *store_; }
  void Reopen() {
    store_.reset();
    store_ = MustOpen(Options(dir_.path()));
  }

 private:
  TempDir dir_;
  std::unique_ptr<RocksStore> store_ = MustOpen(Options(dir_.path()));
};
INSTANTIATE_TYPED_TEST_SUITE_P(Rocks, StoreConformance, RocksSubject);

// ---- The same answers as MemoryStore ----

std::string Show(const Status& status) { return std::string(CodeName(status.code())) + "\n"; }

template <class T>
std::string Show(const Result<T>& result, const std::function<std::string(const T&)>& show) {
  return result.ok() ? show(*result) + "\n" : Show(result.status());
}

std::string ShowFrames(const std::vector<std::string>& frames) {
  std::string all;
  for (const std::string& frame : frames) all += ToHex(Sha256({frame})).substr(0, 8) + " ";
  return all;
}

std::string ShowRecovered(const Recovered& r) {
  std::ostringstream out;
  out << r.last_index << ' ' << r.last_batch_end << ' ' << ToHex(r.frontier.Root()) << ' '
      << r.log_uuid << ' ' << r.control.primary << ' ' << r.control_index << ' '
      << ToHex(EncodeHardState(r.hard));
  for (const EpochEntry& e : r.history.entries()) {
    out << " e" << e.epoch << ':' << e.first_index << e.primary << e.lossy;
  }
  for (const auto& [source, at] : r.positions) {
    out << ' ' << ToHex(source) << '=' << at.first << ':' << at.second;
  }
  return out.str();
}

// Everything that a store answers about a log, as text.
std::string Answers(const Store& store, const std::string& log,
                    const std::set<std::string>& packages, uint64_t last, std::mt19937_64* random) {
  std::string out = Show<Recovered>(store.Recover(log), ShowRecovered);
  const uint64_t from = (*random)() % (last + 2);
  const uint64_t to = (*random)() % (last + 3);
  const size_t bytes_max = (*random)() % 2000;
  out += Show<FrameBatch>(store.Read(log, from, to, bytes_max), [](const FrameBatch& b) {
    return std::to_string(b.first_index) + " " + ShowFrames(b.frames) + ToHex(b.prev_root) + " " +
           ToHex(b.root);
  });
  for (uint64_t size : {from, to}) {
    out += Show<Digest>(store.RootAt(log, size), [](const Digest& d) { return ToHex(d); });
  }
  for (const std::string& package : packages) {
    const uint64_t as_of = (*random)() % 3 == 0 ? from : UINT64_MAX;
    const std::string item_prefix = std::string("abx").substr((*random)() % 4, 1);
    const ItemRange range{.package = package, .item_prefix = item_prefix, .as_of = as_of};
    const auto next = static_cast<Visit>((*random)() % 3);
    out += Show(store.VisitItems(log, range, [&out, next](const ItemVersion& v) {
      out += ToHex(v.package) + "/" + ToHex(v.item) + "@" + std::to_string(v.index) + " " +
             ToHex(v.payload_sha256).substr(0, 6) + v.title + v.value + v.unit + ";";
      return next;
    }));
  }
  for (uint64_t position = 0; position < 60; ++position) {
    for (const char* source : {"pg", "pg2", "docs"}) {
      out += Show<uint64_t>(store.FindPosition(log, source, position),
                            [](const uint64_t& index) { return std::to_string(index); });
    }
  }
  auto infos = store.Quarantines(log);
  out += Show<std::vector<QuarantineInfo>>(infos, [&](const auto& list) {
    std::string text;
    for (const QuarantineInfo& q : list) {
      text += std::to_string(q.id) + q.origin + std::to_string(q.first_index) + "-" +
              std::to_string(q.last_index) + "/" + std::to_string(q.acknowledged_to) + " ";
      text += Show<std::vector<std::string>>(store.QuarantinedFrames(log, q.id, from, bytes_max),
                                             ShowFrames);
    }
    return text;
  });
  return out;
}

// A log under random operations.
struct Walker {
  explicit Walker(std::string id) : log(std::move(id)) {}
  TestLog log;
  uint64_t epoch = 0;
  uint64_t position = 0;

  std::vector<Record> Records(std::mt19937_64& random) {
    static const std::string kNames[] = {
        "a", "ab", std::string("a\0b", 3), "b", "", std::string("\0", 1), "\xff\xff"};
    std::vector<Record> records;
    const size_t batches = 1 + random() % 3;
    for (size_t b = 0; b < batches; ++b) {
      if (random() % 8 == 0 || epoch == 0) {
        log.set_epoch(++epoch);
        records.push_back(Control(RecordKind::kEpochStart, Reign("p" + std::to_string(epoch))));
        records.back().epoch = epoch;
      }
      const char* source = std::array{"pg", "pg2", "docs", ""}[random() % 4];
      ++position;
      for (size_t left = 1 + random() % 4; left > 0; --left) {
        Record record =
            Put(kNames[random() % 7], kNames[random() % 7], std::string(random() % 300, 'p'));
        record.kind = std::array{RecordKind::kPut, RecordKind::kPut, RecordKind::kDelete,
                                 RecordKind::kNote}[random() % 4];
        record.title = random() % 3 == 0 ? "title" : "";
        record.unit = random() % 3 == 0 ? "unit" : "";
        record.epoch = epoch;
        // Now and then a batch comes without its end, to be cut off or left so.
        records.push_back(From(source, position, record, left == 1 && random() % 10 != 0));
      }
    }
    return records;
  }

  LogWrite Next(std::mt19937_64& random) {
    LogWrite write;
    if (log.last() > 0 && random() % 5 == 0) {
      const uint64_t after = random() % (log.last() + 1);
      write = random() % 2 == 0 ? log.Truncate(after, "o" + std::to_string(after))
                                : log.Replace(after, Records(random));
    } else if (random() % 6 == 0) {
      write = HardWrite(log.id(), {});
    } else {
      write = log.Append(Records(random));
    }
    if (random() % 3 == 0) {
      write.hard = Promise(random() % 9, "m");
      write.hard->acked_by["m"] = random() % 99;
    }
    return write;
  }
};

TEST(RocksStoreTest, AnswersAsMemoryStoreDoesUnderRandomOperations) {
  const char* given = std::getenv("KEMBAR_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("KEMBAR_SEED=%llu\n", static_cast<unsigned long long>(seed));
  SCOPED_TRACE("KEMBAR_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  MemoryStore memory("00000000-0000-4000-8000-000000000000");
  TempDir dir;
  RocksOptions options = Options(dir.path());
  options.quarantine_chunk_bytes = 700;  // so that most truncations copy in pieces
  auto rocks = MustOpen(options);
  std::vector<Walker> walkers = {Walker("a"), Walker("ab"), Walker("tebo")};
  const std::set<std::string> packages = {"", "a", "ab", std::string("a\0b", 3), "\xff\xff"};
  for (int step = 0; step < 400; ++step) {
    std::vector<LogWrite> writes;
    for (Walker& walker : walkers) {
      if (random() % 2 == 0) writes.push_back(walker.Next(random));
    }
    ASSERT_OK(memory.Write(writes));
    ASSERT_OK(rocks->Write(writes));
    if (random() % 25 == 0) {
      rocks.reset();
      rocks = MustOpen(options);
      ASSERT_NE(rocks, nullptr);
    }
    const Walker& walker = walkers[random() % walkers.size()];
    std::mt19937_64 same_a(random());
    std::mt19937_64 same_b = same_a;
    ASSERT_EQ(Answers(*rocks, walker.log.id(), packages, walker.log.last(), &same_a),
              Answers(memory, walker.log.id(), packages, walker.log.last(), &same_b))
        << "step " << step << " log " << walker.log.id();
  }
  EXPECT_EQ(*rocks->Logs(), *memory.Logs());
}

// ---- Opening ----

TEST(RocksStoreTest, OneDirectoryServesOneStore) {
  TempDir dir;
  auto first = MustOpen(Options(dir.path()));
  auto second = RocksStore::Open(Options(dir.path()));
  EXPECT_EQ(second.status().code(), Code::kUnavailable);
  EXPECT_THAT(second.status().message(),
              HasSubstr("data directory " + dir.path() + "/data is in use by another node"));
  first.reset();
  EXPECT_NE(MustOpen(Options(dir.path())), nullptr);
}

TEST(RocksStoreTest, CreatesOnlyWhenAsked) {
  TempDir dir;
  RocksOptions options = Options(dir.path());
  options.create_if_missing = false;
  EXPECT_EQ(RocksStore::Open(options).status().code(), Code::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(options.dir));
  const std::string uuid = MustOpen(Options(dir.path()))->node_uuid();
  EXPECT_EQ(MustOpen(options)->node_uuid(), uuid);
  TempDir other;
  EXPECT_NE(MustOpen(Options(other.path()))->node_uuid(), uuid);
  EXPECT_EQ(uuid.size(), 36u);
}

// Opens the database under a closed store to change it by hand.
void Tamper(const std::string& dir,
            const std::function<void(rocksdb::DB*, const std::function<rocksdb::ColumnFamilyHandle*(
                                                       const std::string&)>&)>& change) {
  rocksdb::Options options;
  std::vector<std::string> names;
  ASSERT_TRUE(rocksdb::DB::ListColumnFamilies(options, dir, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(options, dir, families, &handles, &db);
  ASSERT_TRUE(s.ok()) << s.ToString();
  change(db, [&](const std::string& name) {
    for (auto* handle : handles) {
      if (handle->GetName() == name) return handle;
    }
    ADD_FAILURE() << "no family " << name;
    return handles[0];
  });
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  delete db;
}

TEST(RocksStoreTest, RefusesAFormatOfTheFuture) {
  TempDir dir;
  MustOpen(Options(dir.path()));
  const std::string data = dir.path() + "/data";
  Tamper(data, [](rocksdb::DB* db, const auto& family) {
    rocksdb::ColumnFamilyHandle* added = nullptr;
    ASSERT_TRUE(db->CreateColumnFamily({}, "invented_later", &added).ok());
    db->DestroyColumnFamilyHandle(added);
    ASSERT_TRUE(db->Put({}, family("meta"), keys::NodeKey("format"), "2").ok());
  });
  const Status status = RocksStore::Open(Options(dir.path())).status();
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_EQ(status.message(),
            "data directory " + data + " has format 2, this program knows up to 1");
  EXPECT_FALSE(status.hint().empty());
}

TEST(RocksStoreTest, RefusesADirectoryOfAnotherProgram) {
  TempDir dir;
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, dir.path() + "/data", &db).ok());
  ASSERT_TRUE(db->Put({}, "k", "v").ok());
  delete db;
  EXPECT_EQ(RocksStore::Open(Options(dir.path())).status().code(), Code::kCorrupt);
}

TEST(RocksStoreTest, RefusesADirectoryWithoutItsCurrentFile) {
  TempDir dir;
  TestLog log("tebo");
  ASSERT_OK(WriteOne(*MustOpen(Options(dir.path())), log.Append(Puts(1))));
  std::filesystem::remove(dir.path() + "/data/CURRENT");
  EXPECT_EQ(RocksStore::Open(Options(dir.path())).status().code(), Code::kCorrupt);
}

// ---- Damage inside ----

class TamperedStore : public testing::Test {
 protected:
  TamperedStore() : log_("tebo") {
    auto store = MustOpen(Options(dir_.path()));
    EXPECT_TRUE(WriteOne(*store, log_.Append({Control(RecordKind::kEpochStart, Reign("x"))})).ok());
    EXPECT_TRUE(WriteOne(*store, log_.Append({From("pg", 7, Put("a", "1")), Put("a", "2")})).ok());
    EXPECT_TRUE(WriteOne(*store, log_.Append(Puts(4))).ok());
  }
  // Replaces the value under `key` (removes it when null) and opens the store again.
  void Set(const std::string& family_name, const std::string& key, const std::string* value) {
    Tamper(dir_.path() + "/data", [&](rocksdb::DB* db, const auto& family) {
      const rocksdb::Status s = value == nullptr ? db->Delete({}, family(family_name), key)
                                                 : db->Put({}, family(family_name), key, *value);
      ASSERT_TRUE(s.ok()) << s.ToString();
    });
    store_ = MustOpen(Options(dir_.path()));
    ASSERT_NE(store_, nullptr);
  }
  void ExpectCorrupt(const Status& status, const std::string& where) {
    EXPECT_EQ(status.code(), Code::kCorrupt) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(where));
  }
  TempDir dir_;
  TestLog log_;
  std::unique_ptr<RocksStore> store_;
};

TEST_F(TamperedStore, ARecordUnderAnothersIndexIsFound) {
  Set("log", keys::LogKey("tebo", 3), &log_.frames()[1]);
  ExpectCorrupt(store_->Read("tebo", 1, 9, SIZE_MAX).status(), "log tebo index 3");
  EXPECT_TRUE(store_->Read("tebo", 1, 2, SIZE_MAX).ok());
}

TEST_F(TamperedStore, AFalsifiedRecordIsFound) {
  Record record = *DecodeRecord(log_.frames()[2]);
  record.payload += "!";
  const std::string frame = EncodeRecord(record);
  Set("log", keys::LogKey("tebo", 3), &frame);
  ExpectCorrupt(store_->Read("tebo", 1, 9, SIZE_MAX).status(), "log tebo index 3");
}

TEST_F(TamperedStore, AMissingRecordIsFoundAndNotTruncatedAway) {
  Set("log", keys::LogKey("tebo", 3), nullptr);
  ExpectCorrupt(store_->Read("tebo", 2, 9, SIZE_MAX).status(), "log tebo index 3");
  ExpectCorrupt(store_->Read("tebo", 3, 3, SIZE_MAX).status(), "log tebo index 3");
  const Status failed = WriteOne(*store_, log_.Truncate(1));
  ExpectCorrupt(failed, "log tebo index 3");
  // And a store that failed stays closed for writing, with the same words.
  EXPECT_EQ(WriteOne(*store_, HardWrite("other", {})).ToString(), failed.ToString());
  EXPECT_EQ(store_->Recover("tebo")->last_index, 7u);
}

TEST_F(TamperedStore, ALogCutShortIsFoundOnRecovery) {
  Set("log", keys::LogKey("tebo", 7), nullptr);
  ExpectCorrupt(store_->Recover("tebo").status(), "log tebo index 6");
}

TEST_F(TamperedStore, ALostEndIsFoundOnRecovery) {
  Set("meta", keys::EndKey("tebo"), nullptr);
  ExpectCorrupt(store_->Recover("tebo").status(), "log tebo index 7");
}

TEST_F(TamperedStore, AWrongTreeNodeIsFoundOnRecovery) {
  const std::string zeros(32, '\0');
  Set("tree", keys::TreeKey("tebo", 2, 0), &zeros);
  ExpectCorrupt(store_->Recover("tebo").status(), "log tebo");
}

TEST_F(TamperedStore, AMissingTreeNodeIsFound) {
  Set("tree", keys::TreeKey("tebo", 2, 0), nullptr);
  ExpectCorrupt(store_->Recover("tebo").status(), "log tebo tree node at level 2 offset 0");
  ExpectCorrupt(store_->TreeNode("tebo", 2, 0).status(), "log tebo");
}

TEST_F(TamperedStore, APositionBeyondTheEndIsFoundOnRecovery) {
  std::string value;
  AppendBigEndian64(&value, 8);
  Set("positions", keys::PositionKey("tebo", "pg", 7), &value);
  ExpectCorrupt(store_->Recover("tebo").status(), "log tebo index 8");
}

// ---- Truncations that copy ahead ----

TEST(RocksStoreTest, ALargeTruncationCopiesInPieces) {
  TempDir dir;
  RocksOptions options = Options(dir.path());
  options.quarantine_chunk_bytes = 3000;
  TestLog log("tebo");
  TestLog other("muna");
  auto store = MustOpen(options);
  for (int i = 0; i < 20; ++i)
    ASSERT_OK(WriteOne(*store, log.Append(Puts(10, std::string(300, 'q')))));
  const std::vector<std::string> all = log.frames();
  const uint64_t writes_before = store->Stats().writes;
  std::vector<LogWrite> writes = {log.Replace(13, Puts(3, "after")), other.Append(Puts(2))};
  ASSERT_OK(store->Write(writes));
  EXPECT_EQ(store->Stats().writes, writes_before + 1);
  store.reset();
  store = MustOpen(options);
  EXPECT_EQ(*store->QuarantinedFrames("tebo", 1, 14, SIZE_MAX),
            std::vector(all.begin() + 13, all.end()));
  EXPECT_EQ(store->Read("tebo", 1, UINT64_MAX, SIZE_MAX)->frames, log.frames());
  EXPECT_EQ(Items(*store, "tebo", "").size(), 16u);
  EXPECT_EQ(store->Recover("muna")->last_index, 2u);
}

TEST(RocksStoreTest, ATruncationLeavesNothingBehind) {
  TempDir dir;
  TestLog log("tebo");
  {
    auto store = MustOpen(Options(dir.path()));
    ASSERT_OK(WriteOne(*store, log.Append({Control(RecordKind::kEpochStart, Reign("x")),
                                           From("pg", 1, Put("a", "b")), Put("a", "c")})));
    ASSERT_OK(WriteOne(*store, log.Append(Puts(14))));
    ASSERT_OK(WriteOne(*store, log.Truncate(5)));
    ASSERT_OK(WriteOne(*store, log.Truncate(0)));
  }
  Tamper(dir.path() + "/data", [](rocksdb::DB* db, const auto& family) {
    std::map<std::string, size_t> counts;
    for (const char* name : {"log", "tree", "positions", "items", "meta", "quarantine"}) {
      std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}, family(name)));
      for (it->SeekToFirst(); it->Valid(); it->Next()) ++counts[name];
    }
    // meta: format, node_uuid, born_us, the log's end and two quarantines.
    EXPECT_EQ(counts, (std::map<std::string, size_t>{{"meta", 6}, {"quarantine", 17}}));
  });
}

TEST(RocksStoreTest, CopiesOfAnInterruptedTruncationAreNeitherSeenNorInTheWay) {
  TempDir dir;
  TestLog log("tebo");
  ASSERT_OK(WriteOne(*MustOpen(Options(dir.path())), log.Append(Puts(9))));
  const std::vector<std::string> all = log.frames();
  Tamper(dir.path() + "/data", [&](rocksdb::DB* db, const auto& family) {
    for (uint64_t index = 2; index < 20; ++index) {
      ASSERT_TRUE(
          db->Put({}, family("quarantine"), keys::QuarantineKey("tebo", 1, index), all[0]).ok());
    }
  });
  auto store = MustOpen(Options(dir.path()));
  EXPECT_THAT(*store->Quarantines("tebo"), IsEmpty());
  EXPECT_EQ(store->QuarantinedFrames("tebo", 1, 2, 9).status().code(), Code::kNotFound);
  ASSERT_OK(WriteOne(*store, log.Truncate(5)));
  EXPECT_EQ(*store->QuarantinedFrames("tebo", 1, 0, SIZE_MAX),
            std::vector(all.begin() + 5, all.end()));
}

// ---- Reads during writes ----

TEST(RocksStoreTest, ReadersNeverSeeHalfAWrite) {
  TempDir dir;
  auto store = MustOpen(Options(dir.path()));
  TestLog log("tebo");
  ASSERT_OK(WriteOne(*store, log.Append(Puts(10))));
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  auto reader = [&] {
    while (!stop) {
      auto recovered = store->Recover("tebo");
      ASSERT_TRUE(recovered.ok()) << recovered.status().ToString();
      // Always ten plus as many tens as there were Writes, or fifteen just after a truncation.
      ASSERT_EQ(recovered->last_index % 5, 0u);
      auto batch = store->Read("tebo", 1, UINT64_MAX, SIZE_MAX);
      ASSERT_TRUE(batch.ok()) << batch.status().ToString();
      ASSERT_EQ(batch->frames.size() % 5, 0u);
      ASSERT_EQ(Items(*store, "tebo", "").size() % 5, 0u);
      ++reads;
    }
  };
  std::thread one(reader);
  std::thread two(reader);
  for (int i = 0; i < 60 || reads < 20; ++i) {
    if (testing::Test::HasFailure()) break;
    ASSERT_OK(WriteOne(*store, i % 10 == 9 ? log.Replace(5, Puts(10)) : log.Append(Puts(10))));
  }
  stop = true;
  one.join();
  two.join();
  EXPECT_GE(reads, 20u);
}

TEST(RocksStoreTest, CountsAndMeasures) {
  TempDir dir;
  auto store = MustOpen(Options(dir.path()));
  TestLog log("tebo");
  ASSERT_OK(WriteOne(*store, log.Append(Puts(3))));
  const RocksStats stats = store->Stats();
  EXPECT_EQ(stats.writes, 1u);
  EXPECT_GT(stats.write_bytes, 3 * log.frames()[0].size());
  EXPECT_GT(stats.write_us, 0u);
  EXPECT_GT(stats.disk_bytes, stats.write_bytes);
  EXPECT_GT(*store->FreeBytes(), 0u);
}

}  // namespace
}  // namespace kembar
