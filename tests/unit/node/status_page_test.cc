// status_page_test.cc — node/http/status_page: both languages, every state in words, escaping.
#include "node/http/status_page.h"

#include <gtest/gtest.h>

#include <string>

namespace kembar {
namespace {

bool Shows(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

NodeSnapshot Node(LogState state) {
  NodeSnapshot snapshot;
  snapshot.node = "jambi";
  snapshot.version = "0.1.0";
  snapshot.wall_us = 1'566'000'000'000'000;  // 2019-08-17 00:00 UTC
  ReplicaStatus status;
  status.role = Role::kMirror;
  status.state = state;
  status.primary = "tebo";
  status.durable_index = status.commit_index = 1'234'567;
  status.primary_last_index = 1'234'569;
  status.primary_contact_ms_ago = 95'000;
  status.level_ms_ago = 3'700'000;
  snapshot.logs["lpse-tebo"] = status;
  return snapshot;
}

TEST(StatusPage, SpeaksIndonesianByDefault) {
  EXPECT_EQ(LanguageFrom(""), Language::kIndonesian);
  EXPECT_EQ(LanguageFrom("fr"), Language::kIndonesian);
  const std::string page = RenderStatusPage(Node(LogState::kNoPrimary), LanguageFrom("id"));
  EXPECT_TRUE(Shows(page, "<html lang=id>")) << page;
  EXPECT_TRUE(Shows(page, "Tanpa simpul utama"));
  EXPECT_TRUE(Shows(page, "GAWAT"));
  EXPECT_TRUE(Shows(page, "1.234.567"));
  EXPECT_TRUE(Shows(page, "1 mnt 35 dtk lalu"));
  EXPECT_TRUE(Shows(page, "2019-08-17 07:00:00 WIB"));
  EXPECT_TRUE(Shows(page, "http-equiv=refresh content=5"));
  EXPECT_TRUE(Shows(page, "?lang=en"));
}

TEST(StatusPage, SpeaksEnglish) {
  const std::string page = RenderStatusPage(Node(LogState::kProtected), LanguageFrom("en"));
  EXPECT_TRUE(Shows(page, "Protected: held at both sites")) << page;
  EXPECT_TRUE(Shows(page, "All logs are protected"));
  EXPECT_TRUE(Shows(page, "1,234,567"));
  EXPECT_TRUE(Shows(page, "1 h 1 min ago"));
  EXPECT_TRUE(Shows(page, "?lang=id"));
}

TEST(StatusPage, SaysWhichPackagesAreWholeAndWhoIsHeard) {
  NodeSnapshot snapshot = Node(LogState::kProtected);
  const std::string log = snapshot.logs.begin()->first;
  snapshot.packages[log] = {.as_of = 9, .complete = 1500, .incomplete = 2, .at_risk = 1};
  snapshot.sources[log] = {
      {.source = "postgres/epns", .index = 9, .time_us = snapshot.wall_us - 12'000'000},
      {.source = "postgres/<lama>", .index = 1, .retired = true}};
  const std::string page = RenderStatusPage(snapshot, Language::kEnglish);
  EXPECT_TRUE(Shows(page, "Packages: 1,500 whole at both sites")) << page;
  EXPECT_TRUE(Shows(page, "class=\"b bad\">2 INCOMPLETE"));
  EXPECT_TRUE(Shows(page, "class=\"b warn\">1 not known to be whole elsewhere"));
  EXPECT_TRUE(Shows(page, "postgres/epns 12 s ago"));
  EXPECT_TRUE(Shows(page, "postgres/&lt;lama&gt; retired"));
}

TEST(StatusPage, SaysEveryStateInWordsAndColour) {
  const std::pair<LogState, const char*> states[] = {
      {LogState::kProtected, "class=\"b ok\">Protected"},
      {LogState::kCatchingUp, "class=\"b warn\">A mirror is catching up"},
      {LogState::kStalled, "class=\"b bad\">Stalled"},
      {LogState::kSolo, "class=\"b bad\">Solo"},
      {LogState::kNoPrimary, "class=\"b bad\">No primary"},
  };
  for (const auto& [state, words] : states) {
    EXPECT_TRUE(Shows(RenderStatusPage(Node(state), Language::kEnglish), words)) << words;
  }
}

TEST(StatusPage, ShowsWhatAPrimaryKnowsOfItsPeers) {
  NodeSnapshot snapshot = Node(LogState::kStalled);
  ReplicaStatus& status = snapshot.logs["lpse-tebo"];
  status.role = Role::kPrimary;
  status.last_index = 1'234'569;
  PeerStatus peer;
  peer.name = "tebo";
  peer.member = true;
  peer.durable_index = 1'234'560;
  peer.trouble = "diverged at index 9";
  status.peers.push_back(peer);
  const std::string page = RenderStatusPage(snapshot, Language::kEnglish);
  EXPECT_TRUE(Shows(page, "DISCONNECTED")) << page;
  EXPECT_TRUE(Shows(page, "<td class=n>9</td>"));
  EXPECT_TRUE(Shows(page, "never"));
  EXPECT_TRUE(Shows(page, "tebo: diverged at index 9"));
}

TEST(StatusPage, EscapesWhatComesFromOutside) {
  EXPECT_EQ(EscapeHtml("<a href='x'>\"&\""), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;");
  NodeSnapshot snapshot = Node(LogState::kProtected);
  snapshot.logs["<script>alert(1)</script>"] = snapshot.logs["lpse-tebo"];
  snapshot.logs["lpse-tebo"].trouble = "<b>bad</b>";
  snapshot.unreadable = "<i>";
  const std::string page = RenderStatusPage(snapshot, Language::kEnglish);
  EXPECT_FALSE(Shows(page, "<script"));
  EXPECT_FALSE(Shows(page, "<b>bad"));
  EXPECT_FALSE(Shows(page, "<i>"));
  EXPECT_TRUE(Shows(page, "&lt;script&gt;"));
}

TEST(StatusPage, SaysThatThereIsNoLog) {
  NodeSnapshot snapshot;
  snapshot.node = "tebo";
  EXPECT_TRUE(Shows(RenderStatusPage(snapshot, Language::kEnglish), "does not hold a log yet"));
}

}  // namespace
}  // namespace kembar
