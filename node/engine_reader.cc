// engine_reader.cc — see engine_reader.h.
#include "node/engine_reader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "node/engine_impl.h"

namespace kembar {

struct CatchUpReader::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<ReadJob> jobs;
  std::map<std::string, size_t> alive;  // bytes read for a peer and not yet released
  bool stopping = false;

  // The oldest job whose peer has room; mutex is held.
  std::deque<ReadJob>::iterator Next() {
    return std::find_if(jobs.begin(), jobs.end(), [this](const ReadJob& job) {
      auto it = alive.find(job.order.peer);
      return it == alive.end() || it->second < kPeerBytesMax;
    });
  }
  void Release(const std::string& peer, size_t bytes) {
    {
      std::lock_guard lock(mutex);
      auto it = alive.find(peer);
      it->second -= bytes;
      if (it->second == 0) alive.erase(it);
    }
    wake.notify_one();
  }
};

CatchUpReader::CatchUpReader(Store* store, Engine::SendFn send, DoneFn done)
    : store_(store),
      send_(std::move(send)),
      done_(std::move(done)),
      shared_(std::make_shared<Shared>()) {}

CatchUpReader::~CatchUpReader() { Stop(); }

void CatchUpReader::Start() {
  thread_ = std::thread([this] {
    NameThisThread("kembar-reader");
    Run();
  });
}

void CatchUpReader::Stop() {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->jobs.clear();
  }
  shared_->wake.notify_all();
  if (thread_.joinable()) thread_.join();
}

void CatchUpReader::Submit(ReadJob job) {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->jobs.push_back(std::move(job));
  }
  shared_->wake.notify_one();
}

void CatchUpReader::Run() {
  for (;;) {
    ReadJob job;
    {
      std::unique_lock lock(shared_->mutex);
      auto next = shared_->jobs.end();
      shared_->wake.wait(lock, [&] {
        next = shared_->Next();
        return shared_->stopping || next != shared_->jobs.end();
      });
      if (shared_->stopping) return;
      job = std::move(*next);
      shared_->jobs.erase(next);
    }
    Serve(std::move(job));
  }
}

void CatchUpReader::Serve(ReadJob job) {
  ReadAndSend& order = job.order;
  ReadDone done{.peer = order.peer, .session = order.session};
  Result<FrameBatch> read =
      store_->Read(job.log, order.first_index, order.last_index, order.bytes_max);
  if (!read.ok()) {
    done.status = read.status();
    done_(job.slot, std::move(done));
    return;
  }
  const size_t bytes = read->bytes;
  done.last_index = read->last_index();
  done.root = read->root;
  done.bytes = bytes;
  {
    std::lock_guard lock(shared_->mutex);
    shared_->alive[order.peer] += bytes;
  }
  order.header.batch =
      SharedBatch(new FrameBatch(*std::move(read)),
                  [shared = shared_, peer = order.peer, bytes](const FrameBatch* batch) {
                    delete batch;
                    shared->Release(peer, bytes);
                  });
  bytes_ += bytes;
  send_(order.peer, job.log, std::move(order.header));
  done_(job.slot, std::move(done));
}

}  // namespace kembar
