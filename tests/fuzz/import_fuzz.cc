// import_fuzz.cc — any bytes, as each form: refused as a whole, or cut into rows that are exact
// pieces of the input in order, and which read the same when they stand in a file of their own. And
// as CSV of manual procurement, whose records read the same when they are written again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "replicator/base/check.h"
#include "tools/import/import.h"
#include "tools/import/manual.h"

namespace {

using kembar::import::Draft;
using kembar::import::Format;
using kembar::import::ImportFile;
using kembar::import::ManualFile;
using kembar::import::ManualRecord;

void CheckPieces(const ImportFile& file, std::string_view bytes) {
  CHECK(file.rows == file.drafts.size() + file.rejected.size());
  size_t from = 0;
  uint64_t row = 0;
  for (const Draft& draft : file.drafts) {
    CHECK(draft.row > row && draft.row <= file.rows);
    row = draft.row;
    CHECK(!draft.package.empty() && !draft.item.empty());
    size_t at = bytes.find(draft.payload, from);
    CHECK(at != std::string_view::npos);
    from = at + draft.payload.size();
  }
}

void CheckReadsTheSame(Format format, const ImportFile& file) {
  std::string bytes = format == Format::kOcds ? "{\"releases\":[" : "[";
  for (const Draft& draft : file.drafts) {
    if (&draft != &file.drafts.front()) bytes += ",";
    bytes += draft.payload;
  }
  bytes += format == Format::kOcds ? "]}" : "]";
  auto again = kembar::import::ParseImport(format, "again", bytes);
  CHECK(again.ok());
  CHECK(again->rejected.empty());
  CHECK(again->drafts.size() == file.drafts.size());
  for (size_t i = 0; i < file.drafts.size(); ++i) {
    CHECK(again->drafts[i].payload == file.drafts[i].payload);
    CHECK(again->drafts[i].package == file.drafts[i].package);
    CHECK(again->drafts[i].item == file.drafts[i].item);
  }
}

// What a log takes, and nothing that is elsewhere on the machine.
void CheckRecord(const ManualRecord& record) {
  for (const std::string* name : {&record.package, &record.title, &record.unit}) {
    CHECK(!name->empty() && name->size() <= kembar::import::kTextBytesMax);
  }
  CHECK(kembar::import::ReadAmount(record.value) == record.value);
  CHECK(kembar::import::ReadDate(record.contract_date) == record.contract_date);
  for (const std::string& path : record.attachments) {
    CHECK(!path.starts_with('/') && ("/" + path + "/").find("/../") == std::string::npos);
  }
  CHECK(kembar::import::DecodeManual(kembar::import::EncodeManual({.record = record})).ok());
}

std::string WriteManual(const ManualFile& file, char separator) {
  std::string out;
  const auto add = [&](const std::string& field) {
    out += '"';
    for (const char c : field) out += c == '"' ? "\"\"" : std::string(1, c);
    out += std::string("\"") + separator;
  };
  for (const char* name : {"package", "title", "unit", "value", "method", "vendor",
                           "contract_number", "contract_date", "recommendation_letter"}) {
    add(name);
  }
  out += "attachments\n";
  for (const ManualRecord& record : file.records) {
    for (const std::string* field : {&record.package, &record.title, &record.unit, &record.value,
                                     &record.method, &record.vendor, &record.contract_number,
                                     &record.contract_date, &record.recommendation_letter}) {
      add(*field);
    }
    std::string attachments;
    for (const std::string& path : record.attachments) {
      attachments += (attachments.empty() ? "" : ";") + path;
    }
    add(attachments);
    out.back() = '\n';
  }
  return out;
}

void CheckManual(std::string_view bytes) {
  const auto file = kembar::import::ParseManual("fuzz", bytes);
  if (!file.ok()) {
    CHECK(file.status().code() == kembar::Code::kInvalid);
    return;
  }
  CHECK(file->rows == file->records.size() + file->rejected.size() + file->repeats);
  for (const ManualRecord& record : file->records) CheckRecord(record);
  for (const char separator : {',', ';'}) {
    const auto again = kembar::import::ParseManual("again", WriteManual(*file, separator));
    CHECK(again.ok());
    CHECK(again->rejected.empty() && again->records.size() == file->records.size());
    for (size_t i = 0; i < file->records.size(); ++i) {
      CHECK(kembar::import::EncodeManual({.record = again->records[i]}) ==
            kembar::import::EncodeManual({.record = file->records[i]}));
      CHECK(again->records[i].attachments == file->records[i].attachments);
    }
  }
}

}  // namespace

// The first byte chooses the form.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 == 3) {
    CheckManual(bytes);
    return 0;
  }
  auto format = static_cast<Format>(data[0] % 4);
  auto file = kembar::import::ParseImport(format, "fuzz", bytes);
  if (!file.ok()) {
    CHECK(file.status().code() == kembar::Code::kInvalid);
    CHECK(file.status().message().starts_with("fuzz: "));
    return 0;
  }
  CheckPieces(*file, bytes);
  CheckReadsTheSame(format, *file);
  return 0;
}
