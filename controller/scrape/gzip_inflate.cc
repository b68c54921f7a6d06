#include "scrape/gzip_inflate.h"

#include <zlib.h>

#include <new>

namespace perennial::scrape {

struct GzipInflater::Stream {
  z_stream z{};
  bool ended = false;
};

GzipInflater::GzipInflater() : stream_(std::make_unique<Stream>()) {
  constexpr int kGzipOnly = 15 + 16;  // largest window; gzip header, not zlib's
  if (inflateInit2(&stream_->z, kGzipOnly) != Z_OK) throw std::bad_alloc();
}

GzipInflater::~GzipInflater() {
  inflateEnd(&stream_->z);
}

Status GzipInflater::Feed(std::string_view compressed, const Sink& sink) {
  if (compressed.empty()) return Ok();
  z_stream& z = stream_->z;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  z.avail_in = static_cast<uInt>(compressed.size());
  char out[16 << 10];
  const Error extended{Errc::kInvalid, "data after the end of the gzip stream"};
  if (stream_->ended) return extended;
  do {
    z.next_out = reinterpret_cast<Bytef*>(out);
    z.avail_out = sizeof(out);
    const int code = inflate(&z, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
      return Error{Errc::kInvalid, "gzip data is broken"};
    }
    stream_->ended = code == Z_STREAM_END;
    const std::size_t size = sizeof(out) - z.avail_out;
    if (size > 0) PERENNIAL_TRY_STATUS(sink({out, size}));
  } while (!stream_->ended && (z.avail_in > 0 || z.avail_out == 0));
  if (z.avail_in > 0) return extended;
  return Ok();
}

Status GzipInflater::Finish() const {
  if (!stream_->ended) return Error{Errc::kInvalid, "gzip data is cut off"};
  return Ok();
}

}  // namespace perennial::scrape
