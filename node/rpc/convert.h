// convert.h — our structs to kembar.v1 messages and back.
//
// To proto never fails. From proto is total: whatever came over the wire becomes a value within its
// limits or a kInvalid Status that names the field; frames that fail their own check are kCorrupt.
//
// Pure; from any thread. Compression keeps a context for each thread.
#pragma once

#include <cstddef>
#include <string>

#include "replicator/core/replica.h"

namespace kembar::v1 {
class AppendRequest;
class Config;
class ControlState;
class FenceResponse;
class LinkMessage;
class LogStatus;
class QuarantineEntry;
class Record;
}  // namespace kembar::v1

namespace kembar {

struct Holding;

// ---- Log ---------------------------------------------------------------------------------------

// Everything but the log and the ticket. Limits of drafts are checked by Engine::Append.
Status FromProto(const v1::AppendRequest& in, AppendRequest* out);
void ToProto(const Record& in, v1::Record* out);
// Decodes a frame into `out`, with its exact bytes when `with_frame`.
Status FrameToProto(const std::string& frame, bool with_frame, v1::Record* out);

// ---- Admin -------------------------------------------------------------------------------------

Status FromProto(const v1::Config& in, Config* out);  // checks that it can stand in a log
void ToProto(const Config& in, v1::Config* out);
Status FromProto(const v1::ControlState& in, ControlState* out);
void ToProto(const ControlState& in, v1::ControlState* out);
void ToProto(const std::string& log, const ReplicaStatus& in, v1::LogStatus* out);
void ToProto(const FenceAnswer& in, v1::FenceResponse* out);
void ToProto(const QuarantineInfo& in, v1::QuarantineEntry* out);

// ---- Replication -------------------------------------------------------------------------------

inline constexpr size_t kEntriesBytesMax = size_t{64} << 20;  // of one Entries, decompressed
inline constexpr size_t kHistoryMax = 100'000;                // reigns of one log

// Entries of `compress_from` bytes and more are compressed if that helps; 0: never.
void ToProto(const std::string& log, const Message& in, size_t compress_from, v1::LinkMessage* out);
// For every body but hello and ping. Frames are moved out of `in`.
Result<Message> MessageFromProto(v1::LinkMessage* in);
void ToProto(const std::string& log, const Holding& in, v1::LinkMessage* out);
Result<Holding> HoldingFromProto(const v1::LinkMessage& in);

}  // namespace kembar
