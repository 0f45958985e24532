// import.cc — see import.h.
#include "tools/import/import.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "replicator/base/digest.h"
#include "tools/import/mapping.h"
#include "tools/import/row.h"
#include "tools/import/scanner.h"
#include "tools/import/split.h"

namespace kembar::import {
namespace {

struct FormatRules {
  std::string_view name;
  std::string_view expected;
  RowShape shape;
  Status (*map)(const Row& row, Draft* draft);
};

const FormatRules& RulesOf(Format format) {
  static const auto* const rules = new std::vector<FormatRules>{
      {"rup", "a JSON array of RUP packages", {{"id"}, false}, MapRup},
      {"ocds", "an OCDS release package, record package or release", {{"ocid"}, true}, MapOcds},
      {"isb",
       "a JSON array of ISB rows",
       {{"kd_tender", "kd_nontender", "kd_satker"}, false},
       MapIsb},
  };
  return (*rules)[static_cast<size_t>(format)];
}

Status NotOfTheForm(const FormatRules& rules, const std::string& why) {
  return {Code::kInvalid, "not " + std::string(rules.expected) + ": " + why,
          "rup, ocds and isb are different forms; see kembarctl import --help"};
}

// Moves *pos past `value`, whatever it is.
Status Skip(std::string_view bytes, size_t* pos) {
  Scan scan = ScanValue(bytes, *pos);
  if (!scan.ok) {
    return {Code::kInvalid,
            (scan.at_end ? "truncated" : scan.why) + " at byte " + std::to_string(scan.at)};
  }
  *pos = scan.end;
  return Status::Ok();
}

// The releases inside one record, which is well-formed; a broken record is one broken row.
Status SplitRecord(std::string_view bytes, const RowShape& shape, const Slice& record,
                   std::vector<Slice>* rows) {
  if (!record.broken.empty() || bytes[record.begin] != '{') {
    rows->push_back(record);
    return Status::Ok();
  }
  size_t pos = record.begin;
  return WalkObject(bytes, &pos, [&](std::string_view key, size_t* value) {
    if (key == "releases" && bytes[*value] == '[') return SplitArray(bytes, shape, value, rows);
    return Skip(bytes, value);
  });
}

Status SplitRecords(std::string_view bytes, const RowShape& shape, size_t* pos,
                    std::vector<Slice>* rows) {
  std::vector<Slice> records;
  RETURN_IF_ERROR(SplitArray(bytes, shape, pos, &records));
  for (const Slice& record : records) {
    RETURN_IF_ERROR(SplitRecord(bytes, shape, record, rows));
  }
  return Status::Ok();
}

Status SplitOcds(std::string_view bytes, const FormatRules& rules, size_t* pos,
                 std::vector<Slice>* rows) {
  size_t begin = *pos;
  bool package = false;
  bool release = false;
  auto member = [&](std::string_view key, size_t* value) {
    bool array = *value < bytes.size() && bytes[*value] == '[';
    release = release || key == "ocid";
    package = package || (array && (key == "releases" || key == "records"));
    if (array && key == "releases") return SplitArray(bytes, rules.shape, value, rows);
    if (array && key == "records") return SplitRecords(bytes, rules.shape, value, rows);
    return Skip(bytes, value);
  };
  RETURN_IF_ERROR(WalkObject(bytes, pos, member));
  if (package) return Status::Ok();
  if (!release)
    return NotOfTheForm(rules, "no \"releases\", \"records\" or \"ocid\" in the object");
  rows->push_back({begin, *pos, {}});
  return Status::Ok();
}

Result<std::vector<Slice>> SplitFile(std::string_view bytes, const FormatRules& rules) {
  if (bytes.starts_with("\xff\xfe") || bytes.starts_with("\xfe\xff")) {
    return Status(Code::kInvalid, "is UTF-16 text", "save it as UTF-8");
  }
  size_t pos = SkipSpace(bytes, bytes.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  if (pos == bytes.size()) return Status(Code::kInvalid, "is empty");

  bool ocds = rules.shape.nested;
  if (bytes[pos] != (ocds ? '{' : '[')) {
    return NotOfTheForm(rules, DescribeByte(bytes, pos) + " at byte " + std::to_string(pos));
  }
  std::vector<Slice> rows;
  RETURN_IF_ERROR(ocds ? SplitOcds(bytes, rules, &pos, &rows)
                       : SplitArray(bytes, rules.shape, &pos, &rows));
  pos = SkipSpace(bytes, pos);
  if (pos != bytes.size()) {
    return Status(Code::kInvalid, "unexpected " + DescribeByte(bytes, pos) + " at byte " +
                                      std::to_string(pos) + ", behind the end of the " +
                                      (ocds ? "object" : "array"));
  }
  return rows;
}

Status CheckLimits(const Draft& draft) {
  auto too_long = [](std::string_view what, size_t bytes_max) {
    return Status(Code::kInvalid,
                  std::string(what) + " is longer than " + std::to_string(bytes_max) + " bytes");
  };
  if (draft.payload.size() > kRowBytesMax) return too_long("the row", kRowBytesMax);
  if (draft.package.size() > kTextBytesMax) return too_long("the package's name", kTextBytesMax);
  if (draft.item.size() > kTextBytesMax) return too_long("the item's name", kTextBytesMax);
  return Status::Ok();
}

Status ToDraft(const FormatRules& rules, std::string_view bytes, const Slice& slice, Draft* draft) {
  if (!slice.broken.empty()) return {Code::kInvalid, slice.broken};
  draft->payload = bytes.substr(slice.begin, slice.end - slice.begin);
  ASSIGN_OR_RETURN(Row row, ParseRow(draft->payload, slice.begin));
  RETURN_IF_ERROR(rules.map(row, draft));
  return CheckLimits(*draft);
}

Status CannotRead(const std::string& name) {
  const Code code = errno == ENOENT ? Code::kNotFound : Code::kIo;
  return {code, name + ": " + std::strerror(errno)};
}

}  // namespace

// Not by streams: libstdc++'s throw at what opens and cannot be read, such as a directory.
Result<std::string> ReadWholeStream(std::FILE* in, const std::string& name) {
  errno = 0;
  std::string bytes;
  char buffer[65536];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, in)) bytes.append(buffer, got);
  if (std::ferror(in) != 0) return CannotRead(name);
  return bytes;
}

Result<std::string> ReadWholeFile(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (file == nullptr) return CannotRead(path);
  return ReadWholeStream(file.get(), path);
}

Result<Format> ParseFormat(std::string_view name) {
  for (Format format : {Format::kRup, Format::kOcds, Format::kIsb}) {
    if (RulesOf(format).name == name) return format;
  }
  return Status(Code::kInvalid, "unknown form \"" + std::string(name) + "\"", "rup, ocds or isb");
}

Result<ImportFile> ParseImport(Format format, const std::string& name, std::string_view bytes) {
  const FormatRules& rules = RulesOf(format);
  Result<std::vector<Slice>> slices = SplitFile(bytes, rules);
  if (!slices.ok()) return slices.status().Prepend(name);

  ImportFile file;
  file.path = name;
  file.sha256_hex = ToHex(Sha256({bytes}));
  file.rows = slices->size();
  uint64_t number = 0;
  for (const Slice& slice : *slices) {
    Draft draft;
    draft.row = ++number;
    Status status = ToDraft(rules, bytes, slice, &draft);
    if (status.ok()) {
      file.drafts.push_back(std::move(draft));
    } else {
      file.rejected.push_back({name, number, status.message()});
    }
  }
  return file;
}

Result<ImportFile> ReadImportFile(Format format, const std::string& path) {
  ASSIGN_OR_RETURN(std::string bytes, ReadWholeFile(path));
  return ParseImport(format, path, bytes);
}

}  // namespace kembar::import
