// status_words.cc — see status_words.h.
#include "node/http/status_words.h"

namespace kembar {
namespace {

constexpr StatusWords kIndonesian = {
    .code = "id",
    .other_code = "en",
    .other_name = "English",
    .title = "Status replikasi",
    .all_well = "Semua log terlindungi",
    .warning = "Perlu diperhatikan",
    .critical = "GAWAT: perlu tindakan",
    .no_logs = "Simpul ini belum memegang log.",
    .primary = "utama",
    .mirror = "cermin",
    .left_out = "tidak diikutkan",
    .member = "anggota",
    .nobody = "tidak diketahui",
    .epoch = "epoch",
    .mode = "mode",
    .committed = "catatan terkukuhkan",
    .freshness = "kesegaran cermin",
    .level_now = "setara dengan utama",
    .site = "Situs",
    .role = "Peran",
    .state = "Keadaan",
    .durable = "Tersimpan s.d. indeks",
    .lag_records = "Tertinggal (catatan)",
    .lag_time = "Tertinggal (waktu)",
    .contact = "Kontak terakhir",
    .this_node = "simpul ini",
    .connected = "terhubung",
    .disconnected = "TERPUTUS",
    .see_primary = "lihat di simpul utama",
    .never = "belum pernah",
    .ago = "lalu",
    .sources = "sumber terakhir terdengar",
    .retired = "sudah diakhiri",
    .packages = "Paket",
    .complete = "lengkap di kedua situs",
    .incomplete = "TIDAK LENGKAP",
    .at_risk = "belum pasti ada di situs lain",
    .alarms = "Alarm",
    .disk_free = "ruang cakram tersisa",
    .links = "terhubung dengan",
    .address = "alamat",
    .version = "versi",
    .uptime = "berjalan selama",
    .updated = "diperbarui",
    .group = '.',
};

constexpr StatusWords kEnglish = {
    .code = "en",
    .other_code = "id",
    .other_name = "Bahasa Indonesia",
    .title = "Replication status",
    .all_well = "All logs are protected",
    .warning = "Needs attention",
    .critical = "CRITICAL: needs action",
    .no_logs = "This node does not hold a log yet.",
    .primary = "primary",
    .mirror = "mirror",
    .left_out = "left out",
    .member = "member",
    .nobody = "unknown",
    .epoch = "epoch",
    .mode = "mode",
    .committed = "committed records",
    .freshness = "freshness of the mirror",
    .level_now = "level with the primary",
    .site = "Site",
    .role = "Role",
    .state = "State",
    .durable = "Durable up to index",
    .lag_records = "Lag (records)",
    .lag_time = "Lag (time)",
    .contact = "Last contact",
    .this_node = "this node",
    .connected = "connected",
    .disconnected = "DISCONNECTED",
    .see_primary = "see the primary's page",
    .never = "never",
    .ago = "ago",
    .sources = "sources last heard",
    .retired = "retired",
    .packages = "Packages",
    .complete = "whole at both sites",
    .incomplete = "INCOMPLETE",
    .at_risk = "not known to be whole elsewhere",
    .alarms = "Alarms",
    .disk_free = "disk space left",
    .links = "linked with",
    .address = "address",
    .version = "version",
    .uptime = "running for",
    .updated = "updated",
    .group = ',',
};

std::string_view Pick(Language language, std::string_view indonesian, std::string_view english) {
  return language == Language::kEnglish ? english : indonesian;
}

}  // namespace

const StatusWords& WordsOf(Language language) {
  return language == Language::kEnglish ? kEnglish : kIndonesian;
}

std::string_view StateWords(LogState state, Language language) {
  switch (state) {
    case LogState::kProtected:
      return Pick(language, "Terlindungi: tersimpan di kedua situs",
                  "Protected: held at both sites");
    case LogState::kCatchingUp:
      return Pick(language, "Cermin sedang mengejar ketertinggalan", "A mirror is catching up");
    case LogState::kStalled:
      return Pick(language, "Macet: data baru belum dikukuhkan",
                  "Stalled: new data is not acknowledged");
    case LogState::kSolo:
      return Pick(language, "Sendirian: data baru tidak ada di cermin",
                  "Solo: new data is at no mirror");
    case LogState::kNoPrimary: return Pick(language, "Tanpa simpul utama", "No primary");
  }
  return "?";
}

std::string_view AlarmWords(AlarmKind kind, Language language) {
  switch (kind) {
    case AlarmKind::kStopped: return Pick(language, "Log berhenti", "The log stopped");
    case AlarmKind::kNoPrimary:
      return Pick(language, "Simpul utama tidak terdengar", "No primary is in contact");
    case AlarmKind::kStalled:
      return Pick(language, "Data baru tidak dikukuhkan: cermin yang setara kurang",
                  "Appends are not acknowledged: too few mirrors are level");
    case AlarmKind::kSolo:
      return Pick(language, "Simpul utama bekerja tanpa cermin",
                  "The primary acknowledges without a mirror");
    case AlarmKind::kCatchingUp:
      return Pick(language, "Cermin sedang mengejar ketertinggalan", "A mirror is catching up");
    case AlarmKind::kPeerTrouble:
      return Pick(language, "Masalah dengan simpul lain", "Trouble with a peer");
    case AlarmKind::kLossy:
      return Pick(language, "Epoch ini dimulai dengan kehilangan yang diterima operator",
                  "This reign began with accepted loss");
    case AlarmKind::kHoldsLess:
      return Pick(language, "Simpul ini memegang kurang dari yang pernah dikukuhkannya",
                  "This node holds less than it once acknowledged");
    case AlarmKind::kQuarantine:
      return Pick(language, "Ada catatan di karantina", "Records are in quarantine");
    case AlarmKind::kPaused: return Pick(language, "Penulisan sedang dijeda", "Appends are paused");
    case AlarmKind::kSourceSilent:
      return Pick(language, "Sumber data berhenti terdengar", "A capture is silent");
  }
  return "?";
}

}  // namespace kembar
