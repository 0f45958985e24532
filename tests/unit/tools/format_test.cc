// format_test.cc — what people see: exact money, times with their zone, tables that fit, clean
// bars.
#include "tools/kembarctl/format.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <limits>

namespace kembar {
namespace {

// Sets TZ for one test.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* old = std::getenv("TZ")) old_ = old;
    setenv("TZ", name, 1);
    tzset();
  }
  ~Zone() {
    old_.empty() ? unsetenv("TZ") : setenv("TZ", old_.c_str(), 1);
    tzset();
  }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  std::string old_;
};

// A zone rule that needs no zone files: what Asia/Jakarta is.
constexpr char kJakarta[] = "WIB-7";

TEST(FormatRupiah, GroupsAsIndonesiansWrite) {
  EXPECT_EQ(FormatRupiah("1234567890"), "Rp 1.234.567.890,00");
  EXPECT_EQ(FormatRupiah("999995334.78"), "Rp 999.995.334,78");
  EXPECT_EQ(FormatRupiah("899369196.4"), "Rp 899.369.196,40");
  EXPECT_EQ(FormatRupiah("0"), "Rp 0,00");
  EXPECT_EQ(FormatRupiah("1"), "Rp 1,00");
  EXPECT_EQ(FormatRupiah("100"), "Rp 100,00");
  EXPECT_EQ(FormatRupiah("1000"), "Rp 1.000,00");
  EXPECT_EQ(FormatRupiah("0001000"), "Rp 1.000,00");
  EXPECT_EQ(FormatRupiah("-1500.5"), "-Rp 1.500,50");
  EXPECT_EQ(FormatRupiah("123456789012345678901234567.05"),
            "Rp 123.456.789.012.345.678.901.234.567,05");
}

TEST(FormatRupiah, NeitherRoundsNorInvents) {
  EXPECT_EQ(FormatRupiah("1.005"), "Rp 1,005");
  EXPECT_EQ(FormatRupiah("1.999000"), "Rp 1,999");
  EXPECT_EQ(FormatRupiah("1.5000"), "Rp 1,50");
  EXPECT_EQ(FormatRupiah(""), "-");
  EXPECT_EQ(FormatRupiah("1e9"), "1e9");
  EXPECT_EQ(FormatRupiah("1."), "1.");
  EXPECT_EQ(FormatRupiah("-"), "-");
  EXPECT_EQ(FormatRupiah("n/a"), "n/a");
}

TEST(FormatNumbers, CountsBytesAndDurations) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(6436), "6.436");
  EXPECT_EQ(FormatCount(std::numeric_limits<uint64_t>::max()), "18.446.744.073.709.551.615");

  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1 kB");
  EXPECT_EQ(FormatBytes(14950), "14,9 kB");
  EXPECT_EQ(FormatBytes(800'000'000), "800 MB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<uint64_t>::max()), "18,4 EB");

  EXPECT_EQ(FormatDuration(0), "0:00");
  EXPECT_EQ(FormatDuration(75), "1:15");
  EXPECT_EQ(FormatDuration(3675), "1:01:15");
  EXPECT_EQ(FormatDuration(90000), "25:00:00");
}

TEST(FormatTime, NamesTheZone) {
  Zone zone(kJakarta);
  EXPECT_EQ(FormatTime(0), "1970-01-01 07:00:00 WIB");
  EXPECT_EQ(FormatTime(1795526050'000'000), "2026-11-24 20:14:10 WIB");
  EXPECT_EQ(FormatTime(1795526050'999'999), "2026-11-24 20:14:10 WIB");
  EXPECT_EQ(FormatTime(-1), "1970-01-01 06:59:59 WIB");
  EXPECT_FALSE(FormatTime(std::numeric_limits<int64_t>::min()).empty());
  EXPECT_FALSE(FormatTime(std::numeric_limits<int64_t>::max()).empty());
}

TEST(FormatTime, FollowsTheMachinesZone) {
  {
    Zone zone("UTC0");
    EXPECT_EQ(FormatTime(1795526050'000'000), "2026-11-24 13:14:10 UTC");
  }
  Zone zone("WIT-9");
  EXPECT_EQ(FormatTime(1795526050'000'000), "2026-11-24 22:14:10 WIT");
}

int64_t Micros(std::string_view text) {
  Result<int64_t> time = ParseTime(text);
  EXPECT_TRUE(time.ok()) << text;
  return time.ok() ? *time : -1;
}

TEST(ParseTime, ReadsRfc3339) {
  Zone zone(kJakarta);
  EXPECT_EQ(Micros("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(Micros("2026-11-24T20:14:10+07:00"), 1795526050'000'000);
  EXPECT_EQ(Micros("2026-11-24T13:14:10Z"), 1795526050'000'000);
  EXPECT_EQ(Micros("2026-11-24t08:14:10-05:00"), 1795526050'000'000);
  EXPECT_EQ(Micros("2026-11-24T13:14:10.25Z"), 1795526050'250'000);
  EXPECT_EQ(Micros("2026-11-24T13:14:10.123456789Z"), 1795526050'123'456);
  EXPECT_EQ(Micros("1969-12-31T23:59:59.5Z"), -500'000);
  EXPECT_EQ(Micros("2024-02-29T00:00:00Z"), 1709164800'000'000);
}

TEST(ParseTime, ReadsLocalTimes) {
  Zone zone(kJakarta);
  EXPECT_EQ(Micros("2026-11-24 20:14:10"), 1795526050'000'000);
  EXPECT_EQ(Micros("2026-11-24T20:14:10"), 1795526050'000'000);
  EXPECT_EQ(Micros("2026-11-24 20:14"), 1795526040'000'000);
  EXPECT_EQ(Micros("2026-11-24"), 1795453200'000'000);
  EXPECT_EQ(Micros("1970-01-01 06:59:59"), -1'000'000);
}

TEST(ParseTime, TakesBackWhatFormatTimeShows) {
  Zone zone("WITA-8");
  for (int64_t seconds : {0L, 1795526050L, 1719792000L, -86400L}) {
    EXPECT_EQ(Micros(FormatTime(seconds * 1'000'000)), seconds * 1'000'000);
  }
  EXPECT_EQ(Micros("2026-11-24 20:14:10 WIB"), 1795526050'000'000);
  EXPECT_EQ(Micros("2026-11-24 13:14:10 UTC"), 1795526050'000'000);
}

TEST(ParseTime, RefusesTheRest) {
  Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
  for (const char* text : {"",
                           "yesterday",
                           "2026",
                           "2026-11",
                           "2026-11-31",
                           "2025-02-29",
                           "2026-13-01",
                           "2026-11-24 ",
                           "2026-11-24 24:00",
                           "2026-11-24 20:60",
                           "2026-11-24 20:14:60",
                           "2026-11-24 20",
                           "26-11-24",
                           "2026-11-24T20:14:10.Z",
                           "2026-11-24T20:14:10+7",
                           "2026-11-24T20:14:10+07:00x",
                           "2026-11-24 20:14:10 XYZ",
                           "0000-01-01",
                           "2026-1-1",
                           "+026-11-24",
                           "2026-11-24T20:14:10.1234567890Z",
                           "2026-03-29 02:30"}) {
    Result<int64_t> time = ParseTime(text);
    EXPECT_FALSE(time.ok()) << text;
    EXPECT_EQ(time.status().code(), Code::kInvalid);
    EXPECT_FALSE(time.status().hint().empty());
  }
}

TEST(Display, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth(""), 0U);
  EXPECT_EQ(DisplayWidth("Rehab"), 5U);
  EXPECT_EQ(DisplayWidth("é…"), 2U);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1U);
  EXPECT_EQ(DisplayWidth("漢字"), 4U);
  EXPECT_EQ(DisplayWidth("🏗"), 2U);
  EXPECT_EQ(DisplayWidth("\xff\xc3"), 2U);
}

TEST(Display, MakesTextHarmless) {
  EXPECT_EQ(Printable("a\r\nb\tc"), "a  b c");
  EXPECT_EQ(Printable("a\x1b[31mb\x7f"), "a\ufffd[31mb\ufffd");
  EXPECT_EQ(Printable("a\u009b31m"), "a\ufffd31m");
  EXPECT_EQ(Printable("a\u202eb"), "a\ufffdb");
  EXPECT_EQ(Printable("a\xff\xed\xa0\x80z"), "a\ufffd\ufffd\ufffd\ufffdz");
  EXPECT_EQ(Printable("é漢🏗"), "é漢🏗");
}

Table Packages() {
  Table table({{"PACKAGE"}, {"TITLE"}, {"VALUE", Table::Align::kRight}});
  table.AddRow({"rup/1", "Pengadaan Bus Sekolah Koridor Empat", "Rp 1,00"});
  table.AddRow({"rup/352749", "Gedung é", "Rp 4.500.000,00"});
  return table;
}

TEST(TableTest, AlignsColumns) {
  EXPECT_EQ(Packages().Render({}),
            "PACKAGE     TITLE                                          VALUE\n"
            "rup/1       Pengadaan Bus Sekolah Koridor Empat          Rp 1,00\n"
            "rup/352749  Gedung é                             Rp 4.500.000,00\n");
}

TEST(TableTest, CutsTheWidestTextToTheTerminal) {
  std::string text = Packages().Render({.width = 48});
  EXPECT_EQ(text,
            "PACKAGE     TITLE                          VALUE\n"
            "rup/1       Pengadaan Bus Seko…          Rp 1,00\n"
            "rup/352749  Gedung é             Rp 4.500.000,00\n");
  for (size_t width : {40U, 60U, 64U, 200U}) {
    std::string fitted = Packages().Render({.width = width});
    for (size_t at = 0; at < fitted.size();) {
      size_t end = fitted.find('\n', at);
      EXPECT_LE(DisplayWidth(fitted.substr(at, end - at)), width);
      at = end + 1;
    }
  }
}

TEST(TableTest, NeverCutsNumbers) {
  std::string text = Packages().Render({.width = 10});
  EXPECT_NE(text.find("Rp 4.500.000,00"), std::string::npos);
  EXPECT_NE(text.find("rup/352…  Gedung é"), std::string::npos) << text;
}

TEST(TableTest, CutsWideCharactersWhole) {
  Table table({{"T"}});
  table.AddRow({"漢字漢字漢字"});
  EXPECT_EQ(table.Render({.width = 10}), "T\n漢字漢字…\n");
  EXPECT_EQ(table.Render({.width = 12}), "T\n漢字漢字漢字\n");
}

TEST(TableTest, ColoursOnlyWhenAsked) {
  EXPECT_EQ(Packages().Render({}).find('\x1b'), std::string::npos);
  std::string coloured = Packages().Render({.color = true});
  EXPECT_TRUE(coloured.starts_with("\x1b[4mPACKAGE"));
  EXPECT_EQ(coloured.find('\x1b', 5), coloured.find("\x1b[0m\n"));
}

TEST(TableTest, CellsCannotCommandTheTerminal) {
  Table table({{"T"}});
  EXPECT_TRUE(table.empty());
  table.AddRow({"a\x1b]0;x\a\nb"});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.Render({}), "T\na\ufffd]0;x\ufffd b\n");
}

TEST(ProgressTest, ShowsShareRateAndTimeLeft) {
  using std::chrono::seconds;
  EXPECT_EQ(RenderProgress({"import", 500, 2000, seconds(5)}, 0),
            "import [######..................]  25%  500/2.000  100/s  0:15 left");
  EXPECT_EQ(RenderProgress({"import", 2000, 2000, seconds(5)}, 0),
            "import [########################] 100%  2.000/2.000  400/s  0:05");
  EXPECT_EQ(RenderProgress({"import", 0, 2000, seconds(0)}, 0),
            "import [........................]   0%  0/2.000  0/s");
  EXPECT_EQ(RenderProgress({"verify", 1500, 0, seconds(1)}, 0), "verify 1.500  1.500/s");
  EXPECT_EQ(RenderProgress({"import", 500, 2000, seconds(5)}, 45),
            "import  25%  500/2.000  100/s  0:15 left");
  EXPECT_EQ(RenderProgress({"import", 500, 2000, seconds(5)}, 10), "import  2…");
  EXPECT_EQ(RenderProgress({"import", 3000, 2000, seconds(1)}, 0).find("150%"), std::string::npos);
}

std::string Drawn(bool shown, std::chrono::milliseconds delay) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  {
    ProgressBar bar("import", 3, out, shown, delay);
    for (uint64_t i = 0; i <= 3; ++i) bar.Update(i);
    bar.Finish();
    bar.Update(3);
    bar.Finish();
  }
  std::fclose(out);
  std::string drawn(text, size);
  std::free(text);
  return drawn;
}

TEST(ProgressTest, EndsOnALineOfItsOwn) {
  std::string drawn = Drawn(true, std::chrono::milliseconds(0));
  EXPECT_TRUE(drawn.starts_with("\rimport ["));
  EXPECT_NE(drawn.find("3/3"), std::string::npos);
  EXPECT_TRUE(drawn.ends_with("\x1b[K\n"));
  EXPECT_EQ(drawn.find('\n'), drawn.size() - 1);
}

TEST(ProgressTest, IsSilentWhenNotShownOrShort) {
  EXPECT_EQ(Drawn(false, std::chrono::milliseconds(0)), "");
  EXPECT_EQ(Drawn(true, std::chrono::hours(1)), "");
}

}  // namespace
}  // namespace kembar
