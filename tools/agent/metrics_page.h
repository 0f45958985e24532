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

// What the page and alarms tell of times, which are microseconds since 1970 UTC.
inline constexpr int64_t kSecondUs = 1'000'000;
// Unset does not mean OK: what never was (0) is infinitely old.
double AgeSeconds(int64_t then_us, int64_t now_us);
// "17 s"
std::string WholeSeconds(double seconds);

}  // namespace kembar::agent
