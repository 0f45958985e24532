// format.h — how kembarctl shows things to people: money, counts, times, tables and progress.
//
// JSON output is made elsewhere and never passes through here. Amounts are exact decimal text,
// never floating point. Times are microseconds since 1970 UTC, shown in the machine's zone (or TZ)
// with its name. Text from records is untrusted: control characters and the invisible characters
// that turn the direction of writing never reach the terminal.
//
// Thread-safety: functions may be called from any thread unless the environment is changed
// meanwhile; a Table or ProgressBar belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "replicator/base/status.h"

namespace kembar {

// "1234567890" → "Rp 1.234.567.890,00"; "" → "-". Fractions finer than sen are shown, not rounded.
// What is no decimal comes back as Printable makes it.
std::string FormatRupiah(std::string_view decimal);

// 6436 → "6.436", as Indonesians group.
std::string FormatCount(uint64_t count);

// "821 B", "14,9 kB", "800 MB": decimal units, cut and not rounded, at most one digit behind the
// comma.
std::string FormatBytes(uint64_t bytes);

// 75 → "1:15", 3675 → "1:01:15".
std::string FormatDuration(uint64_t seconds);

// "2026-11-24 20:14:10 WIB".
std::string FormatTime(int64_t unix_micros);

// RFC 3339, or "YYYY-MM-DD[ HH:MM[:SS[.frac]]]" in local time (a day alone: its beginning). Either
// may end with WIB, WITA, WIT or UTC, so that what FormatTime shows can be given back. kInvalid
// otherwise; also for days and times that no calendar has.
Result<int64_t> ParseTime(std::string_view text);

// Columns that `text` takes on a terminal: 2 for East Asian wide characters and emoji, 0 for
// combining marks, 1 for a byte that is not valid UTF-8.
size_t DisplayWidth(std::string_view text);

// `text` on one line and harmless: line breaks and tabs become spaces, other control characters and
// invalid bytes U+FFFD.
std::string Printable(std::string_view text);

// Columns of the terminal behind standard output; 0 when it is none (then nothing is cut).
size_t TerminalWidth();
// Standard output is a terminal that takes colours, and NO_COLOR is not set.
bool UseColor();

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
  };
  struct Style {
    size_t width = 0;    // cut left-aligned columns, the widest first, to fit; 0: never
    bool color = false;  // underlines the header
  };

  explicit Table(std::vector<Column> columns);

  // One cell a column; CHECKs that.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // Header and rows, each a line, without trailing spaces.
  std::string Render(const Style& style) const;

 private:
  std::vector<size_t> FitWidths(size_t width_max) const;

  const std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// One line of progress, without the terminal's control characters; at most `width` columns if that
// is not 0. `elapsed` so far gives rate and time left.
struct Progress {
  std::string label;
  uint64_t done = 0;
  uint64_t total = 0;  // 0: unknown
  std::chrono::milliseconds elapsed{0};
};
std::string RenderProgress(const Progress& progress, size_t width);

// A bar for long work, on standard error, and only while standard output is a terminal: whoever
// pipes data away sees nothing. Appears after 300 ms, is redrawn at most ten times a second, and
// leaves its last state on a line of its own.
class ProgressBar {
 public:
  ProgressBar(std::string label, uint64_t total);
  // For tests: where to draw, and whether.
  ProgressBar(std::string label, uint64_t total, std::FILE* out, bool shown,
              std::chrono::milliseconds delay);
  ~ProgressBar() { Finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(uint64_t done);
  // Idempotent. Call before printing anything else.
  void Finish();

 private:
  using Clock = std::chrono::steady_clock;
  void Draw(Clock::time_point now);

  std::FILE* const out_;
  const bool shown_;
  const std::chrono::milliseconds delay_;
  const Clock::time_point started_;
  Clock::time_point drawn_;
  Progress progress_;
  bool visible_ = false;
  bool finished_ = false;
};

}  // namespace kembar
