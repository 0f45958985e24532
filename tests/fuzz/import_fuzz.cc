// import_fuzz.cc — any bytes, as each form: refused as a whole, or cut into rows that are exact
// pieces of the input in order, and which read the same when they stand in a file of their own.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "replicator/base/check.h"
#include "tools/import/import.h"

namespace {

using kembar::import::Draft;
using kembar::import::Format;
using kembar::import::ImportFile;

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

}  // namespace

// The first byte chooses the form.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto format = static_cast<Format>(data[0] % 3);
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
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
