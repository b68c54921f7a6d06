#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace perennial::scrape {

// Streaming gzip decoder (RFC 1952, one member) with constant memory: whoever takes the output
// decides how much of it is too much. Not thread-safe.
class GzipInflater {
 public:
  using Sink = std::function<Status(std::string_view)>;

  GzipInflater();
  ~GzipInflater();

  // Passes on what the piece decodes to, at most 16 KiB at a time. An error of the sink ends the
  // decoding and is returned; kInvalid for broken data and for data after the end.
  Status Feed(std::string_view compressed, const Sink& sink);
  // kInvalid if the stream was cut off.
  Status Finish() const;

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace perennial::scrape
