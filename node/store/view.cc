// view.cc — see view.h.
#include "node/store/view.h"

#include "node/store/keys.h"
#include "replicator/log/record.h"

namespace kembar {

Status CorruptAt(const std::string& log, uint64_t index, std::string_view what) {
  return {Code::kCorrupt,
          "log " + log + " index " + std::to_string(index) + ": " + std::string(what),
          kRebuildHint};
}

Result<LogEnd> ReadEnd(const View& view, const std::string& log) {
  ASSIGN_OR_RETURN(const auto value, view.Get(Family::kMeta, keys::EndKey(log)));
  if (!value) return LogEnd{.last_index = 0, .root = merkle::EmptyRoot()};
  Result<LogEnd> end = DecodeLogEnd(*value);
  if (!end.ok()) return end.status().Prepend("log " + log);
  return end;
}

Result<Digest> ReadTreeNode(const View& view, const std::string& log, const LogEnd& end,
                            uint8_t level, uint64_t offset) {
  const std::string place = "log " + log + " tree node at level " + std::to_string(level) +
                            " offset " + std::to_string(offset);
  if (level > 63 || offset >= (end.last_index >> level)) {
    return Status(Code::kNotFound, place + ": the log ends before it");
  }
  ASSIGN_OR_RETURN(const auto value, view.Get(Family::kTree, keys::TreeKey(log, level, offset)));
  if (!value) return Status(Code::kCorrupt, place + " is missing", kRebuildHint);
  if (value->size() != sizeof(Digest))
    return Status(Code::kCorrupt, place + " is malformed", kRebuildHint);
  return DigestFromBytes(*value);
}

merkle::NodeReader TreeReader(const View& view, const std::string& log, const LogEnd& end) {
  return [&view, &log, &end](uint8_t level, uint64_t offset) {
    return ReadTreeNode(view, log, end, level, offset);
  };
}

Status CheckFrame(const std::string& log, uint64_t index, std::string_view frame) {
  Result<FrameHeader> header = PeekFrame(frame);
  if (!header.ok())
    return header.status().Prepend("log " + log + " index " + std::to_string(index));
  if (header->index != index) {
    return CorruptAt(log, index,
                     "the record stored there says index " + std::to_string(header->index));
  }
  return {};
}

Result<std::string> ReadFrame(const View& view, const std::string& log, uint64_t index) {
  ASSIGN_OR_RETURN(auto frame, view.Get(Family::kLog, keys::LogKey(log, index)));
  if (!frame) return CorruptAt(log, index, "the record is missing");
  RETURN_IF_ERROR(CheckFrame(log, index, *frame));
  return std::move(*frame);
}

}  // namespace kembar
