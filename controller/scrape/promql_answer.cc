#include "scrape/promql_answer.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "scrape/series_collector.h"

namespace perennial::scrape {
namespace {

constexpr std::size_t kMaxText = 200;
constexpr std::size_t kMaxErrorType = 40;  // "not_acceptable" is the longest there is
constexpr std::size_t kMaxWarnings = 4;
constexpr std::size_t kMaxDepth = 12;

// The peer's words may be anything, and end in a status.
std::string Printable(std::string_view text, std::size_t most = kMaxText) {
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  if (text.size() > most) out += "...";
  return out;
}

void Conceal(const std::string& secret, std::string& text) {
  constexpr std::string_view kMark = "[redacted]";
  for (std::size_t at = text.find(secret); at != text.npos;
       at = text.find(secret, at + kMark.size())) {
    text.replace(at, secret.size(), kMark);
  }
}

// SAX handler: answers are large, and nothing but labels and numbers of them is kept.
class Reader {
 public:
  Reader(PromLimits limits, const std::vector<std::string>& secrets)
      : limits_(limits), secrets_(secrets) {}

  bool null() { return Scalar(); }
  bool boolean(bool) { return Scalar(); }
  bool number_integer(std::int64_t value) { return Number(static_cast<double>(value)); }
  bool number_unsigned(std::uint64_t value) { return Number(static_cast<double>(value)); }
  bool number_float(double value, const std::string&) { return Number(value); }
  bool binary(std::vector<std::uint8_t>&) { return Fail(Errc::kInvalid, "it holds binary data"); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool string(std::string& text);
  bool start_object(std::size_t) { return Enter(false); }
  bool start_array(std::size_t) { return Enter(true); }
  bool end_object() { return Leave(); }
  bool end_array() { return Leave(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    return Fail(Errc::kInvalid, "it is not JSON");
  }

  Result<PromAnswer> Finish(bool parsed);

 private:
  enum class Where { kTop, kData, kResult, kSeries, kMetric, kValues, kPoint, kWarnings, kOther };

  Where Here() const { return path_.empty() ? Where::kOther : path_.back(); }
  Where Child(bool array) const;
  bool Enter(bool array);
  bool Leave();
  bool Scalar() { return Here() != Where::kPoint || Fail(Errc::kInvalid, "a sample is malformed"); }
  bool Number(double value);
  bool AddLabel(std::string& value);
  bool AddSample(const std::string& text);
  bool Fail(Errc code, const char* why) {
    if (!error_) error_ = Error{code, "the Prometheus' answer was refused: " + std::string(why)};
    return false;
  }
  Error Refused() const;

  // Before anything is cut: half a secret would not be found.
  std::string Words(std::string text, std::size_t most = kMaxText) const {
    for (const std::string& secret : secrets_) Conceal(secret, text);
    return Printable(text, most);
  }

  const PromLimits limits_;
  const std::vector<std::string>& secrets_;
  std::vector<Where> path_;
  std::string key_;
  std::string status_, result_type_, error_type_, error_text_;
  PromAnswer answer_;
  std::size_t samples_ = 0;
  std::size_t label_bytes_ = 0;
  std::size_t in_point_ = 0;
  double at_ = 0;
  std::optional<Error> error_;
};

Reader::Where Reader::Child(bool array) const {
  if (path_.empty()) return array ? Where::kOther : Where::kTop;
  switch (path_.back()) {
    case Where::kTop:
      if (!array && key_ == "data") return Where::kData;
      if (array && (key_ == "warnings" || key_ == "infos")) return Where::kWarnings;
      return Where::kOther;
    case Where::kData:
      return array && key_ == "result" ? Where::kResult : Where::kOther;
    case Where::kResult:
      return array ? Where::kOther : Where::kSeries;
    case Where::kSeries:
      if (!array && key_ == "metric") return Where::kMetric;
      if (array && key_ == "values") return Where::kValues;
      if (array && key_ == "value") return Where::kPoint;
      return Where::kOther;
    case Where::kValues:
      return array ? Where::kPoint : Where::kOther;
    default:
      return Where::kOther;
  }
}

bool Reader::Enter(bool array) {
  const Where child = Child(array);
  if (path_.size() >= kMaxDepth) return Fail(Errc::kInvalid, "it is nested too deeply");
  if (Here() == Where::kSeries && (key_ == "histogram" || key_ == "histograms")) {
    answer_.native_histograms = true;
  }
  if (Here() == Where::kPoint) return Fail(Errc::kInvalid, "a sample is malformed");
  if (child == Where::kSeries) {
    if (answer_.series.size() >= limits_.series) return Fail(Errc::kTooLarge, "too many series");
    answer_.series.emplace_back();
  }
  if (child == Where::kPoint) in_point_ = 0;
  path_.push_back(child);
  return true;
}

bool Reader::Leave() {
  const Where left = path_.back();
  path_.pop_back();
  if (left == Where::kPoint && in_point_ != 2) return Fail(Errc::kInvalid, "a sample is malformed");
  return true;
}

bool Reader::Number(double value) {
  if (Here() != Where::kPoint) return true;
  // Until the year 10000, so that milliseconds fit.
  if (in_point_++ != 0 || !(std::abs(value) < 253402300800.0)) {
    return Fail(Errc::kInvalid, "a sample is malformed");
  }
  at_ = value;
  return true;
}

bool Reader::string(std::string& text) {
  switch (Here()) {
    case Where::kTop:
      if (key_ == "status") status_ = text;
      if (key_ == "errorType") error_type_ = Words(text, kMaxErrorType);
      if (key_ == "error") error_text_ = Words(text);
      return true;
    case Where::kData:
      if (key_ == "resultType") result_type_ = text;
      return true;
    case Where::kMetric:
      return AddLabel(text);
    case Where::kPoint:
      return AddSample(text);
    case Where::kWarnings:
      if (answer_.warnings.size() < kMaxWarnings) answer_.warnings.push_back(Words(text));
      return true;
    default:
      return true;
  }
}

bool Reader::AddLabel(std::string& value) {
  Labels& labels = answer_.series.back().labels;
  label_bytes_ += key_.size() + value.size();
  if (labels.size() >= limits_.labels || label_bytes_ > limits_.label_bytes) {
    return Fail(Errc::kTooLarge, "too many or too long labels");
  }
  labels.emplace_back(std::exchange(key_, {}), std::move(value));
  return true;
}

bool Reader::AddSample(const std::string& text) {
  double value = 0;
  if (in_point_++ != 1 || !ParseNumber(text, &value)) {
    return Fail(Errc::kInvalid, "a sample is malformed");
  }
  if (++samples_ > limits_.samples) return Fail(Errc::kTooLarge, "too many samples");
  answer_.series.back().samples.push_back({std::llround(at_ * 1000), value});
  return true;
}

Error Reader::Refused() const {
  Errc code = Errc::kInvalid;
  if (error_type_ == "timeout" || error_type_ == "canceled") code = Errc::kTimeout;
  if (error_type_ == "internal" || error_type_ == "unavailable") code = Errc::kUnavailable;
  // query.max-samples has no type of its own (promql/engine.go, ErrTooManySamples).
  if (error_text_.find("too many samples") != error_text_.npos) code = Errc::kTooLarge;
  return Error{code, "Prometheus answers " + (error_type_.empty() ? "an error" : error_type_) +
                         ": " + error_text_};
}

Result<PromAnswer> Reader::Finish(bool parsed) {
  if (error_) return *error_;
  if (!parsed) return Error{Errc::kInvalid, "the Prometheus' answer was refused: it is not JSON"};
  if (status_ == "error") return Refused();
  if (status_ != "success") {
    return Error{Errc::kInvalid,
                 "what answers at the URL is not the HTTP API of a Prometheus: check url"};
  }
  if (result_type_ != "matrix" && result_type_ != "vector") {
    return Error{Errc::kInvalid,
                 "the Prometheus' answer was refused: it is neither vector nor matrix; "
                 "vector() makes one of a scalar"};
  }
  for (PromSeries& series : answer_.series) std::ranges::sort(series.labels);
  return std::move(answer_);
}

}  // namespace

Result<PromAnswer> ParsePromAnswer(std::string_view body, PromLimits limits,
                                   const std::vector<std::string>& secrets) {
  Reader reader(limits, secrets);
  const bool parsed = nlohmann::json::sax_parse(body, &reader);
  return reader.Finish(parsed);
}

}  // namespace perennial::scrape
