// status_map_test.cc — every code goes over gRPC and comes back as itself.
#include "node/rpc/status_map.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <set>

namespace kembar {
namespace {

TEST(StatusMap, EveryCodeHasAGrpcCodeThatSurvivesTheWayBack) {
  // Told apart by kembar-code only.
  const std::set<Code> shared = {Code::kDiverged, Code::kIo, Code::kPrecondition};
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const Code code = static_cast<Code>(i);
    if (shared.contains(code)) continue;
    EXPECT_EQ(FromGrpcCode(ToGrpcCode(code)), code) << CodeName(code);
  }
}

TEST(StatusMap, EveryGrpcCodeHasACode) {
  for (int i = 1; i <= 16; ++i) {
    const auto code = static_cast<grpc::StatusCode>(i);
    EXPECT_NE(FromGrpcCode(code), Code::kOk) << i;
    EXPECT_EQ(FromGrpc(grpc::Status(code, "text"), nullptr).message(), "text");
  }
  EXPECT_TRUE(FromGrpc(grpc::Status::OK, nullptr).ok());
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::StatusCode::ABORTED, ""), nullptr).message(), "fenced");
}

TEST(StatusMap, TheDocumentedCodes) {
  EXPECT_EQ(ToGrpcCode(Code::kNotPrimary), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ToGrpcCode(Code::kPrecondition), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ToGrpcCode(Code::kFenced), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ToGrpcCode(Code::kGap), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ToGrpcCode(Code::kTimeout), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(ToGrpcCode(Code::kFull), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ToGrpcCode(Code::kCorrupt), grpc::StatusCode::DATA_LOSS);
}

TEST(StatusMap, MetadataValuesKeepEveryByte) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::string& text : {std::string("run: kembarctl status"), std::string(" spaces "),
                                  std::string("100 % \n—"), all, std::string()}) {
    const std::string escaped = EscapeMetadata(text);
    for (char c : escaped) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
    EXPECT_EQ(UnescapeMetadata(escaped), text);
  }
  EXPECT_EQ(UnescapeMetadata("50%"), "50%");
  EXPECT_EQ(UnescapeMetadata("%zz%4"), "%zz%4");
}

}  // namespace
}  // namespace kembar
