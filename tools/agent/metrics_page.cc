// metrics_page.cc — see metrics_page.h.
#include "tools/agent/metrics_page.h"

#include <algorithm>
#include <limits>

#include <prometheus/text_serializer.h>

namespace kembar::agent {

using prometheus::MetricType;

void MetricsPage::Gauge(const char* name, const char* help, double value, const Labels& labels) {
  Sample(name, help, MetricType::Gauge, labels).gauge.value = value;
}

void MetricsPage::Counter(const char* name, const char* help, uint64_t value,
                          const Labels& labels) {
  Sample(name, help, MetricType::Counter, labels).counter.value = static_cast<double>(value);
}

std::string MetricsPage::Text() const { return prometheus::TextSerializer().Serialize(families_); }

prometheus::ClientMetric& MetricsPage::Sample(const char* name, const char* help, MetricType type,
                                              const Labels& labels) {
  auto at = std::find_if(families_.begin(), families_.end(),
                         [name](const auto& family) { return family.name == name; });
  if (at == families_.end()) at = families_.insert(at, {name, help, type, {}});
  prometheus::ClientMetric& sample = at->metric.emplace_back();
  for (const auto& [key, value] : labels) sample.label.push_back({key, value});
  return sample;
}

double AgeSeconds(int64_t then_us, int64_t now_us) {
  if (then_us == 0) return std::numeric_limits<double>::infinity();
  return static_cast<double>(std::max<int64_t>(now_us - then_us, 0)) / kSecondUs;
}

std::string WholeSeconds(double seconds) {
  return std::to_string(static_cast<int64_t>(seconds)) + " s";
}

}  // namespace kembar::agent
