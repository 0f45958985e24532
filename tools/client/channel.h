// channel.h — connections to nodes, shared by everything in one program that speaks to them.
//
// A half-open connection is noticed within six seconds (keepalive 3 s, answer within 3 s).
//
// Thread-safety: ChannelPool and NodeStubs may be used from many threads.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kembar/v1/admin.grpc.pb.h"
#include "kembar/v1/blob.grpc.pb.h"
#include "kembar/v1/log.grpc.pb.h"
#include "kembar/v1/tender.grpc.pb.h"

namespace kembar::client {

struct NodeStubs {
  std::string address;
  std::unique_ptr<v1::Admin::Stub> admin;
  std::unique_ptr<v1::Log::Stub> log;
  std::unique_ptr<v1::Tender::Stub> tender;
  std::unique_ptr<v1::Blob::Stub> blob;
};

class ChannelPool {
 public:
  // Connects when first used; the same address gives the same connection.
  std::shared_ptr<NodeStubs> Get(const std::string& address);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<NodeStubs>> nodes_;
};

}  // namespace kembar::client
