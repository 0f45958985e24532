// status_words.h — the words of the status page in both languages.
//
// Pure; read only by status_page.cc.
#pragma once

#include <string_view>

#include "node/http/snapshot.h"
#include "node/http/status_page.h"

namespace kembar {

struct StatusWords {
  std::string_view code;        // of the language, for <html lang>
  std::string_view other_code;  // the language to switch to
  std::string_view other_name;
  std::string_view title;
  std::string_view all_well, warning, critical;  // of the whole node
  std::string_view no_logs;
  std::string_view primary, mirror, left_out, member;
  std::string_view nobody;  // no primary known
  std::string_view epoch, mode, committed, freshness, level_now;
  std::string_view site, role, state, durable, lag_records, lag_time, contact;
  std::string_view this_node, connected, disconnected, see_primary;
  std::string_view never, ago;
  std::string_view sources, retired;
  std::string_view packages, complete, incomplete, at_risk;
  std::string_view alarms, disk_free, links, address, version, uptime, updated;
  char group;  // between groups of three digits
};
const StatusWords& WordsOf(Language language);

// A log's state in words.
std::string_view StateWords(LogState state, Language language);
std::string_view AlarmWords(AlarmKind kind, Language language);

}  // namespace kembar
