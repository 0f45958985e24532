// status_page.cc — see status_page.h.
#include "node/http/status_page.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include "node/http/status_words.h"
#include "replicator/log/epoch_history.h"

namespace kembar {
namespace {

constexpr std::string_view kStyle = R"(
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:68rem;padding:1rem;color:#1b1f24}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin:2rem 0 .3rem}
table{border-collapse:collapse;width:100%;margin:.6rem 0}
th,td{border-bottom:1px solid #d0d7de;padding:.3rem .6rem;text-align:left}
.n{text-align:right;font-variant-numeric:tabular-nums}
.b{padding:.2rem .6rem;border-radius:.3rem;color:#fff;font-weight:600}
.ok{background:#1a7f37}.warn{background:#9a6700}.bad{background:#b42318}
.banner{padding:.6rem 1rem;font-size:1.1rem}
ul{margin:.3rem 0}small{color:#57606a}
)";

// Collects the page; everything but Html() is escaped.
class Writer {
 public:
  explicit Writer(Language chosen) : language(chosen), words(WordsOf(chosen)) {}

  Writer& Html(std::string_view html) {
    out_ += html;
    return *this;
  }
  Writer& Text(std::string_view text) {
    out_ += EscapeHtml(text);
    return *this;
  }
  void Cell(std::string_view text) { Html("<td>").Text(text).Html("</td>"); }
  void NumberCell(std::string_view text) { Html("<td class=n>").Text(text).Html("</td>"); }
  void Badge(std::string_view colour, std::string_view text) {
    Html("<span class=\"b ").Html(colour).Html("\">").Text(text).Html("</span>");
  }
  std::string Take() { return std::move(out_); }

  // 1234567 as "1.234.567" or "1,234,567".
  std::string Number(uint64_t value) const {
    std::string digits = std::to_string(value);
    for (size_t at = digits.size(); at > 3;) {
      at -= 3;
      digits.insert(at, 1, words.group);
    }
    return digits;
  }
  // A duration in its two largest units.
  std::string Duration(int64_t ms) const {
    if (ms < 0) return std::string(words.never);
    const bool english = language == Language::kEnglish;
    const int64_t s = ms / 1000;
    if (s < 60) return std::to_string(s) + (english ? " s" : " dtk");
    if (s < 3600) {
      return std::to_string(s / 60) + (english ? " min " : " mnt ") + std::to_string(s % 60) +
             (english ? " s" : " dtk");
    }
    if (s < 86'400) {
      return std::to_string(s / 3600) + (english ? " h " : " jam ") +
             std::to_string(s % 3600 / 60) + (english ? " min" : " mnt");
    }
    return std::to_string(s / 86'400) + (english ? " d " : " hari ") +
           std::to_string(s % 86'400 / 3600) + (english ? " h" : " jam");
  }
  std::string Ago(int64_t ms) const {
    return ms < 0 ? Duration(ms) : Duration(ms) + " " + std::string(words.ago);
  }

  const Language language;
  const StatusWords& words;

 private:
  std::string out_;
};

std::string_view ColourOf(const std::vector<Alarm>& alarms) {
  if (alarms.empty()) return "ok";
  return alarms.front().critical ? "bad" : "warn";
}

// One row of a log's table; what is not known stays unset and shows as a dash.
struct Site {
  std::string name;
  std::string_view role;
  std::string_view link;
  std::optional<uint64_t> durable;
  std::optional<uint64_t> lag_records;
  std::optional<int64_t> lag_ms;
  std::string contact;
};

void SiteRow(const Site& site, Writer* page) {
  const auto number = [page](const std::optional<uint64_t>& value) {
    page->NumberCell(value ? page->Number(*value) : "–");
  };
  page->Html("<tr>");
  page->Cell(site.name);
  page->Cell(site.role);
  page->Cell(site.link);
  number(site.durable);
  number(site.lag_records);
  page->NumberCell(site.lag_ms ? page->Duration(*site.lag_ms) : "–");
  page->Cell(site.contact);
  page->Html("</tr>\n");
}

std::vector<Site> SitesOfPrimary(const std::string& self, const ReplicaStatus& s,
                                 const Writer& page) {
  const StatusWords& words = page.words;
  std::vector<Site> sites = {
      {self, words.primary, words.this_node, s.durable_index, std::nullopt, std::nullopt, "–"}};
  for (const PeerStatus& peer : s.peers) {
    const uint64_t lag = s.last_index > peer.durable_index ? s.last_index - peer.durable_index : 0;
    sites.push_back({peer.name, peer.member ? words.mirror : words.left_out,
                     peer.connected ? words.connected : words.disconnected, peer.durable_index, lag,
                     LagMs(peer.durable_index, s.last_index, peer.level_ms_ago),
                     page.Ago(peer.contact_ms_ago)});
  }
  return sites;
}

std::vector<Site> SitesOfMirror(const std::string& self, const ReplicaStatus& s,
                                const Writer& page) {
  const StatusWords& words = page.words;
  std::vector<Site> sites = {{self, words.mirror, words.this_node, s.durable_index,
                              MirrorLagRecords(s), MirrorLagMs(s), "–"}};
  if (!s.primary.empty()) {
    const bool in_contact = s.state != LogState::kNoPrimary;
    sites.push_back({s.primary, words.primary, in_contact ? words.connected : words.disconnected,
                     std::nullopt, std::nullopt, std::nullopt, page.Ago(s.primary_contact_ms_ago)});
  }
  for (const Member& member : s.control.config.members) {
    if (member.name == self || member.name == s.primary) continue;
    sites.push_back({member.name, words.member, words.see_primary, std::nullopt, std::nullopt,
                     std::nullopt, "–"});
  }
  return sites;
}

void Sites(const std::string& self, const ReplicaStatus& status, Writer* page) {
  const StatusWords& words = page->words;
  page->Html("<table><tr>");
  for (const std::string_view heading : {words.site, words.role, words.state}) {
    page->Html("<th>").Text(heading).Html("</th>");
  }
  for (const std::string_view heading : {words.durable, words.lag_records, words.lag_time}) {
    page->Html("<th class=n>").Text(heading).Html("</th>");
  }
  page->Html("<th>").Text(words.contact).Html("</th></tr>\n");
  const std::vector<Site> sites = status.role == Role::kPrimary
                                      ? SitesOfPrimary(self, status, *page)
                                      : SitesOfMirror(self, status, *page);
  for (const Site& site : sites) SiteRow(site, page);
  page->Html("</table>\n");
}

// How fresh the freshest mirror is: on a mirror this node itself.
std::string Freshness(const ReplicaStatus& status, const Writer& page) {
  int64_t lag = -1;
  if (status.role == Role::kMirror) {
    lag = MirrorLagMs(status);
  } else {
    for (const PeerStatus& peer : status.peers) {
      if (!peer.member) continue;
      // A mirror out of contact holds what there is, but that it still exists is known only as of
      // the last contact.
      const int64_t behind = LagMs(peer.durable_index, status.last_index, peer.level_ms_ago);
      const int64_t known = behind == 0 && !peer.connected ? peer.contact_ms_ago : behind;
      if (known >= 0 && (lag < 0 || known < lag)) lag = known;
    }
  }
  return lag == 0 ? std::string(page.words.level_now) : page.Ago(lag);
}

void AlarmList(const std::vector<Alarm>& alarms, Writer* page) {
  if (alarms.empty()) return;
  page->Html("<p><b>").Text(page->words.alarms).Html("</b></p><ul>");
  for (const Alarm& alarm : alarms) {
    page->Html("<li>");
    page->Badge(alarm.critical ? "bad" : "warn", AlarmWords(alarm.kind, page->language));
    page->Html(" ").Text(alarm.detail).Html("</li>");
  }
  page->Html("</ul>\n");
}

void Packages(const NodeSnapshot& snapshot, const std::string& log, Writer* page) {
  const auto found = snapshot.packages.find(log);
  if (found == snapshot.packages.end()) return;
  const PackageCounts& counts = found->second;
  const StatusWords& words = page->words;
  page->Html("<p>").Text(words.packages).Html(": ");
  page->Text(page->Number(counts.complete)).Html(" ").Text(words.complete);
  if (counts.incomplete > 0) {
    page->Html(" · ");
    page->Badge("bad", page->Number(counts.incomplete) + " " + std::string(words.incomplete));
  }
  if (counts.at_risk > 0) {
    page->Html(" · ");
    page->Badge("warn", page->Number(counts.at_risk) + " " + std::string(words.at_risk));
  }
  page->Html("</p>\n");
}

// When each capture was last heard: what shows a backup that has silently stopped.
void Sources(const NodeSnapshot& snapshot, const std::string& log, Writer* page) {
  const auto sources = snapshot.sources.find(log);
  if (sources == snapshot.sources.end() || sources->second.empty()) return;
  page->Html("<p>").Text(page->words.sources).Html(":");
  for (const SourceSeen& source : sources->second) {
    page->Html(" · ").Text(source.source).Html(" ");
    page->Text(source.retired ? std::string(page->words.retired)
                              : page->Ago(SilentMs(snapshot, source)));
  }
  page->Html("</p>\n");
}

void LogSection(const NodeSnapshot& snapshot, const std::string& log, Writer* page) {
  const ReplicaStatus& status = snapshot.logs.at(log);
  const std::vector<Alarm> alarms = LogAlarms(snapshot, log);
  const StatusWords& words = page->words;
  page->Html("<h2>").Text(log).Html(" ");
  page->Badge(ColourOf(alarms), StateWords(status.state, page->language));
  page->Html("</h2>\n<p>").Text(words.primary).Html(": <b>");
  page->Text(status.primary.empty() ? words.nobody : status.primary).Html("</b>");
  const auto fact = [page](std::string_view name, std::string_view value) {
    page->Html(" · ").Text(name).Html(": ").Text(value);
  };
  fact(words.epoch, EpochText(status.epoch));
  fact(words.mode, ModeName(status.control.config.mode));
  fact(words.committed, page->Number(status.commit_index));
  fact(words.freshness, Freshness(status, *page));
  page->Html("</p>\n");
  Packages(snapshot, log, page);
  Sources(snapshot, log, page);
  AlarmList(alarms, page);
  Sites(snapshot.node, status, page);
}

void Banner(const NodeSnapshot& snapshot, Writer* page) {
  std::string_view colour = "ok";
  for (const auto& [log, status] : snapshot.logs) {
    const std::string_view found = ColourOf(LogAlarms(snapshot, log));
    if (found == "bad" || colour == "ok") colour = found;
  }
  const std::vector<std::string> unhealthy = Unhealthy(snapshot);
  if (!unhealthy.empty()) colour = "bad";
  const StatusWords& words = page->words;
  if (snapshot.logs.empty() && unhealthy.empty()) {
    page->Html("<p class=\"b banner warn\">").Text(words.no_logs).Html("</p>\n");
    return;
  }
  page->Html("<p class=\"b banner ").Html(colour).Html("\">");
  page->Text(colour == "ok" ? words.all_well : colour == "warn" ? words.warning : words.critical);
  page->Html("</p>\n");
  for (const std::string& reason : unhealthy) page->Html("<p>").Text(reason).Html("</p>\n");
}

std::string WibTime(int64_t wall_us) {
  const std::time_t seconds = static_cast<std::time_t>(wall_us / 1'000'000) + 7 * 3600;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S WIB", &parts);
  return std::string(text, size);
}

void Footer(const NodeSnapshot& snapshot, Writer* page) {
  const StatusWords& words = page->words;
  std::string linked;
  for (const std::string& peer : snapshot.linked) linked += (linked.empty() ? "" : ", ") + peer;
  page->Html("<p><small>").Text(words.address).Html(" ").Text(snapshot.address);
  const auto fact = [page](std::string_view name, std::string_view value) {
    page->Html(" · ").Text(name).Html(" ").Text(value);
  };
  fact(words.links, linked.empty() ? "–" : std::string_view(linked));
  for (const auto& [peer, why] : snapshot.refused_links) {
    page->Html(" · <strong>").Text(peer).Html(": ").Text(why).Html("</strong>");
  }
  fact(words.disk_free, page->Number(snapshot.disk_free_bytes >> 20) + " MiB");
  fact(words.uptime, page->Duration(snapshot.uptime_ms));
  fact(words.version, snapshot.version);
  fact(words.updated, WibTime(snapshot.wall_us));
  page->Html(" · <a href=\"?lang=").Html(words.other_code).Html("\">");
  page->Text(words.other_name).Html("</a></small></p>\n");
}

}  // namespace

Language LanguageFrom(std::string_view code) {
  return code == "en" ? Language::kEnglish : Language::kIndonesian;
}

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string RenderStatusPage(const NodeSnapshot& snapshot, Language language) {
  Writer page(language);
  const StatusWords& words = page.words;
  page.Html("<!doctype html>\n<html lang=").Html(words.code);
  page.Html("><head><meta charset=utf-8><meta http-equiv=refresh content=5>");
  page.Html("<meta name=viewport content=\"width=device-width,initial-scale=1\"><title>Kembar ");
  page.Text(snapshot.node).Html("</title><style>").Html(kStyle).Html("</style></head><body>\n<h1>");
  page.Text(words.title).Html(": ").Text(snapshot.node).Html("</h1>\n");
  Banner(snapshot, &page);
  for (const auto& [log, status] : snapshot.logs) LogSection(snapshot, log, &page);
  Footer(snapshot, &page);
  page.Html("</body></html>\n");
  return page.Take();
}

}  // namespace kembar
