#include "kube/token_source.h"

#include <spdlog/spdlog.h>

#include <array>
#include <fstream>

namespace perennial::kube {
namespace {

// Service account tokens are about 1 KiB; a header of more than this is refused anyway.
constexpr size_t kLongestToken = 64 << 10;

}  // namespace

TokenSource::TokenSource(const ConnectionConfig& config, const Clock& clock, Millis refresh)
    : file_(config.token_file), clock_(clock), refresh_(refresh) {
  if (file_.empty()) {
    token_ = config.token;
  } else {
    Read();
  }
}

std::string TokenSource::Current() {
  const std::lock_guard lock(mutex_);
  if (!file_.empty() && clock_.Steady() - read_at_ >= refresh_) Read();
  return token_;
}

bool TokenSource::Replace(const std::string& refused) {
  const std::lock_guard lock(mutex_);
  if (file_.empty()) return false;
  if (token_ == refused) Read();
  return token_ != refused;
}

void TokenSource::Read() {
  read_at_ = clock_.Steady();
  std::ifstream file(file_, std::ios::binary);
  std::string text(kLongestToken, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  // A control byte would end the header and begin another one.
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) text.clear();
  }
  if (text.empty()) {
    spdlog::warn("{} can't be read or holds no token; keeping the one before", file_);
    return;
  }
  token_ = std::move(text);
}

}  // namespace perennial::kube
