// hard_state_test.cc — the bytes of HardState are on disk: fixed here.
#include <gtest/gtest.h>

#include "replicator/base/bytes.h"
#include "replicator/log/store.h"

namespace kembar {
namespace {

HardState SampleHardState() {
  return {.promised_epoch = 3,
          .promised_to = "jambi",
          .seen_epoch = 2,
          .commit_index = 300,
          .must_reach = 299,
          .alarm = "",
          .acked_by = {{"bungo", 1}, {"jambi", 300}}};
}

TEST(HardState, HasTheseBytes) {
  EXPECT_EQ(ToHex(EncodeHardState(SampleHardState())),
            "01"                              // version
            "0300000000000000056a616d6269"    // promised
            "0200000000000000"                // seen epoch
            "2c01000000000000"                // commit index
            "2b01000000000000"                // must reach
            "00"                              // alarm
            "02"                              // peers
            "0562756e676f0100000000000000"    // bungo
            "056a616d62692c01000000000000");  // jambi
}

TEST(HardState, RoundTrips) {
  EXPECT_EQ(*DecodeHardState(EncodeHardState(HardState{})), HardState{});
  HardState state = SampleHardState();
  state.alarm = std::string("differs at\n\0 7", 14);
  EXPECT_EQ(*DecodeHardState(EncodeHardState(state)), state);
}

TEST(HardState, AlarmIndexTakesVersion2AndOnlyThen) {
  HardState state = SampleHardState();
  state.alarm = "differs";
  EXPECT_EQ(EncodeHardState(state)[0], 1);
  state.alarm_index = 12;
  const std::string bytes = EncodeHardState(state);
  EXPECT_EQ(bytes[0], 2);
  EXPECT_EQ(*DecodeHardState(bytes), state);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeHardState(bytes.substr(0, size)).status().code(), Code::kCorrupt) << size;
  }
}

TEST(HardState, RefusesWhatItCannotKeep) {
  std::string good = EncodeHardState(SampleHardState());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(DecodeHardState(good.substr(0, size)).status().code(), Code::kCorrupt) << size;
  }
  EXPECT_EQ(DecodeHardState(good + "x").status().code(), Code::kCorrupt);
  std::string later = good;
  later[0] = 3;
  EXPECT_NE(DecodeHardState(later).status().message().find("version 3"), std::string::npos);
  std::string disordered = good;
  disordered[good.size() - 9 - 4] = 'a';  // jambi becomes aambi
  EXPECT_EQ(DecodeHardState(disordered).status().code(), Code::kCorrupt) << ToHex(disordered);
  std::string many = good.substr(0, good.size() - 29);
  ByteWriter(&many).Varint(~uint64_t{0});  // must not try to take that many
  EXPECT_EQ(DecodeHardState(many).status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace kembar
