// split.cc — see split.h.
#include "tools/import/split.h"

#include <algorithm>
#include <optional>

#include "tools/import/scanner.h"

namespace kembar::import {
namespace {

constexpr int kKeyTriesMax = 16;   // objects looked at to learn how a row begins
constexpr int kTailTriesMax = 64;  // ']' looked at to find the array's own behind a broken last row
constexpr int kSwallowedMax = 16;  // rows that may run to the end of the file for want of a bracket

// The key of the object that opens at `open`, if it starts like `{"key":`.
std::optional<std::string_view> LeadingKey(std::string_view bytes, size_t open) {
  size_t quote = SkipSpace(bytes, open + 1);
  if (quote == bytes.size() || bytes[quote] != '"') return std::nullopt;
  Scan key = ScanValue(bytes, quote);
  if (!key.ok) return std::nullopt;
  size_t colon = SkipSpace(bytes, key.end);
  if (colon == bytes.size() || bytes[colon] != ':') return std::nullopt;
  return bytes.substr(quote + 1, key.end - quote - 2);
}

class Splitter {
 public:
  Splitter(std::string_view bytes, const RowShape& shape, size_t open, std::vector<Slice>* rows)
      : bytes_(bytes), shape_(shape), open_(open), pos_(open + 1), rows_(rows) {
    LearnFirstKey();
  }

  // Gives the position past the array's ']'.
  Result<size_t> Run() {
    bool after_comma = false;
    while (!closed_) {
      pos_ = SkipSpace(bytes_, pos_);
      if (pos_ == bytes_.size()) return Truncated();
      if (bytes_[pos_] != ']') {
        RETURN_IF_ERROR(Element());
        after_comma = true;
        continue;
      }
      if (after_comma) {
        rows_->push_back({pos_, pos_, "nothing between ',' and ']' at byte " + Number(pos_)});
      }
      ++pos_;
      closed_ = true;
    }
    return pos_;
  }

 private:
  static std::string Number(size_t n) { return std::to_string(n); }

  // How rows begin is learnt from the first one, which is why it may not be the broken one's key.
  void LearnFirstKey() {
    size_t brace = open_;
    for (int i = 0; i < kKeyTriesMax && !first_key_; ++i) {
      brace = bytes_.find('{', brace + 1);
      if (brace == std::string_view::npos) return;
      first_key_ = LeadingKey(bytes_, brace);
    }
  }

  Status Element() {
    Scan scan = ScanValue(bytes_, pos_);
    if (scan.ok) {
      size_t next = SkipSpace(bytes_, scan.end);
      if (next == bytes_.size()) return RanToTheEnd();
      if (bytes_[next] == ',' || bytes_[next] == ']') {
        rows_->push_back({pos_, scan.end, {}});
        closed_ = bytes_[next] == ']';
        pos_ = next + 1;
        return Status::Ok();
      }
      scan.at = scan.token = next;
      scan.why = "unexpected " + DescribeByte(bytes_, next) + " behind the row";
    } else if (scan.at_end && !scan.in_string) {
      return RanToTheEnd();
    }
    return Recover(scan);
  }

  // Either the file is cut off inside this row, or the row lacks a bracket and swallowed those
  // behind it. The latter only if the file ends as it should and a row begins inside this one.
  Status RanToTheEnd() {
    if (++swallowed_ > kSwallowedMax || !FindClose(pos_ + 1) || !FindNextRow(pos_ + 1)) {
      return Truncated();
    }
    Scan fault;
    fault.at = fault.token = pos_;
    fault.why = "a bracket is never closed in the row";
    return Recover(fault);
  }

  // Sets the broken row at pos_ aside and goes on at the next row or behind the array.
  Status Recover(const Scan& fault) {
    size_t from = std::max(pos_ + 1, fault.token);
    std::optional<size_t> next = FindNextRow(from);
    std::optional<size_t> close = next ? std::nullopt : FindClose(from);
    if (!next && !close) {
      if (fault.at_end) return Truncated();
      return Status(Code::kInvalid, "row " + Number(rows_->size() + 1) + " breaks at byte " +
                                        Number(fault.at) + " (" + fault.why +
                                        ") and neither a next row nor the array's end follows");
    }
    const size_t stop = next.value_or(close.value_or(0));
    size_t end = stop;
    while (end > pos_ + 1 && (SkipSpace(bytes_, end - 1) >= end || bytes_[end - 1] == ',')) --end;
    rows_->push_back({pos_, end,
                      fault.why + " at byte " + Number(fault.at) + "; bytes " + Number(pos_) +
                          " to " + Number(end) + " are left out"});
    closed_ = !next;
    pos_ = next ? stop : stop + 1;
    return Status::Ok();
  }

  std::optional<size_t> FindNextRow(size_t from) {
    for (size_t brace = bytes_.find('{', from); brace != std::string_view::npos;
         brace = bytes_.find('{', from)) {
      from = brace + 1;
      if (!FollowsARow(brace)) continue;
      std::optional<std::string_view> key = LeadingKey(bytes_, brace);
      if (!key) continue;
      Scan scan = ScanValue(bytes_, brace);
      if (IsRow(brace, *key, scan)) return brace;
      // An object inside the broken row: whatever follows it is behind it, which keeps this linear.
      from = std::max(from, scan.ok ? scan.end : scan.token);
    }
    return std::nullopt;
  }

  bool FollowsARow(size_t brace) const {
    size_t before = bytes_.find_last_not_of(" \t\r\n", brace - 1);
    return before != std::string_view::npos && (bytes_[before] == ',' || bytes_[before] == '}');
  }

  bool IsRow(size_t brace, std::string_view key, const Scan& scan) const {
    bool starts_alike = first_key_ && key == *first_key_;
    auto is_marker = [this](std::string_view k) {
      return std::find(shape_.markers.begin(), shape_.markers.end(), k) != shape_.markers.end();
    };
    if (!scan.ok) return starts_alike && (!shape_.nested || is_marker(key));
    if (starts_alike && !shape_.nested) return true;
    return std::any_of(shape_.markers.begin(), shape_.markers.end(),
                       [&](std::string_view k) { return HasMember(bytes_, brace, k); });
  }

  // The array's ']' when the broken row is the last: what follows it must close the file.
  std::optional<size_t> FindClose(size_t from) const {
    size_t close = bytes_.size();
    for (int i = 0; i < kTailTriesMax && close > from; ++i) {
      close = bytes_.rfind(']', close - 1);
      if (close == std::string_view::npos || close < from) return std::nullopt;
      if (ClosesFile(close + 1)) return close;
      if (!shape_.nested) return std::nullopt;
    }
    return std::nullopt;
  }

  bool ClosesFile(size_t pos) const {
    pos = SkipSpace(bytes_, pos);
    if (!shape_.nested) return pos == bytes_.size();
    if (pos == bytes_.size()) return false;
    if (bytes_[pos] == ',') {
      // Metadata behind the array: as good as an object of its own.
      std::string rest = "{" + std::string(bytes_.substr(pos + 1));
      Scan scan = ScanValue(rest, 0);
      return scan.ok && SkipSpace(rest, scan.end) == rest.size();
    }
    return bytes_[pos] == '}' && SkipSpace(bytes_, pos + 1) == bytes_.size();
  }

  Status Truncated() const {
    return {Code::kInvalid,
            "truncated at byte " + Number(bytes_.size()) + ": the array that opens at byte " +
                Number(open_) + " is never closed",
            "fetch or copy the file again; nothing of it was imported"};
  }

  const std::string_view bytes_;
  const RowShape& shape_;
  const size_t open_;
  size_t pos_;
  std::vector<Slice>* const rows_;
  std::optional<std::string_view> first_key_;
  bool closed_ = false;
  int swallowed_ = 0;
};

}  // namespace

Status SplitArray(std::string_view bytes, const RowShape& shape, size_t* pos,
                  std::vector<Slice>* rows) {
  ASSIGN_OR_RETURN(*pos, Splitter(bytes, shape, *pos, rows).Run());
  return Status::Ok();
}

}  // namespace kembar::import
