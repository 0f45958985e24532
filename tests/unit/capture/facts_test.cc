// facts_test.cc — table shapes, markers and sequences: exact bytes, round trips, strange bytes.
#include "tools/capture/facts.h"

#include <gtest/gtest.h>

#include <limits>

namespace kembar::capture {
namespace {

TEST(Lsn, IsShownAsTheServerDoes) {
  EXPECT_EQ(FormatLsn(0), "0/0");
  EXPECT_EQ(FormatLsn(0x16B3748), "0/16B3748");
  EXPECT_EQ(FormatLsn(0xFFFFFFFF00000001), "FFFFFFFF/1");
  for (const Lsn lsn : {Lsn{0}, Lsn{0x16B3748}, Lsn{1} << 32, std::numeric_limits<Lsn>::max()}) {
    EXPECT_EQ(*ParseLsn(FormatLsn(lsn)), lsn);
  }
  EXPECT_EQ(*ParseLsn("a/00ff"), (Lsn{10} << 32) + 255);
  for (const char* bad :
       {"", "/", "0", "0/", "/0", "0/x", "-1/0", "0/0x1", "100000000/0", "0/0/0", " 0/0", "0/0 "}) {
    EXPECT_EQ(ParseLsn(bad).status().code(), Code::kInvalid) << bad;
  }
}

TableShape Paket() {
  return {.name = {"public", "paket_2026"},
          .root = {"public", "paket"},
          .columns = {{"pkt_id", "bigint", false},
                      {"pkt_nama", "character varying(120)", false},
                      {"cari \"x\"", "tsvector", true}},
          .key = {"pkt_id"}};
}

TEST(Table, HasExactBytes) {
  EXPECT_EQ(EncodeTable(Paket()),
            R"({"schema":"public","table":"paket_2026",)"
            R"("root":{"schema":"public","table":"paket"},"columns":[)"
            R"({"name":"pkt_id","type":"bigint"},)"
            R"~({"name":"pkt_nama","type":"character varying(120)"},)~"
            R"({"name":"cari \"x\"","type":"tsvector","generated":true}],"key":["pkt_id"]})");
}

TEST(Table, RoundTrips) {
  TableShape table = Paket();
  EXPECT_EQ(*DecodeTable(EncodeTable(table)), table);
  table.root = table.name;
  EXPECT_EQ(*DecodeTable(EncodeTable(table)), table);
  EXPECT_EQ(EncodeTable(table).find("root"), std::string::npos);
  table.columns.clear();
  table.key.clear();
  EXPECT_EQ(*DecodeTable(EncodeTable(table)), table);
}

TEST(Table, IgnoresWhatItDoesNotKnow) {
  const auto table = DecodeTable(
      R"({"v":2,"schema":"a","table":"b","columns":[{"name":"c","type":"t","x":[]}],"key":[]})");
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  EXPECT_EQ(table->root, table->name);
  EXPECT_EQ(table->columns.size(), 1u);
}

TEST(Table, RefusesStrangeBytes) {
  for (const char* bad :
       {"", "{}", "[]", "nul", R"({"schema":"a","table":"b"})",
        R"({"schema":1,"table":"b","columns":[],"key":[]})",
        R"({"schema":"a","table":"b","columns":{},"key":[]})",
        R"({"schema":"a","table":"b","columns":["x"],"key":[]})",
        R"({"schema":"a","table":"b","columns":[{"name":"x"}],"key":[]})",
        R"({"schema":"a","table":"b","columns":[],"key":[1]})",
        R"({"schema":"a","table":"b","root":"c.d","columns":[],"key":[]})",
        R"({"schema":"a","table":"b","root":{"schema":"c"},"columns":[],"key":[]})",
        R"({"schema":"a","table":"b","columns":[{"name":"x","type":"y","generated":1}],"key":[]})",
        "{\"schema\":\"\xff\",\"table\":\"b\",\"columns\":[],\"key\":[]}"}) {
    EXPECT_EQ(DecodeTable(bad).status().code(), Code::kCorrupt) << bad;
  }
}

// The example of docs/capture.md.
TEST(Marker, HasExactBytes) {
  const Marker marker{.lsn = 0x16B3748,
                      .xid = 741,
                      .committed_us = 1'795'489'200'123'456,
                      .changes = 4,
                      .part = 1,
                      .last = true};
  EXPECT_EQ(EncodeMarker(marker),
            R"({"lsn":"0/16B3748","xid":741,"committed":"2026-11-24T10:00:00.123456+07:00",)"
            R"("changes":4,"part":1,"last":true})");
  EXPECT_EQ(*DecodeMarker(EncodeMarker(marker)), marker);
}

TEST(Marker, RoundTripsAtItsLimits) {
  Marker marker{.lsn = std::numeric_limits<Lsn>::max(),
                .xid = UINT32_MAX,
                .committed_us = -1,
                .changes = UINT64_MAX,
                .part = UINT64_MAX,
                .last = false};
  EXPECT_EQ(*DecodeMarker(EncodeMarker(marker)), marker);
  for (const int64_t us : {int64_t{1}, int64_t{-25'201'000'000}, int64_t{951'782'400'000'000},
                           int64_t{253'402'275'599'999'999}, int64_t{-62'135'596'800'000'000}}) {
    marker.committed_us = us;
    EXPECT_EQ(DecodeMarker(EncodeMarker(marker))->committed_us, us);
  }
  for (const int64_t us : {int64_t{0}, INT64_MIN, INT64_MAX, int64_t{253'402'300'800'000'000}}) {
    marker.committed_us = us;  // a time that has no four-digit year is unknown
    EXPECT_NE(EncodeMarker(marker).find("\"committed\":null"), std::string::npos);
    EXPECT_EQ(DecodeMarker(EncodeMarker(marker))->committed_us, 0);
  }
}

std::string WithTime(const std::string& time) {
  return R"({"lsn":"0/1","xid":0,"committed":")" + time + R"(","changes":0,"part":1,"last":true})";
}

TEST(Marker, ReadsOtherZones) {
  for (const char* time : {"2026-11-24T10:00:00.123456+07:00", "2026-11-24T03:00:00.123456+00:00",
                           "2026-11-23T17:30:00.123456-09:30"}) {
    const auto marker = DecodeMarker(WithTime(time));
    ASSERT_TRUE(marker.ok()) << time;
    EXPECT_EQ(marker->committed_us, 1'795'489'200'123'456) << time;
  }
}

TEST(Marker, RefusesStrangeBytes) {
  for (const char* time : {"", "now", "2026-11-24", "2026-13-24T10:00:00.123456+07:00",
                           "2026-02-29T10:00:00.123456+07:00", "2026-11-24T24:00:00.123456+07:00",
                           "2026-11-24T10:60:00.123456+07:00", "2026-11-24 10:00:00.123456+07:00",
                           "2026-11-24T10:00:00.12345x+07:00", "2026-11-24T10:00:00.123456x07:00",
                           "2026-11-24T10:00:00.123456+99:00"}) {
    EXPECT_EQ(DecodeMarker(WithTime(time)).status().code(), Code::kCorrupt) << time;
  }
  for (const char* bad :
       {"", "{}", "{\"lsn\":\"0/1\"}",
        R"({"lsn":1,"xid":0,"committed":null,"changes":0,"part":1,"last":true})",
        R"({"lsn":"x","xid":0,"committed":null,"changes":0,"part":1,"last":true})",
        R"({"lsn":"0/1","xid":-1,"committed":null,"changes":0,"part":1,"last":true})",
        R"({"lsn":"0/1","xid":4294967296,"committed":null,"changes":0,"part":1,"last":true})",
        R"({"lsn":"0/1","xid":0,"committed":7,"changes":0,"part":1,"last":true})",
        R"({"lsn":"0/1","xid":0,"committed":null,"changes":1.5,"part":1,"last":true})",
        R"({"lsn":"0/1","xid":0,"committed":null,"changes":0,"part":"1","last":true})",
        R"({"lsn":"0/1","xid":0,"committed":null,"changes":0,"part":1,"last":1})"}) {
    EXPECT_EQ(DecodeMarker(bad).status().code(), Code::kCorrupt) << bad;
  }
}

TEST(Sequence, RoundTrips) {
  const SequenceState state{"-9223372036854775808", true};
  EXPECT_EQ(EncodeSequence(state), R"({"last_value":"-9223372036854775808","is_called":true})");
  EXPECT_EQ(*DecodeSequence(EncodeSequence(state)), state);
  for (const char* bad :
       {"", "{}", R"({"last_value":1,"is_called":true})", R"({"last_value":"","is_called":true})",
        R"({"last_value":"-","is_called":true})", R"({"last_value":"1.5","is_called":true})",
        R"({"last_value":"1; DROP TABLE x","is_called":true})", R"({"last_value":"1"})",
        R"({"last_value":"1","is_called":"t"})"}) {
    EXPECT_EQ(DecodeSequence(bad).status().code(), Code::kCorrupt) << bad;
  }
}

TEST(Facts, DeepNestingIsNoDanger) {
  const std::string deep = std::string(200'000, '[');
  EXPECT_FALSE(DecodeMarker(deep).ok());
  EXPECT_FALSE(DecodeTable("{\"columns\":" + deep).ok());
  EXPECT_FALSE(DecodeTable("{\"x\":" + deep + std::string(200'000, ']') + "}").ok());
}

}  // namespace
}  // namespace kembar::capture
