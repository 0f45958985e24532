// view.h — what RocksStore's readers and its writer both ask of one moment of a log.
#pragma once

#include <optional>
#include <string>

#include "node/store/codec.h"
#include "node/store/rocks_engine.h"
#include "replicator/log/merkle.h"

namespace kembar {

// Where the log ends; index 0 and the empty root for an unknown one.
Result<LogEnd> ReadEnd(const View& view, const std::string& log);

// kNotFound beyond the log's end, kCorrupt where a node should be.
Result<Digest> ReadTreeNode(const View& view, const std::string& log, const LogEnd& end,
                            uint8_t level, uint64_t offset);

// For merkle's functions; `view`, `log` and `end` must outlive it.
merkle::NodeReader TreeReader(const View& view, const std::string& log, const LogEnd& end);

// The record's frame, checked to carry the index that it is stored under. kCorrupt if missing.
Result<std::string> ReadFrame(const View& view, const std::string& log, uint64_t index);

// kCorrupt, naming log and index, unless `frame` is a record with that index.
Status CheckFrame(const std::string& log, uint64_t index, std::string_view frame);

Status CorruptAt(const std::string& log, uint64_t index, std::string_view what);

}  // namespace kembar
