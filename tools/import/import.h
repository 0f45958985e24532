// import.h — turns published tender files into drafts: one record to append per row or release.
//
// Pure but for the readers of files, which take one file whole into memory. Knows three forms:
//   kRup   SiRUP procurement plans: a JSON array of packages. Package "rup/<id>", item "rup"; a
//          repeated id with other contents is another version of the same item.
//   kOcds  OCDS 1.1: a release package, a record package with embedded releases, or one release.
//          Package = ocid, item "release/<id>".
//   kIsb   LKPP's ISB exports of an SPSE: JSON arrays, one file a dataset; what a row is shows from
//          its fields. Package "tender/<kd_tender>" or "nontender/<kd_nontender>", item
//          "<dataset>/<natural key>"; rows of all files join into the same packages (isb.cc).
//
// Promise: a payload is exactly the bytes of its row as they stand in the file; what is between
// rows (brackets, commas, white space, package metadata) is not kept. Amounts are copied as decimal
// text and never pass through floating point.
//
// One broken row costs one row: it is rejected with its place and the rest goes in. A file which is
// cut off or is not of the form gives a kInvalid Status instead, and nothing of it is imported;
// kIo and kNotFound say that it can't be read. Byte positions count from 0, rows from 1.
//
// Rows of one file may share package and item and differ in contents: all are facts, in file order.
// So whether a log holds a row already can't be told from the latest version of its item alone.
//
// Thread-safety: all functions may be called from any thread. The caller owns what it gets.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar::import {

struct Draft {
  std::string package;  // "rup/352749", an ocid, "tender/10011868000"; "-": belongs to no package
  std::string item;     // name inside the package; the same for the same row key in every file
  std::string payload;  // the row's exact bytes
  std::string title;    // the package's title if this row states one, white space tidied; or empty
  std::string
      value;  // the package's value in rupiah, exact decimal such as "999995334.78"; or empty
  std::string unit;  // the work unit that buys, likewise
  uint64_t row = 0;  // in its file, broken rows counted
};

struct Reject {
  std::string file;
  uint64_t row = 0;
  std::string reason;  // one line; names the byte or the key
};

struct ImportFile {
  std::string path;
  std::string sha256_hex;  // of the file's bytes
  std::vector<Draft> drafts;
  std::vector<Reject> rejected;
  uint64_t rows = 0;  // drafts and rejected together
};

enum class Format { kRup, kOcds, kIsb };

// "rup", "ocds" or "isb", as the command line says it; kInvalid otherwise.
Result<Format> ParseFormat(std::string_view name);

Result<ImportFile> ReadImportFile(Format format, const std::string& path);

// The same of bytes in memory; `name` stands for the path in messages.
Result<ImportFile> ParseImport(Format format, const std::string& name, std::string_view bytes);

// A file's bytes. kNotFound; kIo, also for a directory.
Result<std::string> ReadWholeFile(const std::string& path);
// The rest of an open file; `name` stands for it in messages.
Result<std::string> ReadWholeStream(std::FILE* in, const std::string& name);

// What a log takes; longer rows and names are rejected.
inline constexpr size_t kRowBytesMax = size_t{16} << 20;
inline constexpr size_t kTextBytesMax = 1024;

}  // namespace kembar::import
