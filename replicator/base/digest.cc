// digest.cc — see digest.h.
#include "replicator/base/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "replicator/base/bytes.h"
#include "replicator/base/check.h"

namespace kembar {

Digest Sha256(std::initializer_list<std::string_view> parts) {
  // One context per thread: making one costs more than hashing a small record.
  static const EVP_MD* const kAlgorithm = EVP_sha256();
  thread_local const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                                EVP_MD_CTX_free);
  CHECK(EVP_DigestInit_ex(context.get(), kAlgorithm, nullptr) == 1);
  for (std::string_view part : parts) {
    CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
  }
  Digest out;
  CHECK(EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1);
  return out;
}

Digest DigestFromBytes(std::string_view bytes) {
  Digest out;
  CHECK(bytes.size() == out.size());
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

std::string ToHex(const Digest& digest) { return ToHex(AsBytes(digest)); }

}  // namespace kembar
