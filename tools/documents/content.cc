// content.cc — see content.h.
#include "tools/documents/content.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "replicator/base/check.h"

namespace kembar::documents {
namespace {

// Up to one chunk; shorter only at the end of the file.
Status ReadChunk(int fd, std::string* bytes) {
  bytes->resize(kChunkBytes);
  size_t got = 0;
  while (got < kChunkBytes) {
    const ssize_t n = read(fd, bytes->data() + got, kChunkBytes - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Status(Code::kIo, std::string("read: ") + std::strerror(errno));
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  bytes->resize(got);
  return Status::Ok();
}

Status StatFile(int fd, FileFacts* facts) {
  struct stat stat;
  if (fstat(fd, &stat) != 0) return Status(Code::kIo, std::string("stat: ") + std::strerror(errno));
  *facts = FactsOf(stat);
  return Status::Ok();
}

}  // namespace

struct Hasher::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  CHECK(state_->context != nullptr);
  CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Hasher::~Hasher() { EVP_MD_CTX_free(state_->context); }

void Hasher::Update(std::string_view bytes) {
  CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Digest Hasher::Finish() {
  Digest digest;
  CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr) == 1);
  return digest;
}

Status ReadContent(int fd, const ChunkFn& each, Document* document) {
  FileFacts before;
  RETURN_IF_ERROR(StatFile(fd, &before));
  const Status changed(Code::kUnavailable, "it changed while it was read");
  Hasher whole;
  document->chunks.clear();
  document->size = 0;
  while (true) {
    std::string bytes;
    RETURN_IF_ERROR(ReadChunk(fd, &bytes));
    if (bytes.empty()) break;
    document->size += bytes.size();
    // A file that grows as fast as it is read would have no end.
    if (document->size > before.size) return changed;
    whole.Update(bytes);
    const bool last = bytes.size() < kChunkBytes;
    document->chunks.push_back(Sha256({bytes}));
    RETURN_IF_ERROR(each(document->chunks.back(), std::move(bytes)));
    if (last) break;
  }
  FileFacts after;
  RETURN_IF_ERROR(StatFile(fd, &after));
  if (!(before == after) || document->size != after.size) return changed;
  document->sha256 = whole.Finish();
  document->mode = after.mode;
  document->mtime_ns = after.mtime_ns;
  return Status::Ok();
}

Result<std::string> Differences(const Tree& tree, const FileFacts& facts, const Document& document,
                                const ChunkFn& each) {
  std::string what;
  const auto add = [&what](const char* word) {
    what += what.empty() ? word : std::string(", ") + word;
  };
  if (facts.size != document.size) {
    add("size");
  } else {
    Document there;
    ASSIGN_OR_RETURN(const Fd fd, tree.OpenFile(document.path));
    RETURN_IF_ERROR(ReadContent(fd.get(), each, &there));
    if (there.sha256 != document.sha256 || there.chunks != document.chunks) add("content");
  }
  if (facts.mode != document.mode) add("mode");
  if (facts.mtime_ns != document.mtime_ns) add("time");
  return what;
}

bool IsOpenForWriting(int fd) {
  // A read lease is refused while there are writers. It is given back at once; should a writer come
  // in between, the kernel's word about it must not be the default SIGIO, which would end us.
  if (fcntl(fd, F_SETSIG, SIGURG) != 0) return false;
  if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) return errno == EAGAIN;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

}  // namespace kembar::documents
