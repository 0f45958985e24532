// package_rows.h — the rows of packages as a log has them: the latest version with its payload, and
// the digests of all older ones, by which a row in a database is known to be old and not foreign.
//
// Thread-safety: functions use the reader they are given; the rest are values.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/capture/names.h"
#include "tools/capture/row.h"
#include "tools/restore/boundary.h"
#include "tools/restore/captured.h"
#include "tools/restore/live_tables.h"
#include "tools/restore/log_reader.h"

namespace kembar::restore {

struct LoggedRow {
  std::string item;
  std::string package;
  capture::ItemName name;
  bool deleted = false;    // the latest version ends the item
  capture::Row row;        // of the latest PUT
  Digest sha256{};         // likewise
  std::set<Digest> older;  // of all PUTs before
  RowKey key;              // empty columns: the table has no key
  bool keyless() const { return key.columns.empty(); }
};

// The row items of one package as of the boundary. kNotFound: it has none.
Result<std::vector<LoggedRow>> ReadPackageRows(LogReader* log, const Boundary& boundary,
                                               const Captured& captured,
                                               const std::string& package);

// One living row item, wherever it belongs. nullopt: none.
Result<std::optional<LoggedRow>> ReadRow(LogReader* log, const Boundary& boundary,
                                         const Captured& captured, const std::string& item);

// What the log knows of these items in all packages: rows move between packages.
struct Elsewhere {
  bool alive = false;
  std::set<Digest> versions;
};
Result<std::map<std::string, Elsewhere>> ReadElsewhere(LogReader* log, const Boundary& boundary,
                                                       const std::set<std::string>& items);

}  // namespace kembar::restore
