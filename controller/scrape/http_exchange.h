#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "scrape/gzip_inflate.h"
#include "scrape/http_fetch.h"

// Internal to the fetcher: one exchange of libcurl's, kept inside its limits.
namespace perennial::scrape {

// libcurl's callbacks get a pointer to it, so it stays where it is until the end.
class Exchange {
 public:
  // Neither may be null; the handle is fresh or reset, and stays the caller's.
  Exchange(std::uint64_t id, CURL* easy, const FetchRequest& request, FetchSink sink);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // Is the request one that may be sent at all?
  static Status Check(const FetchRequest& request);

  std::uint64_t id() const { return id_; }
  CURL* easy() const { return easy_; }
  // Call once, when libcurl has ended it with that code.
  Result<FetchSummary> Outcome(CURLcode code);

 private:
  static size_t OnHeader(char* data, size_t size, size_t count, void* user);
  static size_t OnBody(char* data, size_t size, size_t count, void* user);
  static int OnTrace(CURL* easy, curl_infotype type, char* data, size_t size, void* user);
  static int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  static curl_socket_t OnOpenSocket(void* user, curlsocktype purpose, curl_sockaddr* address);

  template <class Function>
  static bool Guarded(Exchange* exchange, Function function);

  void SetUpSafety();
  void SetUpPeer(const FetchRequest& request);
  void SetUpMessage(const FetchRequest& request);
  std::string UrlOf(const FetchRequest& request);
  void AddHeader(const std::string& line);

  bool Stop(Error why);
  bool Header(std::string_view line);
  bool PassHead();
  bool Body(std::string_view piece);
  bool Deliver(std::string_view piece);

  const std::uint64_t id_;
  CURL* const easy_;
  FetchSink sink_;
  const FetchLimits limits_;
  const AddressPolicy addresses_;
  curl_slist* headers_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  std::string post_;

  std::size_t header_bytes_ = 0;
  std::size_t raw_bytes_ = 0;  // headers, body and framing
  std::string content_type_;
  std::string encoding_;
  std::unique_ptr<GzipInflater> inflater_;
  bool head_passed_ = false;
  FetchSummary summary_;
  std::optional<Error> error_;  // the first reason of our own to end it
};

}  // namespace perennial::scrape
