// tables.cc — see tables.h.
#include "tools/kembarctl/tables.h"

#include <cstdio>

#include "replicator/log/epoch_history.h"
#include "tools/client/convert.h"
#include "tools/kembarctl/format.h"

namespace kembar::ctl {
namespace {

using Align = Table::Align;

std::string Render(const Table& table) {
  return table.Render({.width = TerminalWidth(), .color = UseColor()});
}

std::string Count(const std::optional<uint64_t>& count) {
  return count ? FormatCount(*count) : "?";
}

std::string LagSeconds(const std::optional<double>& seconds) {
  if (!seconds) return "?";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", *seconds);
  return text;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + Printable(part);
  return text;
}

std::string Role(const NodeRow& row) { return row.role.empty() ? "?" : row.role; }

}  // namespace

std::string StatusText(const LogView& view) {
  std::string text = "log      " + Printable(view.log) + "\nstate    " + view.state +
                     "\nprimary  " + (view.primary.empty() ? "none known" : view.primary) +
                     ", epoch " + EpochText(view.epoch) + "\nmode     " + view.mode + ", " +
                     std::to_string(view.sync_mirrors) + " sync mirror(s)\nrecords  " +
                     FormatCount(view.commit_index) + " committed of " +
                     FormatCount(view.last_index) + "\n\n";
  Table table({{"NODE"},
               {"ROLE"},
               {"ANSWERS"},
               {"DURABLE", Align::kRight},
               {"COMMITTED", Align::kRight},
               {"LAG", Align::kRight},
               {"LAG TIME", Align::kRight},
               {"LAST CONTACT"},
               {"ADDRESS"},
               {"TROUBLE"}});
  for (const NodeRow& row : view.nodes) {
    table.AddRow({row.name, Role(row), row.reachable ? "yes" : "NO", Count(row.durable_index),
                  Count(row.commit_index), Count(row.lag_records), LagSeconds(row.lag_seconds),
                  row.last_contact_us ? FormatTime(*row.last_contact_us) : "never", row.address,
                  Printable(row.trouble)});
  }
  text += Render(table);
  if (!view.sources.empty()) text += "\n" + SourcesText(view);
  for (const std::string& alarm : view.alarms) text += "ALARM " + Printable(alarm) + "\n";
  return text;
}

std::string SourcesText(const LogView& view) {
  Table table({{"SOURCE"}, {"LAST HEARD"}, {"AGE", Align::kRight}, {"RECORD", Align::kRight}});
  for (const SourceRow& row : view.sources) {
    table.AddRow({Printable(row.name), FormatTime(row.last_time_us),
                  row.retired ? "retired" : LagSeconds(row.age_seconds),
                  FormatCount(row.last_index)});
  }
  return Render(table);
}

std::string PackagesText(const std::vector<v1::Package>& packages) {
  Table table({{"PACKAGE"},
               {"TITLE"},
               {"UNIT"},
               {"VALUE", Align::kRight},
               {"ITEMS", Align::kRight},
               {"DOCS", Align::kRight},
               {"MISSING", Align::kRight},
               {"LAST", Align::kRight},
               {"STATE"}});
  for (const v1::Package& package : packages) {
    table.AddRow({Printable(package.package()), Printable(package.title()),
                  Printable(package.unit()), FormatRupiah(package.value()),
                  FormatCount(package.items()), FormatCount(package.documents()),
                  FormatCount(package.missing_documents()), FormatCount(package.last_index()),
                  PackageStateText(package.state())});
  }
  return Render(table) + FormatCount(packages.size()) + " packages\n";
}

std::string PackageText(const v1::Package& package, const std::vector<v1::Item>& items) {
  std::string text =
      "package  " + Printable(package.package()) + "\ntitle    " + Printable(package.title()) +
      "\nunit     " + Printable(package.unit()) + "\nvalue    " + FormatRupiah(package.value()) +
      "\nstate    " + PackageStateText(package.state()) + "\nlast     record " +
      FormatCount(package.last_index()) + ", " + FormatTime(package.last_time_us()) + "\n\n";
  Table table({{"ITEM"},
               {"VERSIONS", Align::kRight},
               {"RECORD", Align::kRight},
               {"TIME"},
               {"SIZE", Align::kRight},
               {"KIND"}});
  for (const v1::Item& item : items) {
    table.AddRow({Printable(item.item()), FormatCount(item.versions()), FormatCount(item.index()),
                  FormatTime(item.time_us()), FormatBytes(item.payload_bytes()),
                  client::KindText(item.kind())});
  }
  return text + Render(table);
}

std::string RecordsText(const std::vector<v1::Record>& records) {
  Table table({{"RECORD", Align::kRight},
               {"EPOCH", Align::kRight},
               {"TIME"},
               {"KIND"},
               {"PACKAGE"},
               {"ITEM"},
               {"SIZE", Align::kRight},
               {"SOURCE"}});
  for (const v1::Record& record : records) {
    table.AddRow({FormatCount(record.index()), EpochText(record.epoch()),
                  FormatTime(record.time_us()), client::KindText(record.kind()),
                  Printable(record.package()), Printable(record.item()),
                  FormatBytes(record.payload().size()), Printable(record.source())});
  }
  return Render(table);
}

std::string RecordsHeader() {
  char line[128];
  std::snprintf(line, sizeof line, "%12s %6s %-23s %-11s %10s  %s\n", "RECORD", "EPOCH", "TIME",
                "KIND", "SIZE", "PACKAGE / ITEM");
  return line;
}

std::string RecordLine(const v1::Record& record) {
  char line[128];
  std::snprintf(line, sizeof line, "%12s %6s %-23s %-11s %10s  ",
                FormatCount(record.index()).c_str(), EpochText(record.epoch()).c_str(),
                FormatTime(record.time_us()).c_str(), client::KindText(record.kind()).c_str(),
                FormatBytes(record.payload().size()).c_str());
  return line + Printable(record.package()) + " / " + Printable(record.item()) + "\n";
}

std::string RejectsText(const std::vector<import::Reject>& rejects) {
  Table table({{"FILE"}, {"ROW", Align::kRight}, {"REJECTED BECAUSE"}});
  for (const import::Reject& reject : rejects) {
    table.AddRow({Printable(reject.file), FormatCount(reject.row), Printable(reject.reason)});
  }
  std::string text = table.Render({});
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string QuarantinesText(const std::vector<QuarantineRow>& rows) {
  Table table({{"NODE"},
               {"ID", Align::kRight},
               {"SINCE"},
               {"RECORDS"},
               {"ROWS", Align::kRight},
               {"RESUBMITTED", Align::kRight},
               {"SUPERSEDED", Align::kRight},
               {"ACKNOWLEDGED TO", Align::kRight},
               {"ORIGIN"},
               {"PACKAGES"}});
  for (const QuarantineRow& row : rows) {
    table.AddRow({row.node, FormatCount(row.id), FormatTime(row.time_us),
                  FormatCount(row.first_index) + " to " + FormatCount(row.last_index),
                  FormatCount(row.records), FormatCount(row.resubmitted),
                  FormatCount(row.superseded),
                  row.acknowledged_to == 0 ? "-" : FormatCount(row.acknowledged_to),
                  Printable(row.origin), Join(row.packages)});
  }
  return rows.empty() ? "nothing is in quarantine\n" : Render(table);
}

std::string VerifyText(const std::vector<VerifyRow>& rows) {
  Table table(
      {{"NODE"}, {"RECORDS", Align::kRight}, {"BLOBS", Align::kRight}, {"ERRORS", Align::kRight}});
  std::string errors;
  for (const VerifyRow& row : rows) {
    table.AddRow({row.node, FormatCount(row.records), FormatCount(row.blobs),
                  FormatCount(row.errors.size())});
    for (const std::string& error : row.errors) {
      errors += row.node + ": " + Printable(error) + "\n";
    }
  }
  return Render(table) + errors;
}

}  // namespace kembar::ctl
