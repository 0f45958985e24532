// verify.cc — see verify.h.
#include "node/verify.h"

#include <map>
#include <optional>
#include <utility>

#include "replicator/base/bytes.h"
#include "replicator/log/derive.h"

namespace kembar {
namespace {

constexpr size_t kErrorsMax = 100;       // told for one log; more say nothing new
constexpr uint64_t kStepThrough = 1024;  // records read one by one behind one that cannot be read

// What a package's item entries amount to, whatever their order.
struct ItemSum {
  uint64_t count = 0;
  Digest mixed{};

  void Add(const ItemVersion& version) {
    std::string text;
    ByteWriter writer(&text);
    writer.Str(version.item);
    writer.U64(version.index);
    writer.I64(version.time_us);
    writer.U8(static_cast<uint8_t>(version.kind));
    writer.U64(version.payload_bytes);
    writer.Raw(AsBytes(version.payload_sha256));
    writer.Str(version.title);
    writer.Str(version.value);
    writer.Str(version.unit);
    const Digest digest = Sha256({text});
    for (size_t i = 0; i < digest.size(); ++i) mixed[i] = mixed[i] ^ digest[i];
    ++count;
  }
  bool operator==(const ItemSum&) const = default;
};

class Verifier {
 public:
  Verifier(const Store& store, const VerifyRange& range,
           const std::function<bool(const VerifyProgress&)>& report)
      : store_(store), range_(range), report_(report) {}

  void Run() {
    Result<Digest> root = store_.RootAt(range_.log, range_.last_index);
    if (root.ok()) {
      root_ = *root;
    } else {
      Error(0, "root of the whole log: " + root.status().ToString());
    }
    while (next_ <= range_.last_index && !cut_) {
      Stretch();
      if (!Report(/*done=*/false)) return;
    }
    if (!cut_ && root_ && frontier_.Root() != *root_) {
      Error(range_.last_index, "the records do not make up the stored root");
    }
    if (!cut_) CheckItems();
    if (cut_) SayCut();
    Report(/*done=*/true);
  }

 private:
  void Stretch() {
    const bool single = next_ < step_through_to_;
    Result<FrameBatch> batch =
        store_.Read(range_.log, next_, single ? next_ : range_.last_index, range_.read_bytes);
    if (batch.ok()) {
      for (const std::string& frame : batch->frames) CheckFrame(frame);
      return;
    }
    if (!single && next_ < range_.last_index) {
      step_through_to_ = next_ + kStepThrough;  // find which one it is
      return;
    }
    Error(next_, batch.status().ToString());
    unreadable_ = true;
    // With the stored leaf in its place the rest can still be checked.
    Result<Digest> leaf = store_.TreeNode(range_.log, 0, next_ - 1);
    AddLeaf(leaf.ok() ? *leaf : Digest{});
    ++next_;
  }

  void CheckFrame(const std::string& frame) {
    Result<Record> record = DecodeRecord(frame);
    if (!record.ok()) {
      Error(next_, record.status().ToString());
      unreadable_ = true;
    } else if (record->index != next_) {
      Error(next_, "holds record " + std::to_string(record->index));
    } else if (IsItem(record->kind)) {
      items_[record->package].Add(MakeItemVersion(*record));
    }
    AddLeaf(merkle::HashLeaf(frame));
    ++checked_;
    ++next_;
  }

  void AddLeaf(const Digest& leaf) {
    nodes_.clear();
    frontier_.Append(leaf, &nodes_);
    for (const merkle::Node& node : nodes_) {
      Result<Digest> stored = store_.TreeNode(range_.log, node.level, node.offset);
      const std::string name =
          "tree node " + std::to_string(node.level) + "/" + std::to_string(node.offset) + ": ";
      if (!stored.ok()) {
        Error(next_, name + stored.status().ToString());
      } else if (*stored != node.hash) {
        Error(next_, name + "does not match the records");
      }
    }
  }

  void CheckItems() {
    if (unreadable_) return Error(0, "item entries not checked, because records are unreadable");
    std::map<std::string, ItemSum> stored;
    Status status = store_.VisitItems(
        range_.log, {.package = {}, .item_prefix = {}, .as_of = range_.last_index},
        [&](const ItemVersion& version) {
          stored[version.package].Add(version);
          return Visit::kNext;
        });
    if (!status.ok()) return Error(0, "item entries: " + status.ToString());
    if (stored == items_) return;
    if (WasCut()) {
      cut_ = true;
      return;
    }
    for (const auto& [package, sum] : items_) {
      if (auto it = stored.find(package); it == stored.end() || it->second != sum) {
        Error(0, "item entries of package " + package + " do not match its records");
      }
    }
    for (const auto& [package, sum] : stored) {
      if (!items_.contains(package))
        Error(0, "item entries of package " + package + " have no records");
    }
  }

  bool WasCut() const {
    Result<Digest> root = store_.RootAt(range_.log, range_.last_index);
    return root_ && !(root.ok() && *root == *root_);
  }

  // What could not be checked to its end counts as failed, not as whole.
  void SayCut() {
    ++error_count_;
    errors_.push_back("log " + range_.log +
                      ": records were moved to quarantine while it was verified; verify it again");
  }

  // Index 0: of no one record.
  void Error(uint64_t index, const std::string& text) {
    if (cut_) return;
    if (index > range_.commit_index && WasCut()) {
      cut_ = true;
      return;
    }
    if (++error_count_ > kErrorsMax) return;
    errors_.push_back("log " + range_.log + (index == 0 ? "" : " index " + std::to_string(index)) +
                      ": " + text);
  }

  bool Report(bool done) {
    if (done && error_count_ > kErrorsMax) {
      errors_.push_back("log " + range_.log + ": " + std::to_string(error_count_ - kErrorsMax) +
                        " more errors");
    }
    return report_({.records = checked_, .errors = std::exchange(errors_, {}), .done = done});
  }

  const Store& store_;
  const VerifyRange range_;
  const std::function<bool(const VerifyProgress&)>& report_;
  std::optional<Digest> root_;  // as stored when it began
  merkle::Frontier frontier_;
  std::vector<merkle::Node> nodes_;
  std::map<std::string, ItemSum> items_;
  uint64_t next_ = 1;
  uint64_t step_through_to_ = 0;
  uint64_t checked_ = 0;
  uint64_t error_count_ = 0;
  std::vector<std::string> errors_;
  bool unreadable_ = false;
  bool cut_ = false;
};

}  // namespace

void VerifyLog(const Store& store, const VerifyRange& range,
               const std::function<bool(const VerifyProgress&)>& report) {
  Verifier(store, range, report).Run();
}

}  // namespace kembar
