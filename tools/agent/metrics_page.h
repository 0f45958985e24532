// metrics_page.h — a page of metrics in Prometheus' text form.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

namespace kembar::agent {

// Gathers samples into families; a family is named once and keeps the order of first use.
class MetricsPage {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;

  void Gauge(const char* name, const char* help, double value, const Labels& labels = {});
  void Counter(const char* name, const char* help, uint64_t value, const Labels& labels = {});
  std::string Text() const;

 private:
  prometheus::ClientMetric& Sample(const char* name, const char* help, prometheus::MetricType type,
                                   const Labels& labels);

  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace kembar::agent
