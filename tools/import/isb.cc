// isb.cc — rows of LKPP's ISB exports of an SPSE. See mapping.h.
//
// An export file does not say what it is, and its name changes with whoever fetched it; the columns
// don't. Keys are those that are unique in a regency's year of 15,000 rows:
// * An addendum repeats its SPPBJ, contract or SPMK with versi_addendum 1: a fact of its own.
// * BAP/BAST comes once for each day of export (_event_date) with the same facts: versions. Two
//   payments may share both numbers, but not the day of the BAP.
#include <algorithm>
#include <array>
#include <vector>

#include "replicator/base/bytes.h"
#include "replicator/base/digest.h"
#include "tools/import/mapping.h"

namespace kembar::import {
namespace {

constexpr size_t kItemBytesMax = 200;

struct Dataset {
  std::string_view name;
  std::vector<std::string_view> columns;  // a row that has all of them is of this dataset
  std::vector<std::string_view> keys;
  bool states_package = false;  // its rows give the package's title, value and unit
};

// The first that fits counts: later steps repeat the columns of earlier ones.
const std::vector<Dataset>& Datasets() {
  static const auto* const datasets = new std::vector<Dataset>{
      {"jadwal", {"/kd_tahapan"}, {"/kd_tahapan"}},
      {"peserta", {"/kd_peserta"}, {"/kd_peserta"}},
      {"bapbast", {"/no_bast", "/no_bap"}, {"/no_bast", "/no_bap", "/tgl_bap"}},
      {"spmk", {"/no_spmk_spp"}, {"/no_spmk_spp"}},
      {"kontrak", {"/no_kontrak"}, {"/no_kontrak"}},
      {"sppbj", {"/no_sppbj"}, {"/no_sppbj"}},
      {"nilai", {"/kd_rup_paket", "/nilai_kontrak"}, {"/kd_penyedia"}},
      {"selesai", {"/nama_paket", "/tgl_selesai_nontender"}, {}, true},
      {"selesai", {"/nama_paket", "/tgl_penetapan_pemenang"}, {}, true},
      {"pengumuman", {"/nama_paket", "/tgl_pengumuman_nontender"}, {}, true},
      {"pengumuman", {"/nama_paket", "/tgl_pengumuman_tender"}, {}, true},
  };
  return *datasets;
}

const Dataset* FindDataset(const Row& row) {
  for (const Dataset& dataset : Datasets()) {
    if (std::all_of(dataset.columns.begin(), dataset.columns.end(),
                    [&row](std::string_view column) { return row.Has(column); })) {
      return &dataset;
    }
  }
  return nullptr;
}

bool IsGiven(const Row& row, std::string_view key) {
  const Field* field = row.Find(key);
  return field != nullptr && field->type != Field::Type::kNull;
}

// One part of a natural key, typed by people: white space tidied, "?" for null, and what separates
// parts escaped.
Result<std::string> KeyPart(const Row& row, std::string_view key) {
  if (!IsGiven(row, key)) return std::string("?");
  const Field* field = row.Find(key);
  if (field->type != Field::Type::kString && field->type != Field::Type::kNumber) {
    return Status(Code::kInvalid, std::string(key.substr(1)) + " is neither text nor a number");
  }
  std::string text = Tidy(field->text, field->text.size());
  // Days come with and without a time of midnight, depending on the export.
  if (key.starts_with("/tgl_") && text.size() > 10 && text[10] == 'T') text.resize(10);
  std::string out;
  for (char c : text) {
    if (c == '|' || c == '%' || c == '?') {
      out += "%" + ToHex(std::string_view(&c, 1));
    } else {
      out += c;
    }
  }
  return out;
}

Result<std::string> ItemName(const Dataset& dataset, const Row& row) {
  std::string item(dataset.name);
  char separator = '/';
  for (std::string_view key : dataset.keys) {
    ASSIGN_OR_RETURN(std::string part, KeyPart(row, key));
    item += separator + part;
    separator = '|';
  }
  std::string addendum = row.Decimal("/versi_addendum");
  if (!dataset.keys.empty() && !IsZero(addendum)) item += "|addendum " + addendum;
  if (item.size() <= kItemBytesMax) return item;
  return Tidy(item, kItemBytesMax) + "|" + ToHex(Sha256({item})).substr(0, 16);
}

std::string PackageValue(const Row& row) {
  std::string value = row.Decimal("/hps");
  return IsZero(value) ? row.Decimal("/pagu") : value;
}

// The master list of work units: rows that belong to no package.
Status MapSatker(const Row& row, Draft* draft) {
  ASSIGN_OR_RETURN(std::string code, ReadCode(row, "/kd_satker"));
  draft->package = "-";
  draft->item = "satker/" + code;
  return Status::Ok();
}

}  // namespace

Status MapIsb(const Row& row, Draft* draft) {
  bool tender = IsGiven(row, "/kd_tender");
  bool nontender = IsGiven(row, "/kd_nontender");
  if (tender && nontender) return {Code::kInvalid, "has both kd_tender and kd_nontender"};
  if (!tender && !nontender) {
    if (row.Has("/kd_satker") && row.Has("/status_satker")) return MapSatker(row, draft);
    return {Code::kInvalid, "has neither kd_tender nor kd_nontender"};
  }
  ASSIGN_OR_RETURN(std::string code, ReadCode(row, tender ? "/kd_tender" : "/kd_nontender"));
  draft->package = (tender ? "tender/" : "nontender/") + code;

  const Dataset* dataset = FindDataset(row);
  if (dataset == nullptr) {
    draft->item = "lain/" + ToHex(Sha256({draft->payload})).substr(0, 16);
    return Status::Ok();
  }
  ASSIGN_OR_RETURN(draft->item, ItemName(*dataset, row));
  if (dataset->states_package) {
    draft->title = row.Text("/nama_paket");
    draft->value = PackageValue(row);
    draft->unit = row.Text("/nama_satker");
  }
  return Status::Ok();
}

}  // namespace kembar::import
