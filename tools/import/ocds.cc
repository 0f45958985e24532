// ocds.cc — releases of the Open Contracting Data Standard 1.1. See mapping.h.
#include "tools/import/mapping.h"

namespace kembar::import {
namespace {

// An identifier as OCDS has it: a string, or for a release's id also an integer.
Result<std::string> ReadIdentifier(const Row& row, std::string_view key, bool number_allowed) {
  auto odd = [key](std::string_view why) {
    return Status(Code::kInvalid, std::string(key.substr(1)) + " " + std::string(why));
  };
  const Field* field = row.Find(key);
  if (field == nullptr) return odd("is missing");
  bool number = number_allowed && field->type == Field::Type::kNumber;
  if (field->type != Field::Type::kString && !number) return odd("is not a string");
  if (field->text.empty()) return odd("is empty");
  if (HasControlCharacter(field->text)) return odd("contains a control character");
  return field->text;
}

// The amount at `path` if it is in rupiah; the standard lets the currency be left out.
std::string RupiahAmount(const Row& row, const std::string& path) {
  const Field* currency = row.Find(path + "/currency");
  bool other = currency != nullptr && currency->type == Field::Type::kString &&
               !currency->text.empty() && currency->text != "IDR";
  return other ? std::string() : row.Decimal(path + "/amount");
}

}  // namespace

Status MapOcds(const Row& row, Draft* draft) {
  ASSIGN_OR_RETURN(draft->package, ReadIdentifier(row, "/ocid", false));
  ASSIGN_OR_RETURN(std::string id, ReadIdentifier(row, "/id", true));
  for (std::string_view taken : {"rup/", "tender/", "nontender/"}) {
    if (draft->package == "-" || draft->package.starts_with(taken)) {
      return {Code::kInvalid,
              "ocid \"" + Tidy(draft->package, 80) + "\" is not an OCDS identifier"};
    }
  }
  draft->item = "release/" + id;
  for (std::string_view path :
       {"/tender/title", "/planning/budget/project", "/planning/project", "/title"}) {
    if (draft->title.empty()) draft->title = row.Text(path);
  }
  for (std::string_view path : {"/tender/procuringEntity/name", "/buyer/name"}) {
    if (draft->unit.empty()) draft->unit = row.Text(path);
  }
  draft->value = RupiahAmount(row, "/tender/value");
  if (IsZero(draft->value)) draft->value = RupiahAmount(row, "/planning/budget/amount");
  return Status::Ok();
}

}  // namespace kembar::import
