// config_sink.cc — see config_sink.h.
#include "tools/agent/config_sink.h"

#include <sstream>

#include "replicator/base/config_text.h"
#include "tools/agent/config_section.h"

namespace kembar::agent {
namespace {

constexpr NumberRange kQuiet{0, 31'536'000};
constexpr std::string_view kSourceBegins = "postgres/";

}  // namespace

Result<SinkConfig> ReadSink(ConfigSection section) {
  SinkConfig config;
  config.dsn = section.Required("dsn", "host=/var/run/postgresql dbname=epns_siaga");
  config.source = section.String("source", {});
  if (!config.source.empty() &&
      (!config.source.starts_with(kSourceBegins) || config.source.size() == kSourceBegins.size())) {
    section.Add("source", Quoted(config.source) + " is not a source of rows",
                "write e.g. source = \"postgres/epns_prod\"");
  }
  config.at = section.String("at", {});
  config.lag_warn_s = section.Number("lag_warn_s", config.lag_warn_s, kLag);
  config.lag_critical_s = section.Number("lag_critical_s", config.lag_critical_s, kLag);
  config.quiet_warn_s = section.Number("quiet_warn_s", config.quiet_warn_s, kQuiet);
  if (config.lag_critical_s < config.lag_warn_s) {
    section.Add("lag_critical_s", "is less than lag_warn_s");
  }
  RETURN_IF_ERROR(section.Finish());
  return config;
}

std::string SinkText(const SinkConfig& config) {
  std::ostringstream out;
  out << "\n[sink]\ndsn = " << Quoted(SafeDsn(config.dsn)) << "\nsource = " << Quoted(config.source)
      << "\nat = " << Quoted(config.at) << "\nlag_warn_s = " << config.lag_warn_s
      << "\nlag_critical_s = " << config.lag_critical_s
      << "\nquiet_warn_s = " << config.quiet_warn_s << "\n";
  return out.str();
}

}  // namespace kembar::agent
