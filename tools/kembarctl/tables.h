// tables.h — what commands print for people: numbers to the right, amounts grouped, times with
// zone.
//
// Pure; each function gives text that ends with a line end, or nothing.
#pragma once

#include <string>
#include <vector>

#include "kembar/v1/record.pb.h"
#include "kembar/v1/tender.pb.h"
#include "tools/import/import.h"
#include "tools/kembarctl/status_view.h"

namespace kembar::ctl {

std::string StatusText(const LogView& view);
std::string SourcesText(const LogView& view);
std::string PackagesText(const std::vector<v1::Package>& packages);
std::string PackageText(const v1::Package& package, const std::vector<v1::Item>& items);
std::string RecordsText(const std::vector<v1::Record>& records);
// One record of a listing that is printed as it comes: columns of fixed width.
std::string RecordsHeader();
std::string RecordLine(const v1::Record& record);
std::string RejectsText(const std::vector<import::Reject>& rejects);

struct QuarantineRow {
  std::string node;
  uint64_t id = 0;
  std::string origin;
  int64_t time_us = 0;
  uint64_t first_index = 0;
  uint64_t last_index = 0;
  uint64_t acknowledged_to = 0;
  uint64_t records = 0;      // without control records
  uint64_t resubmitted = 0;  // of those
  uint64_t superseded = 0;   // likewise
  std::vector<std::string> packages;
};
std::string QuarantinesText(const std::vector<QuarantineRow>& rows);

struct VerifyRow {
  std::string node;
  uint64_t records = 0;
  uint64_t blobs = 0;
  std::vector<std::string> errors;
};
std::string VerifyText(const std::vector<VerifyRow>& rows);

}  // namespace kembar::ctl
