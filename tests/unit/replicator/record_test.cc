// record_test.cc — the frame is a contract between sites and versions: its bytes are fixed here.
#include "replicator/log/record.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "replicator/base/bytes.h"

namespace kembar {
namespace {

Record Sample() {
  Record record;
  record.index = 7;
  record.epoch = 2;
  record.time_us = 0x0102030405060708;
  record.kind = RecordKind::kPut;
  record.batch_end = true;
  record.source = "pg";
  record.position = 300;
  record.package = "tender/2612639";
  record.item = "row/1";
  record.title = "Jalan";
  record.value = "1.50";
  record.payload = std::string("\0\xff", 2);
  return record;
}

void ExpectSame(const Record& a, const Record& b) {
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.time_us, b.time_us);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.batch_end, b.batch_end);
  EXPECT_EQ(a.source, b.source);
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.package, b.package);
  EXPECT_EQ(a.item, b.item);
  EXPECT_EQ(a.title, b.title);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.payload, b.payload);
}

constexpr size_t kKindAt = 25;
constexpr size_t kFlagsAt = 26;

TEST(Frame, HasTheseBytes) {
  EXPECT_EQ(ToHex(EncodeRecord(Sample())),
            "01"                // version
            "0700000000000000"  // index
            "0200000000000000"  // epoch
            "0807060504030201"  // time
            "01"
            "01"      // kind, flags: batch end
            "ac02"    // position
            "027067"  // source
            "0e"
            "74656e6465722f32363132363339"  // package
            "05"
            "726f772f31"  // item
            "05"
            "4a616c616e"  // title
            "04"
            "312e3530"  // value
            "02"
            "00ff");  // payload
}

TEST(Frame, RoundTrips) {
  std::mt19937_64 random(20190708);
  auto text = [&random](size_t bytes_max) {
    std::string out(random() % (bytes_max + 1), '\0');
    for (char& c : out) c = static_cast<char>(random() & 0xff);
    return out;
  };
  for (int i = 0; i < 500; ++i) {
    Record record;
    record.index = (random() >> (random() % 64)) | 1;
    record.epoch = random() >> (random() % 64);
    record.time_us = static_cast<int64_t>(random());
    record.kind = static_cast<RecordKind>(1 + random() % 255);
    record.batch_end = random() % 2 == 0;
    record.source = text(20);
    record.position = random() >> (random() % 64);
    record.package = text(kNameBytesMax);
    record.item = text(200);
    record.title = text(200);
    record.value = text(20);
    if (random() % 2 == 0) record.unit = text(200);
    record.payload = text(3000);
    std::string frame = EncodeRecord(record);
    Result<Record> back = DecodeRecord(frame);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    ExpectSame(*back, record);
    Result<FrameHeader> peek = PeekFrame(frame);
    ASSERT_TRUE(peek.ok());
    EXPECT_EQ(peek->index, record.index);
    EXPECT_EQ(peek->epoch, record.epoch);
    EXPECT_EQ(peek->kind, record.kind);
    EXPECT_EQ(peek->batch_end, record.batch_end);
    EXPECT_EQ(peek->position, record.position);
    EXPECT_EQ(peek->source, record.source);
  }
}

TEST(Frame, TakesKindsOfLaterVersions) {
  std::string frame = EncodeRecord(Sample());
  frame[kKindAt] = 99;
  Result<Record> record = DecodeRecord(frame);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(static_cast<int>(record->kind), 99);
  EXPECT_EQ(EncodeRecord(*record), frame);
}

TEST(Frame, IsOfTheVersionBeforeUnitsWhereThereIsNone) {
  Record record = Sample();
  record.unit.clear();
  EXPECT_EQ(EncodeRecord(record)[0], 1);
  record.unit = "Dinas PUPR";
  std::string frame = EncodeRecord(record);
  EXPECT_EQ(frame[0], 2);
  EXPECT_EQ(DecodeRecord(frame)->unit, "Dinas PUPR");
  // Version 2 without one would be a second frame of the same record.
  frame.replace(frame.find("Dinas PUPR") - 1, 11, 1, '\0');
  EXPECT_EQ(DecodeRecord(frame).status().code(), Code::kCorrupt);
}

TEST(Frame, TakesTheLargestFields) {
  Record record = Sample();
  record.title = std::string(kNameBytesMax, 't');
  record.payload = std::string(kPayloadBytesMax, 'p');
  Result<Record> back = DecodeRecord(EncodeRecord(record));
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->payload.size(), kPayloadBytesMax);
}

void ExpectCorrupt(std::string_view frame, std::string_view why) {
  Status status = DecodeRecord(frame).status();
  EXPECT_EQ(status.code(), Code::kCorrupt) << why;
  EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
}

TEST(Frame, RefusesEveryTruncation) {
  std::string frame = EncodeRecord(Sample());
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_EQ(DecodeRecord(frame.substr(0, size)).status().code(), Code::kCorrupt) << size;
  }
  ExpectCorrupt(frame + '\0', "after the end");
}

TEST(Frame, RefusesWhatItDoesNotKnow) {
  const std::string good = EncodeRecord(Sample());
  auto with = [&good](size_t at, char byte) {
    std::string frame = good;
    frame[at] = byte;
    return frame;
  };
  ExpectCorrupt("", "empty");
  ExpectCorrupt(with(0, 3), "unknown version 3");
  ExpectCorrupt(with(0, 0), "unknown version 0");
  ExpectCorrupt(with(1, 0), "index 0");
  ExpectCorrupt(with(kKindAt, 0), "kind 0");
  ExpectCorrupt(with(kFlagsAt, 2), "unknown flags 2");
  EXPECT_EQ(PeekFrame(with(0, 3)).status().code(), Code::kCorrupt);
  EXPECT_EQ(PeekFrame(with(kFlagsAt, 2)).status().code(), Code::kCorrupt);
  EXPECT_EQ(PeekFrame(good.substr(0, kFlagsAt)).status().code(), Code::kCorrupt);
}

TEST(Frame, RefusesFieldsBeyondTheLimits) {
  // The same layout by hand: EncodeRecord itself would not write these.
  auto frame = [](size_t field, size_t size) {
    std::string out = EncodeRecord(Sample()).substr(0, kFlagsAt + 1);
    ByteWriter writer(&out);
    writer.Varint(1);
    for (size_t i = 0; i < 6; ++i) writer.Str(i == field ? std::string(size, 'x') : "");
    return out;
  };
  const char* const names[] = {"source", "package", "item", "title", "value"};
  for (size_t field = 0; field < 5; ++field) {
    EXPECT_TRUE(DecodeRecord(frame(field, kNameBytesMax)).ok());
    ExpectCorrupt(frame(field, kNameBytesMax + 1), std::string(names[field]) + " too long");
  }
  ExpectCorrupt(frame(5, kPayloadBytesMax + 1), "payload too long");
}

TEST(FrameDeathTest, EncodeChecksWhatDecodeRefuses) {
  Record record = Sample();
  record.index = 0;
  EXPECT_DEATH(EncodeRecord(record), "record.index > 0");
  record = Sample();
  record.item = std::string(kNameBytesMax + 1, 'x');
  EXPECT_DEATH(EncodeRecord(record), "kNameBytesMax");
}

TEST(RecordKind, OnlyEpochStartAndConfigAreControl) {
  for (int kind = 0; kind < 256; ++kind) {
    EXPECT_EQ(IsControl(static_cast<RecordKind>(kind)), kind == 16 || kind == 17) << kind;
  }
}

Draft GoodDraft() {
  return {.kind = RecordKind::kPut,
          .package = "tender/2612639",
          .item = "dokumen/Penawaran – PT Maju.pdf",
          .title = "Peningkatan Jalan",
          .value = "50000000000.25",
          .payload = std::string("\0\xff\x80", 3)};
}

Status Validate(const std::function<void(Draft*)>& change) {
  Draft draft = GoodDraft();
  change(&draft);
  return ValidateDraft(draft);
}

void ExpectInvalid(std::string_view field, const std::function<void(Draft*)>& change) {
  Status status = Validate(change);
  EXPECT_EQ(status.code(), Code::kInvalid) << field;
  EXPECT_TRUE(status.message().starts_with(field)) << status.message();
}

TEST(ValidateDraft, TakesWhatSourcesSend) {
  EXPECT_TRUE(ValidateDraft(GoodDraft()).ok());
  EXPECT_TRUE(Validate([](Draft* d) { d->kind = RecordKind::kDelete; }).ok());
  EXPECT_TRUE(Validate([](Draft* d) { d->kind = RecordKind::kNote; }).ok());
  EXPECT_TRUE(Validate([](Draft* d) { d->package = kNoPackage; }).ok());
  EXPECT_TRUE(Validate([](Draft* d) { d->item = std::string(kNameBytesMax, 'i'); }).ok());
  EXPECT_TRUE(Validate([](Draft* d) { d->item = "\xf0\x9f\x93\x84"; }).ok());
  EXPECT_TRUE(Validate([](Draft* d) { d->payload.assign(kPayloadBytesMax, 'p'); }).ok());
}

TEST(ValidateDraft, RefusesNamesThatCannotBeNames) {
  ExpectInvalid("package", [](Draft* d) { d->package = ""; });
  ExpectInvalid("item", [](Draft* d) { d->item = ""; });
  ExpectInvalid("package", [](Draft* d) { d->package.assign(kNameBytesMax + 1, 'x'); });
  ExpectInvalid("item", [](Draft* d) { d->item = std::string("a\0b", 3); });
  ExpectInvalid("package", [](Draft* d) { d->package = "a\nb"; });
  ExpectInvalid("package", [](Draft* d) { d->package = "a\x7f"; });
  ExpectInvalid("item", [](Draft* d) { d->item = "a\xc2\x9bZ"; });  // CSI: moves a terminal
  ExpectInvalid("title", [](Draft* d) { d->title.assign(kNameBytesMax + 1, 'x'); });
}

TEST(ValidateDraft, RefusesWhatIsNotUtf8) {
  for (const char* text :
       {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf0\x80\x80\xaf",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "caf\xe9", "\xff"}) {
    ExpectInvalid("package", [text](Draft* d) { d->package = text; });
    ExpectInvalid("item", [text](Draft* d) { d->item = text; });
    ExpectInvalid("title", [text](Draft* d) { d->title = text; });
  }
  ExpectInvalid("value", [](Draft* d) { d->value = "\xff"; });
}

TEST(ValidateDraft, TakesExactDecimalsOnly) {
  for (const char* value : {"", "0", "-1", "200000000", "0.5", "-12.345", "007"}) {
    EXPECT_TRUE(Validate([value](Draft* d) { d->value = value; }).ok()) << value;
  }
  for (const char* value : {"-", ".", "1.", ".5", "1e9", "+1", "1,5", "1.2.3", " 1", "1 ", "Rp1",
                            "--1", "0x1", "NaN"}) {
    ExpectInvalid("value", [value](Draft* d) { d->value = value; });
  }
}

TEST(ValidateDraft, RefusesControlKindsAndLargePayloads) {
  for (auto kind : {RecordKind::kEpochStart, RecordKind::kConfig, static_cast<RecordKind>(0),
                    static_cast<RecordKind>(3)}) {
    ExpectInvalid("kind", [kind](Draft* d) { d->kind = kind; });
  }
  ExpectInvalid("payload", [](Draft* d) { d->payload.assign(kPayloadBytesMax + 1, 'p'); });
}

}  // namespace
}  // namespace kembar
