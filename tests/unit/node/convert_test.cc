// convert_test.cc — structs survive the wire, and whatever else comes over it is refused by name.
#include "node/rpc/convert.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "kembar/v1/admin.pb.h"
#include "kembar/v1/log.pb.h"
#include "kembar/v1/replication.pb.h"
#include "node/blob/holdings.h"

namespace kembar {
namespace {

using ::testing::HasSubstr;

Digest DigestOf(const std::string& text) { return Sha256({text}); }

SharedBatch MakeBatch(uint64_t first, const std::vector<std::string>& payloads) {
  auto batch = std::make_shared<FrameBatch>();
  batch->first_index = first;
  for (const std::string& payload : payloads) {
    batch->frames.push_back(
        EncodeRecord({.index = first + batch->frames.size(), .epoch = 7, .payload = payload}));
    batch->bytes += batch->frames.back().size();
  }
  batch->prev_root = DigestOf("before");
  batch->root = DigestOf("after");
  return batch;
}

EpochHistory History() { return EpochHistory({{1, 1, "tebo", false}, {3, 9, "jambi", true}}); }

Result<Message> RoundTrip(const Message& in, size_t compress_from = 0) {
  v1::LinkMessage wire;
  ToProto("log", in, compress_from, &wire);
  EXPECT_EQ(wire.log(), "log");
  v1::LinkMessage parsed;
  EXPECT_TRUE(parsed.ParseFromString(wire.SerializeAsString()));
  return MessageFromProto(&parsed);
}

v1::LinkMessage EntriesWire(size_t compress_from, const std::vector<std::string>& payloads) {
  Entries entries;
  entries.batch = MakeBatch(5, payloads);
  v1::LinkMessage wire;
  ToProto("log", entries, compress_from, &wire);
  return wire;
}

TEST(ConvertLink, SmallMessagesSurvive) {
  const Heartbeat beat{.epoch = 3,
                       .primary = "jambi",
                       .primary_address = "j:1",
                       .log_uuid = "u",
                       .seq = 4,
                       .history = History(),
                       .last_index = 12,
                       .commit_index = 11,
                       .wall_us = -5,
                       .probe_index = 9,
                       .probe_root = DigestOf("p"),
                       .peer_acked = 8};
  auto got = RoundTrip(beat);
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  const auto& h = std::get<Heartbeat>(*got);
  EXPECT_EQ(std::tie(h.epoch, h.primary, h.primary_address, h.log_uuid, h.seq, h.last_index,
                     h.commit_index, h.wall_us, h.probe_index, h.probe_root, h.peer_acked),
            std::tie(beat.epoch, beat.primary, beat.primary_address, beat.log_uuid, beat.seq,
                     beat.last_index, beat.commit_index, beat.wall_us, beat.probe_index,
                     beat.probe_root, beat.peer_acked));
  EXPECT_EQ(h.history, beat.history);

  const Position position{.epoch = 3,
                          .seq = 4,
                          .log_uuid = "u",
                          .history = History(),
                          .received_index = 12,
                          .durable_index = 11,
                          .durable_root = DigestOf("d"),
                          .commit_index = 10,
                          .probe_index = 9,
                          .probe_match = true,
                          .busy = true};
  got = RoundTrip(position);
  ASSERT_TRUE(got.ok());
  const auto& p = std::get<Position>(*got);
  EXPECT_EQ(std::tie(p.epoch, p.seq, p.log_uuid, p.received_index, p.durable_index, p.durable_root,
                     p.commit_index, p.probe_index, p.probe_match, p.busy),
            std::tie(position.epoch, position.seq, position.log_uuid, position.received_index,
                     position.durable_index, position.durable_root, position.commit_index,
                     position.probe_index, position.probe_match, position.busy));
  EXPECT_EQ(p.history, position.history);

  got = RoundTrip(Ack{.epoch = 1, .durable_index = 2, .durable_root = DigestOf("a")});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::get<Ack>(*got).durable_root, DigestOf("a"));

  got = RoundTrip(Refusal{Refusal::Why::kDiverged, 5, "jambi", 17, "differs"});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::get<Refusal>(*got).why, Refusal::Why::kDiverged);
  EXPECT_EQ(std::get<Refusal>(*got).index, 17u);
  EXPECT_EQ(std::get<Refusal>(*got).text, "differs");
}

TEST(ConvertLink, WhatANodeHoldsSurvives) {
  const Holding holding{.known_to = 900, .epoch = 7, .missing = {3, 4, 900}};
  v1::LinkMessage wire, parsed;
  ToProto("log", holding, &wire);
  ASSERT_TRUE(parsed.ParseFromString(wire.SerializeAsString()));
  EXPECT_EQ(parsed.log(), "log");
  const auto got = HoldingFromProto(parsed);
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  EXPECT_EQ(*got, holding);
  // A node that does not know the message passes over it.
  EXPECT_EQ(MessageFromProto(&parsed).status().code(), Code::kUnimplemented);
  const auto refused = [&wire](std::vector<uint64_t> missing) {
    wire.mutable_blob_holding()->mutable_missing()->Assign(missing.begin(), missing.end());
    return HoldingFromProto(wire).status().code() == Code::kInvalid;
  };
  EXPECT_FALSE(refused({}));
  EXPECT_TRUE(refused({3, 3}));
  EXPECT_TRUE(refused({4, 3}));
  EXPECT_TRUE(refused({901}));
  std::vector<uint64_t> many(kHoldingMissingMax + 1);
  std::iota(many.begin(), many.end(), 1);
  wire.mutable_blob_holding()->set_known_to(many.size());
  EXPECT_TRUE(refused(many));
  many.pop_back();
  EXPECT_FALSE(refused(many));
  wire.clear_log();
  EXPECT_TRUE(refused({}));
}

TEST(ConvertLink, EntriesSurvivePlainAndCompressed) {
  const std::vector<std::string> payloads = {std::string(100'000, 'a'), "b", ""};
  for (size_t compress_from : {size_t{0}, size_t{1024}}) {
    const v1::LinkMessage wire = EntriesWire(compress_from, payloads);
    EXPECT_EQ(wire.entries().frames_zstd().empty(), compress_from == 0);
    v1::LinkMessage copy = wire;
    auto got = MessageFromProto(&copy);
    ASSERT_TRUE(got.ok()) << got.status().ToString();
    const FrameBatch& batch = *std::get<Entries>(*got).batch;
    const SharedBatch sent = MakeBatch(5, payloads);
    EXPECT_EQ(batch.first_index, 5u);
    EXPECT_EQ(batch.frames, sent->frames);
    EXPECT_EQ(batch.bytes, sent->bytes);
    EXPECT_EQ(batch.prev_root, sent->prev_root);
    EXPECT_EQ(batch.root, sent->root);
  }
}

TEST(ConvertLink, WhatDoesNotCompressGoesPlain) {
  std::mt19937_64 random(1);
  std::string noise(200'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  EXPECT_TRUE(EntriesWire(1024, {noise}).entries().frames_zstd().empty());
}

TEST(ConvertLink, MalformedMessagesAreRefusedByName) {
  const auto refused = [](v1::LinkMessage wire, const char* field) {
    auto got = MessageFromProto(&wire);
    ASSERT_FALSE(got.ok()) << field;
    EXPECT_THAT(got.status().message(), HasSubstr(field));
  };
  v1::LinkMessage wire = EntriesWire(0, {"a", "b"});
  auto broken = wire;
  broken.clear_log();
  refused(broken, "log");
  broken = wire;
  broken.mutable_entries()->set_root("short");
  refused(broken, "root");
  broken = wire;
  broken.mutable_entries()->clear_frames();
  refused(broken, "frames");
  broken = wire;
  broken.mutable_entries()->add_frames("");
  refused(broken, "frames");
  broken = wire;
  broken.mutable_entries()->set_first_index(0);
  refused(broken, "first_index");
  broken = wire;
  broken.mutable_entries()->set_first_index(UINT64_MAX - 1);
  refused(broken, "first_index");
  broken = wire;
  for (int i = 0; i < 2; ++i) broken.mutable_entries()->add_history()->set_epoch(4);
  refused(broken, "history");
  broken = wire;
  broken.mutable_entries()->set_frames_zstd("x");
  refused(broken, "only one");
  broken = wire;
  broken.mutable_ack()->set_durable_root("");
  refused(broken, "durable_root");
  broken = wire;
  broken.mutable_refusal()->set_why(9);
  refused(broken, "why");
  broken = wire;
  broken.clear_body();
  refused(broken, "body");
}

TEST(ConvertLink, MalformedCompressionIsRefused) {
  const v1::LinkMessage wire = EntriesWire(1024, {std::string(100'000, 'a')});
  ASSERT_FALSE(wire.entries().frames_zstd().empty());
  const auto code = [](v1::LinkMessage message) {
    return MessageFromProto(&message).status().code();
  };
  auto broken = wire;
  broken.mutable_entries()->set_frames_bytes(kEntriesBytesMax + 1);  // a bomb by its own word
  EXPECT_EQ(code(broken), Code::kInvalid);
  broken.mutable_entries()->set_frames_bytes(50);
  EXPECT_EQ(code(broken), Code::kCorrupt);
  broken = wire;
  broken.mutable_entries()->mutable_frames_zstd()->pop_back();
  EXPECT_EQ(code(broken), Code::kCorrupt);
  broken.mutable_entries()->set_frames_zstd("not zstd");
  EXPECT_EQ(code(broken), Code::kCorrupt);
  // Every damaged byte gives a value or a Status, never a crash.
  const std::string good = wire.entries().frames_zstd();
  for (size_t i = 0; i < good.size(); ++i) {
    broken = wire;
    (*broken.mutable_entries()->mutable_frames_zstd())[i] ^= static_cast<char>(0x41);
    (void)MessageFromProto(&broken);
  }
}

TEST(ConvertLink, RandomBytesNeverCrash) {
  const google::protobuf::LogSilencer quiet;  // it tells of every string that is not UTF-8
  std::mt19937_64 random(2);
  const std::string good = EntriesWire(1024, {std::string(2'000, 'a')}).SerializeAsString();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (int flips = 0; flips < 3; ++flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    v1::LinkMessage wire;
    if (wire.ParseFromString(bytes)) (void)MessageFromProto(&wire);
  }
}

TEST(ConvertLog, AppendRequest) {
  v1::AppendRequest in;
  in.set_source("uji");
  in.set_position(9);
  in.set_after_position(8);
  v1::Draft* draft = in.add_drafts();
  draft->set_kind(v1::RECORD_KIND_DELETE);
  draft->set_item("i");
  draft->set_payload("p");
  AppendRequest out;
  ASSERT_TRUE(FromProto(in, &out).ok());
  EXPECT_EQ(out.after_position, 8u);
  EXPECT_EQ(out.drafts.at(0).package, "-");
  EXPECT_EQ(out.drafts.at(0).kind, RecordKind::kDelete);
  in.set_after_position(9);
  EXPECT_THAT(FromProto(in, &out).message(), HasSubstr("after_position"));
  in.clear_after_position();
  in.add_drafts()->set_kind(v1::RECORD_KIND_CONFIG);
  EXPECT_THAT(FromProto(in, &out).message(), HasSubstr("drafts[1]: kind"));
}

TEST(ConvertLog, RecordsAndUnknownKinds) {
  Record record{.index = 3,
                .epoch = 2,
                .time_us = 5,
                .kind = static_cast<RecordKind>(77),
                .source = "s",
                .position = 4,
                .package = "p",
                .item = "i",
                .title = "t",
                .value = "1.50",
                .payload = "x"};
  v1::Record out;
  ASSERT_TRUE(FrameToProto(EncodeRecord(record), true, &out).ok());
  EXPECT_EQ(static_cast<int>(out.kind()), 77);
  EXPECT_EQ(out.value(), "1.50");
  EXPECT_EQ(out.frame(), EncodeRecord(record));
  EXPECT_EQ(FrameToProto("rubbish", false, &out).code(), Code::kCorrupt);
}

TEST(ConvertAdmin, ConfigAndControl) {
  ControlState state;
  state.log_uuid = "u";
  state.primary = "tebo";
  state.config.members = {{"tebo", "t:1"}, {"jambi", "j:1"}};
  state.config.left_out = {{"muaro", ""}};
  state.config.mode = Mode::kMaxAvailability;
  state.config.solo = true;
  state.lossy = true;
  state.reason = "r";
  state.actor = "a";
  state.known = "k";
  v1::ControlState wire;
  ToProto(state, &wire);
  ControlState back;
  ASSERT_TRUE(FromProto(wire, &back).ok());
  EXPECT_EQ(back, state);
  wire.mutable_config()->set_mode(v1::MODE_UNSPECIFIED);
  EXPECT_THAT(FromProto(wire, &back).message(), HasSubstr("config: mode"));
  wire.mutable_config()->set_mode(v1::MODE_MAX_PROTECTION);
  wire.mutable_config()->mutable_members(1)->set_name("tebo");
  EXPECT_EQ(FromProto(wire, &back).code(), Code::kInvalid);
}

}  // namespace
}  // namespace kembar
