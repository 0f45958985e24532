// config_documents.cc — see config_documents.h.
#include "tools/agent/config_documents.h"

#include <sstream>

#include "replicator/base/config_text.h"
#include "tools/agent/config_section.h"
#include "tools/capture/path.h"

namespace kembar::agent {
namespace {

constexpr NumberRange kSettle{0, 3'600'000};
constexpr NumberRange kReconcile{1, 31'536'000};
constexpr NumberRange kOptional{0, 31'536'000};
constexpr NumberRange kPercent{0, 100};
constexpr NumberRange kCount{1, 1'000'000'000};
constexpr NumberRange kRate{0, int64_t{1} << 40};

bool IsName(const std::string& text) {
  return text.size() <= kSourceNameBytesMax &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string::npos;
}

}  // namespace

Result<DocumentsConfig> ReadDocuments(ConfigSection section) {
  DocumentsConfig config;
  documents::SourceOptions& options = config.options;
  options.name = section.Required("name", "file_prod");
  if (!IsName(options.name)) {
    section.Add("name",
                Quoted(options.name) + " is not a name: 1 to 63 letters, digits, '-', '_', '.'");
  }
  options.dir = section.Required("dir", "/home/file/file_prod");
  if (!options.dir.empty() && options.dir.front() != '/') {
    section.Add("dir", Quoted(options.dir) + " does not begin with /");
  }
  options.settle_ms = section.Number("settle_ms", options.settle_ms, kSettle);
  options.reconcile_every_s =
      section.Number("reconcile_every_s", options.reconcile_every_s, kReconcile);
  options.references_every_s =
      section.Number("references_every_s", options.references_every_s, kReconcile);
  options.canary_every_s = section.Number("canary_every_s", options.canary_every_s, kOptional);
  options.exclude = section.Strings("exclude", {});
  for (const std::string& text : options.exclude) {
    const auto pattern = capture::PathPattern::Parse(text);
    if (!pattern.ok()) section.Add("exclude", pattern.status().message(), pattern.status().hint());
  }
  options.upload_limit = section.Size("upload_limit", options.upload_limit, kRate);
  options.mass_delete_percent = static_cast<uint64_t>(section.Number(
      "mass_delete_percent", static_cast<int64_t>(options.mass_delete_percent), kPercent));
  options.mass_delete_min = static_cast<uint64_t>(
      section.Number("mass_delete_min", static_cast<int64_t>(options.mass_delete_min), kCount));
  options.audit_every_s = section.Number("audit_every_s", options.audit_every_s, kOptional);
  options.audit_limit = section.Size("audit_limit", options.audit_limit, kRate);
  config.mapping_file = section.String("mapping", {});
  RETURN_IF_ERROR(section.Finish());
  return config;
}

std::string DocumentsText(const DocumentsConfig& config) {
  const documents::SourceOptions& options = config.options;
  std::ostringstream out;
  out << "\n[documents]\nname = " << Quoted(options.name) << "\ndir = " << Quoted(options.dir)
      << "\nsettle_ms = " << options.settle_ms
      << "\nreconcile_every_s = " << options.reconcile_every_s
      << "\nreferences_every_s = " << options.references_every_s
      << "\ncanary_every_s = " << options.canary_every_s << "\nexclude = [";
  for (size_t i = 0; i < options.exclude.size(); ++i) {
    out << (i > 0 ? ", " : "") << Quoted(options.exclude[i]);
  }
  out << "]\nupload_limit = " << Quoted(SizeText(options.upload_limit))
      << "\nmass_delete_percent = " << options.mass_delete_percent
      << "\nmass_delete_min = " << options.mass_delete_min
      << "\naudit_every_s = " << options.audit_every_s
      << "\naudit_limit = " << Quoted(SizeText(options.audit_limit))
      << "\nmapping = " << Quoted(config.mapping_file) << "\n";
  return out.str();
}

}  // namespace kembar::agent
