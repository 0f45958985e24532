// format.cc — see format.h.
#include "tools/kembarctl/format.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <optional>

#include "replicator/base/check.h"

namespace kembar {
namespace {

constexpr int64_t kMicros = 1'000'000;
constexpr size_t kColumnWidthMin = 8;
constexpr std::string_view kGap = "  ";
constexpr std::chrono::milliseconds kRedrawEvery{100};

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string GroupDigits(std::string_view digits) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += '.';
    out += digits[i];
  }
  return out;
}

// --- UTF-8 on a terminal ---

struct Glyph {
  char32_t code = 0xfffd;
  size_t bytes = 1;
  bool valid = false;
};

Glyph DecodeGlyph(std::string_view text) {
  auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, true};
  size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || size > text.size()) return {};
  char32_t code = lead & (0xffU >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if ((c & 0xc0) != 0x80) return {};
    code = (code << 6) | (c & 0x3f);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[size] || surrogate || code > 0x10ffff) return {};
  return {code, size, true};
}

struct Range {
  char32_t first, last;
};

template <size_t N>
bool InAny(char32_t code, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [code](Range r) { return code >= r.first && code <= r.last; });
}

size_t GlyphWidth(char32_t code) {
  constexpr std::array<Range, 8> kZero = {{{0x300, 0x36f},
                                           {0x483, 0x489},
                                           {0x200b, 0x200d},
                                           {0x1ab0, 0x1aff},
                                           {0x1dc0, 0x1dff},
                                           {0x20d0, 0x20ff},
                                           {0xfe00, 0xfe0f},
                                           {0xfe20, 0xfe2f}}};
  constexpr std::array<Range, 9> kWide = {{{0x1100, 0x115f},
                                           {0x2e80, 0xa4cf},
                                           {0xac00, 0xd7a3},
                                           {0xf900, 0xfaff},
                                           {0xfe30, 0xfe6f},
                                           {0xff00, 0xff60},
                                           {0xffe0, 0xffe6},
                                           {0x1f300, 0x1faff},
                                           {0x20000, 0x3fffd}}};
  if (code < 0x300) return 1;
  if (InAny(code, kZero)) return 0;
  return InAny(code, kWide) ? 2 : 1;
}

bool IsHarmful(char32_t code) {
  constexpr std::array<Range, 6> kHarmful = {{{0x00, 0x1f},
                                              {0x7f, 0x9f},
                                              {0x200e, 0x200f},
                                              {0x2028, 0x202e},
                                              {0x2066, 0x2069},
                                              {0xfeff, 0xfeff}}};
  return InAny(code, kHarmful);
}

// The longest beginning of `text` that takes at most `width` columns, an ellipsis included if cut.
std::string CutToWidth(const std::string& text, size_t width) {
  if (DisplayWidth(text) <= width) return text;
  if (width == 0) return {};
  size_t used = 0;
  size_t at = 0;
  while (at < text.size()) {
    Glyph glyph = DecodeGlyph(std::string_view(text).substr(at));
    size_t wide = GlyphWidth(glyph.code);
    if (used + wide > width - 1) break;
    used += wide;
    at += glyph.bytes;
  }
  return text.substr(0, at) + "…";
}

void AppendPadded(std::string* line, const std::string& text, size_t width, Table::Align align) {
  size_t pad = width - std::min(width, DisplayWidth(text));
  if (align == Table::Align::kRight) line->append(pad, ' ');
  *line += text;
  if (align == Table::Align::kLeft) line->append(pad, ' ');
}

// --- Reading times ---

class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }

  bool Take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  // Exactly `digits` digits with a value in [low, high].
  bool Number(size_t digits, int low, int high, int* out) {
    if (rest_.size() < digits || !IsDigits(rest_.substr(0, digits))) return false;
    int value = 0;
    for (char c : rest_.substr(0, digits)) value = value * 10 + (c - '0');
    rest_.remove_prefix(digits);
    *out = value;
    return value >= low && value <= high;
  }

  // One to nine digits of a second; finer than a microsecond is cut off.
  bool Fraction(int64_t* micros) {
    size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    if (digits < 1 || digits > 9) return false;
    std::string padded(rest_.substr(0, std::min<size_t>(digits, 6)));
    padded.resize(6, '0');
    *micros = std::atoll(padded.c_str());
    rest_.remove_prefix(digits);
    return true;
  }

  // Minutes east of UTC; unset when no zone is given.
  bool Zone(std::optional<int>* minutes) {
    constexpr std::array<std::pair<std::string_view, int>, 7> kNames = {{{"Z", 0},
                                                                         {"z", 0},
                                                                         {" UTC", 0},
                                                                         {" GMT", 0},
                                                                         {" WIB", 420},
                                                                         {" WITA", 480},
                                                                         {" WIT", 540}}};
    if (AtEnd()) return true;
    for (const auto& [name, value] : kNames) {
      if (rest_ != name) continue;
      *minutes = value;
      rest_ = {};
      return true;
    }
    int hour = 0;
    int minute = 0;
    bool west = rest_.starts_with('-');
    if (!west && !rest_.starts_with('+')) return false;
    rest_.remove_prefix(1);
    if (!Number(2, 0, 23, &hour) || !Take(":") || !Number(2, 0, 59, &minute)) return false;
    *minutes = (west ? -1 : 1) * (hour * 60 + minute);
    return AtEnd();
  }

 private:
  std::string_view rest_;
};

struct CivilTime {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  int64_t micros = 0;
  std::optional<int> zone_minutes;
};

bool ReadCivilTime(std::string_view text, CivilTime* t) {
  TimeReader in(text);
  bool date = in.Number(4, 1, 9999, &t->year) && in.Take("-") && in.Number(2, 1, 12, &t->month) &&
              in.Take("-") && in.Number(2, 1, 31, &t->day);
  std::chrono::year_month_day ymd{std::chrono::year(t->year),
                                  std::chrono::month(static_cast<unsigned>(t->month)),
                                  std::chrono::day(static_cast<unsigned>(t->day))};
  if (!date || !ymd.ok()) return false;
  if (in.AtEnd()) return true;
  if (!in.Take("T") && !in.Take("t") && !in.Take(" ")) return false;
  bool minutes = in.Number(2, 0, 23, &t->hour) && in.Take(":") && in.Number(2, 0, 59, &t->minute);
  if (!minutes) return false;
  if (in.Take(":")) {
    if (!in.Number(2, 0, 59, &t->second)) return false;
    if (in.Take(".") && !in.Fraction(&t->micros)) return false;
  }
  return in.Zone(&t->zone_minutes);
}

// Seconds since 1970 UTC of a local time; nothing when the zone has no such time.
std::optional<int64_t> LocalSeconds(const CivilTime& t) {
  std::tm tm{};
  tm.tm_year = t.year - 1900;
  tm.tm_mon = t.month - 1;
  tm.tm_mday = t.day;
  tm.tm_hour = t.hour;
  tm.tm_min = t.minute;
  tm.tm_sec = t.second;
  tm.tm_isdst = -1;
  tm.tm_wday = -1;
  tzset();
  std::time_t seconds = std::mktime(&tm);
  bool moved = tm.tm_hour != t.hour || tm.tm_min != t.minute;  // the clock was put forward over it
  if (tm.tm_wday == -1 || moved) return std::nullopt;
  return seconds;
}

}  // namespace

std::string FormatRupiah(std::string_view decimal) {
  if (decimal.empty()) return "-";
  std::string_view digits = decimal;
  bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  size_t point = std::min(digits.find('.'), digits.size());
  std::string_view whole = digits.substr(0, point);
  std::string fraction(point < digits.size() ? digits.substr(point + 1) : std::string_view());
  if (!IsDigits(whole) || (point < digits.size() && !IsDigits(fraction))) {
    return Printable(decimal);
  }
  whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size() - 1));
  while (fraction.size() > 2 && fraction.back() == '0') fraction.pop_back();
  if (fraction.size() < 2) fraction.resize(2, '0');
  return (negative ? "-Rp " : "Rp ") + GroupDigits(whole) + "," + fraction;
}

std::string FormatCount(uint64_t count) { return GroupDigits(std::to_string(count)); }

std::string FormatBytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 7> kUnits = {" B",  " kB", " MB", " GB",
                                                      " TB", " PB", " EB"};
  size_t unit = 0;
  uint64_t scale = 1;
  while (unit + 1 < kUnits.size() && bytes / scale >= 1000) {
    scale *= 1000;
    ++unit;
  }
  std::string out = std::to_string(bytes / scale);
  uint64_t tenth = unit == 0 ? 0 : bytes % scale / (scale / 10);
  if (bytes / scale < 100 && tenth > 0) out += "," + std::to_string(tenth);
  return out.append(kUnits[unit]);
}

std::string FormatDuration(uint64_t seconds) {
  auto two = [](uint64_t n) { return (n < 10 ? ":0" : ":") + std::to_string(n); };
  uint64_t hours = seconds / 3600;
  std::string minutes =
      hours > 0 ? std::to_string(hours) + two(seconds / 60 % 60) : std::to_string(seconds / 60);
  return minutes + two(seconds % 60);
}

std::string FormatTime(int64_t unix_micros) {
  int64_t seconds = unix_micros / kMicros - (unix_micros % kMicros < 0 ? 1 : 0);
  std::time_t time = seconds;
  std::tm tm{};
  tzset();
  if (localtime_r(&time, &tm) == nullptr) return std::to_string(seconds) + " s since 1970";
  char text[80];
  size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &tm);
  return std::string(text, size);
}

Result<int64_t> ParseTime(std::string_view text) {
  CivilTime t;
  std::optional<int64_t> seconds;
  if (ReadCivilTime(text, &t)) {
    if (t.zone_minutes) {
      std::chrono::sys_days day = std::chrono::year(t.year) / t.month / t.day;
      seconds = int64_t{day.time_since_epoch().count()} * 86400 + t.hour * 3600 + t.minute * 60 +
                t.second - int64_t{*t.zone_minutes} * 60;
    } else {
      seconds = LocalSeconds(t);
    }
  }
  if (!seconds) {
    return Status(Code::kInvalid, "\"" + Printable(text) + "\" is not a time",
                  "write 2026-11-24, \"2026-11-24 20:14:10\" or 2026-11-24T20:14:10+07:00");
  }
  return *seconds * kMicros + t.micros;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    Glyph glyph = DecodeGlyph(text);
    width += GlyphWidth(glyph.code);
    text.remove_prefix(glyph.bytes);
  }
  return width;
}

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    Glyph glyph = DecodeGlyph(text);
    if (glyph.code == '\n' || glyph.code == '\r' || glyph.code == '\t') {
      out += ' ';
    } else if (!glyph.valid || IsHarmful(glyph.code)) {
      out += "\ufffd";
    } else {
      out += text.substr(0, glyph.bytes);
    }
    text.remove_prefix(glyph.bytes);
  }
  return out;
}

size_t TerminalWidth() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0) return 0;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

bool UseColor() {
  const char* off = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return isatty(STDOUT_FILENO) != 0 && !dumb && (off == nullptr || *off == '\0');
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::AddRow(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Table::FitWidths(size_t width_max) const {
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = DisplayWidth(columns_[c].header);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[c]));
    widths.push_back(width);
    total += width + (c > 0 ? kGap.size() : 0);
  }
  while (width_max > 0 && total > width_max) {
    size_t widest = columns_.size();
    for (size_t c = 0; c < columns_.size(); ++c) {
      bool can_shrink = columns_[c].align == Align::kLeft && widths[c] > kColumnWidthMin;
      if (can_shrink && (widest == columns_.size() || widths[c] > widths[widest])) widest = c;
    }
    if (widest == columns_.size()) break;  // numbers are never cut: the lines wrap
    --widths[widest];
    --total;
  }
  return widths;
}

std::string Table::Render(const Style& style) const {
  std::vector<size_t> widths = FitWidths(style.width);
  auto render_line = [&](auto cell_of) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) line += kGap;
      AppendPadded(&line, CutToWidth(cell_of(c), widths[c]), widths[c], columns_[c].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::string header = render_line([this](size_t c) { return columns_[c].header; });
  std::string out = style.color ? "\x1b[4m" + header + "\x1b[0m\n" : header + "\n";
  for (const auto& row : rows_) {
    out += render_line([&row](size_t c) { return row[c]; }) + "\n";
  }
  return out;
}

std::string RenderProgress(const Progress& progress, size_t width) {
  std::string text = FormatCount(progress.done);
  std::string bar;
  auto elapsed_ms = static_cast<uint64_t>(std::max<int64_t>(progress.elapsed.count(), 1));
  if (progress.total > 0) {
    uint64_t done = std::min(progress.done, progress.total);
    double share = static_cast<double>(done) / static_cast<double>(progress.total);
    auto filled = static_cast<size_t>(share * 24);
    bar = " [" + std::string(filled, '#') + std::string(24 - filled, '.') + "]";
    std::string percent = std::to_string(static_cast<int>(share * 100));
    text = std::string(3 - percent.size(), ' ') + percent + "%  " + text + "/" +
           FormatCount(progress.total);
  }
  double rate = static_cast<double>(progress.done) * 1000 / static_cast<double>(elapsed_ms);
  text += "  " + FormatCount(static_cast<uint64_t>(rate)) + "/s";
  if (progress.total > progress.done && progress.done > 0) {
    double left = static_cast<double>(progress.total - progress.done) / rate;
    text += "  " + FormatDuration(static_cast<uint64_t>(left + 0.999)) + " left";
  } else if (progress.total > 0 && progress.done >= progress.total) {
    text += "  " + FormatDuration(elapsed_ms / 1000);
  }
  std::string line = Printable(progress.label) + bar + " " + text;
  if (width > 0 && DisplayWidth(line) > width) line = Printable(progress.label) + " " + text;
  return width > 0 ? CutToWidth(line, width) : line;
}

ProgressBar::ProgressBar(std::string label, uint64_t total)
    : ProgressBar(std::move(label), total, stderr, isatty(STDOUT_FILENO) != 0,
                  std::chrono::milliseconds(300)) {}

ProgressBar::ProgressBar(std::string label, uint64_t total, std::FILE* out, bool shown,
                         std::chrono::milliseconds delay)
    : out_(out), shown_(shown), delay_(delay), started_(Clock::now()) {
  progress_.label = std::move(label);
  progress_.total = total;
}

void ProgressBar::Update(uint64_t done) {
  progress_.done = done;
  if (!shown_ || finished_) return;
  Clock::time_point now = Clock::now();
  if (now - started_ < delay_ || (visible_ && now - drawn_ < kRedrawEvery)) return;
  Draw(now);
}

void ProgressBar::Finish() {
  if (finished_) return;
  finished_ = true;
  if (!visible_) return;
  Draw(Clock::now());
  std::fputc('\n', out_);
  std::fflush(out_);
}

void ProgressBar::Draw(Clock::time_point now) {
  progress_.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
  // One column stays free, or some terminals wrap; \x1b[K wipes what a longer line left.
  size_t width = TerminalWidth();
  std::fprintf(out_, "\r%s\x1b[K", RenderProgress(progress_, width > 1 ? width - 1 : 0).c_str());
  std::fflush(out_);
  visible_ = true;
  drawn_ = now;
}

}  // namespace kembar
