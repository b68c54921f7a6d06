#include "scrape/exposition.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "scrape/exposition_lexer.h"
#include "scrape/series_collector.h"
#include "scrape/wanted_table.h"

namespace perennial::scrape {
namespace {

using namespace lexer;

std::optional<SeriesKind> KindOf(std::string_view type) {
  if (type == "counter") return SeriesKind::kCounter;
  if (type == "gauge") return SeriesKind::kGauge;
  if (type == "histogram") return SeriesKind::kHistogram;
  if (type == "summary") return SeriesKind::kSummary;
  if (type == "untyped" || type == "unknown") return SeriesKind::kUnknown;
  if (type == "info" || type == "stateset") return SeriesKind::kGauge;
  if (type == "gaugehistogram") return SeriesKind::kUnknown;  // its buckets may fall
  return std::nullopt;
}

}  // namespace

const char* ToString(SeriesKind kind) {
  switch (kind) {
    case SeriesKind::kUnknown:
      return "Unknown";
    case SeriesKind::kGauge:
      return "Gauge";
    case SeriesKind::kCounter:
      return "Counter";
    case SeriesKind::kHistogram:
      return "Histogram";
    case SeriesKind::kSummary:
      return "Summary";
  }
  return "Unknown";
}

Result<Format> FormatOf(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  std::erase_if(type, [](char c) { return c == ' ' || c == '\t'; });
  for (char& c : type) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  if (type == "application/openmetrics-text") return Format::kOpenMetrics;
  if (type.empty() || type == "text/plain") return Format::kText;
  return Error{Errc::kInvalid, "content type is neither Prometheus text nor OpenMetrics"};
}

class ExpositionParser::Impl {
 public:
  Impl(const WantedMetrics& wanted, Format format, const ParseLimits& limits)
      : table_(&wanted.table()), format_(format), limits_(limits), collector_(*table_, limits) {}

  Status Feed(std::string_view chunk) {
    if (error_) return *error_;
    bytes_ += chunk.size();
    if (bytes_ > limits_.bytes) return Refuse(Errc::kTooLarge, "page is larger than the limit");
    if (!carry_.empty()) {
      const std::size_t newline = chunk.find('\n');
      if (!Carry(chunk.substr(0, newline == chunk.npos ? newline : newline + 1))) return *error_;
      if (newline == chunk.npos) return Ok();
      if (!Lines(carry_.data(), carry_.data() + carry_.size())) return *error_;
      carry_.clear();
      chunk.remove_prefix(newline + 1);
    }
    const std::size_t newline = chunk.rfind('\n');
    if (newline != chunk.npos) {
      if (!Lines(chunk.data(), chunk.data() + newline + 1)) return *error_;
      chunk.remove_prefix(newline + 1);
    }
    if (!Carry(chunk)) return *error_;
    return Ok();
  }

  Result<Scrape> Finish() {
    if (error_) return *error_;
    if (format_ == Format::kOpenMetrics) {
      // The one line that may lack its line feed.
      if (carry_ == "# EOF" && !ended_) {
        carry_.clear();
        ended_ = true;
      }
      if (!ended_) return Refuse(Errc::kInvalid, "page ends without # EOF");
    }
    // "x 12" may be the start of "x 123".
    if (!carry_.empty()) return Refuse(Errc::kInvalid, "last line is cut off");
    Scrape scrape;
    collector_.Finish(scrape);
    scrape.samples = samples_;
    scrape.bytes = bytes_;
    return scrape;
  }

 private:
  Error Refuse(Errc code, const char* why, std::size_t column = 1) {
    error_ = Error{
        code, "line " + std::to_string(line_) + ", column " + std::to_string(column) + ": " + why};
    return *error_;
  }

  const char* Fail(const char* at, const char* why, Errc code = Errc::kInvalid) {
    Refuse(code, why, static_cast<std::size_t>(at - line_start_) + 1);
    return nullptr;
  }

  bool Carry(std::string_view text) {
    if (carry_.size() + text.size() > limits_.line) {
      Refuse(Errc::kTooLarge, "line is longer than the limit");
      return false;
    }
    carry_.append(text);
    return true;
  }

  // Parses [p, end), which ends with '\n'.
  bool Lines(const char* p, const char* end) {
    while (p != end) {
      line_start_ = p;
      p = Line(p);
      // A line that is too long is nothing else, so that the cut into pieces makes no difference.
      const bool too_long = p == nullptr ? std::memchr(line_start_, '\n', LineRoom(end)) == nullptr
                                         : static_cast<std::size_t>(p - line_start_) > limits_.line;
      if (p == nullptr && !too_long) return false;
      if (too_long) {
        Refuse(Errc::kTooLarge, "line is longer than the limit");
        return false;
      }
      ++line_;
    }
    return true;
  }

  // How far the end of a line that is short enough may be.
  std::size_t LineRoom(const char* end) const {
    return std::min(limits_.line, static_cast<std::size_t>(end - line_start_));
  }

  // Past the line's '\n', or nullptr after Fail().
  const char* Line(const char* p) {
    if (ended_) return Fail(p, "text after # EOF");
    if (format_ == Format::kText) p = SkipBlanks(p);
    if (*p == '#') return Comment(p);
    if (*p == '\n') {
      if (format_ == Format::kOpenMetrics) return Fail(p, "empty line");
      return p + 1;
    }
    return Sample(p);
  }

  const char* Comment(const char* p) {
    // Bounded by the buffer's last '\n'.
    const char* end = static_cast<const char*>(std::memchr(p, '\n', limits_.line + 1));
    if (end == nullptr) return Fail(p, "line is longer than the limit", Errc::kTooLarge);
    const std::string_view text(p, static_cast<std::size_t>(end - p));
    if (format_ == Format::kOpenMetrics && text == "# EOF") {
      ended_ = true;
      return end + 1;
    }
    p = SkipBlanks(p + 1);
    if (end - p < 5 || std::memcmp(p, "TYPE", 4) != 0 || !Is(p[4], kBlank)) return end + 1;
    return Type(SkipBlanks(p + 4), end);
  }

  const char* Type(const char* p, const char* end) {
    const char* name = p;
    if (*p == '"') {
      name = p + 1;
      p = Quoted(p);
      if (p == nullptr) return nullptr;
      family_.assign(name, static_cast<std::size_t>(p - 1 - name));
    } else {
      while (Is(*p, kNameByte)) ++p;
      if (p == name || Is(*name, kDigit)) return Fail(name, "TYPE without a metric name");
      family_.assign(name, static_cast<std::size_t>(p - name));
    }
    if (!Is(*p, kBlank)) return Fail(p, "TYPE without a type");
    p = SkipBlanks(p);
    const char* last = end;
    while (last > p && Is(last[-1], kBlank)) --last;
    const auto kind = KindOf({p, static_cast<std::size_t>(last - p)});
    if (!kind) return Fail(p, "unknown metric type");
    type_ = *kind;
    return end + 1;
  }

  const char* Sample(const char* p) {
    if (++samples_ > limits_.samples) {
      return Fail(p, "page has more samples than the limit", Errc::kTooLarge);
    }
    const char* name = p;
    if (*p == '{') {  // a name in quotes inside the braces: rare, so always kept and looked at
      labels_.clear();
      p = LabelSet<true, true>(p);
      if (p == nullptr) return nullptr;
      if (quoted_name_.empty()) return Fail(name, "sample without a name");
      Find(quoted_name_);
    } else {
      while (Is(*p, kNameByte)) ++p;
      if (p == name || Is(*name, kDigit)) return Fail(name, "metric name expected");
      Find({name, static_cast<std::size_t>(p - name)});
      if (uses_.count > 0) labels_.clear();
      const char* after = p;
      if (Is(*p, kBlank)) p = SkipBlanks(p);
      if (*p == '{') {
        p = uses_.count > 0 ? LabelSet<true, false>(p) : LabelSet<false, false>(p);
        if (p == nullptr) return nullptr;
      } else if (p == after) {
        return Fail(p, "unexpected byte in the metric name");
      }
    }
    p = SkipBlanks(p);
    const char* value = p;
    p = SkipNumber(p);
    if (p == nullptr) return Fail(value, "value is not a number");
    if (uses_.count > 0 && !Keep(value, p)) return nullptr;
    return *p == '\n' ? p + 1 : AfterValue(p);
  }

  // Samples of one name follow each other.
  void Find(std::string_view name) {
    if (name == name_) return;
    name_.assign(name);
    uses_ = table_->Find(name);
  }

  bool Keep(const char* value, const char* end) {
    RawSample sample{name_, uses_, family_, type_, 0};
    if (!ParseNumber({value, static_cast<std::size_t>(end - value)}, &sample.value)) {
      Fail(value, "value is not a number");
      return false;
    }
    const Fault fault = collector_.Add(sample, labels_);
    if (fault.why != nullptr) Fail(line_start_, fault.why, fault.code);
    return fault.why == nullptr;
  }

  // Time stamp and exemplar, checked and dropped.
  const char* AfterValue(const char* p) {
    if (!Is(*p, kBlank)) return Fail(p, "unexpected byte after the value");
    p = SkipBlanks(p);
    const bool open_metrics = format_ == Format::kOpenMetrics;
    if (*p != '\n' && *p != '#') {
      const char* stamp = p;
      p = open_metrics ? SkipNumber(p) : SkipInteger(p);
      if (p == nullptr) return Fail(stamp, "time stamp is not a number");
      if (*p != '\n' && !Is(*p, kBlank)) return Fail(p, "unexpected byte after the time stamp");
      p = SkipBlanks(p);
    }
    if (*p == '#' && open_metrics) {
      p = Exemplar(SkipBlanks(p + 1));
      if (p == nullptr) return nullptr;
    }
    if (*p != '\n') return Fail(p, "unexpected text at the end of the line");
    return p + 1;
  }

  const char* Exemplar(const char* p) {
    if (*p != '{') return Fail(p, "exemplar without labels");
    p = LabelSet<false, false>(p);
    if (p == nullptr) return nullptr;
    for (int part = 0; part < 2; ++part) {  // value, then perhaps a time stamp
      p = SkipBlanks(p);
      if (*p == '\n' && part == 1) return p;
      const char* number = p;
      p = SkipNumber(p);
      if (p == nullptr) return Fail(number, "exemplar without a number");
      if (*p != '\n' && !Is(*p, kBlank)) return Fail(p, "unexpected byte in the exemplar");
    }
    return SkipBlanks(p);
  }

  // Past '}'. p is at '{'. With kNamed the first quoted string is the metric's name.
  template <bool kKeep, bool kNamed>
  const char* LabelSet(const char* p) {
    if constexpr (kNamed) quoted_name_ = {};
    p = SkipBlanks(p + 1);
    while (*p != '}') {
      RawLabel label;
      const char* name = p;
      if (*p == '"') {
        p = Quoted(p);
        if (p == nullptr) return nullptr;
        label.name = {name + 1, static_cast<std::size_t>(p - name - 2)};
        label.escaped = escaped_;
      } else {
        while (Is(*p, kLabelByte)) ++p;
        if (p == name || Is(*name, kDigit)) return Fail(name, "label name expected");
        label.name = {name, static_cast<std::size_t>(p - name)};
      }
      p = SkipBlanks(p);
      if (kNamed && *name == '"' && quoted_name_.empty() && (*p == ',' || *p == '}')) {
        quoted_name_ = label.name;
      } else {
        if (*p != '=') return Fail(p, "= expected after the label name");
        p = SkipBlanks(p + 1);
        if (*p != '"') return Fail(p, "label value must be quoted");
        const char* value = p + 1;
        p = Quoted(p);
        if (p == nullptr) return nullptr;
        if constexpr (kKeep) {
          label.value = {value, static_cast<std::size_t>(p - value - 1)};
          label.escaped = label.escaped || escaped_;
          if (labels_.size() > limits_.labels)
            return Fail(name, "too many labels", Errc::kTooLarge);
          labels_.push_back(label);
        }
        p = SkipBlanks(p);
      }
      if (*p == ',') {
        p = SkipBlanks(p + 1);
      } else if (*p != '}') {
        return Fail(p, "comma or } expected");
      }
    }
    return p + 1;
  }

  // Past the closing quote; p is at the opening one. Sets escaped_.
  const char* Quoted(const char* p) {
    escaped_ = false;
    ++p;
    for (;;) {
      while (!Is(*p, kStop)) ++p;
      if (*p == '"') return p + 1;
      if (*p == '\n') return Fail(p, "quote is not closed");
      if (*p == '\\') {
        if (p[1] == '\n') return Fail(p, "quote is not closed");
        escaped_ = true;
        p += Is(p[1], kStop) && static_cast<unsigned char>(p[1]) >= 0x80 ? 1 : 2;
        continue;
      }
      const char* next = SkipUtf8(p);
      if (next == nullptr) return Fail(p, "text is not UTF-8");
      p = next;
    }
  }

  const WantedMetrics::Table* table_;
  Format format_;
  ParseLimits limits_;
  SeriesCollector collector_;
  std::string carry_;  // start of a line whose end has not come yet
  const char* line_start_ = nullptr;
  std::size_t line_ = 1;
  std::size_t bytes_ = 0;
  std::size_t samples_ = 0;
  bool ended_ = false;  // "# EOF" was read
  std::string family_;  // of the last TYPE line
  SeriesKind type_ = SeriesKind::kUnknown;
  std::string name_;  // of the last sample
  Uses uses_;         // of that name
  std::vector<RawLabel> labels_;
  std::string_view quoted_name_;
  bool escaped_ = false;
  std::optional<Error> error_;
};

ExpositionParser::ExpositionParser(const WantedMetrics& wanted, Format format, ParseLimits limits)
    : impl_(std::make_unique<Impl>(wanted, format, limits)) {}
ExpositionParser::~ExpositionParser() = default;
ExpositionParser::ExpositionParser(ExpositionParser&&) noexcept = default;
ExpositionParser& ExpositionParser::operator=(ExpositionParser&&) noexcept = default;

Status ExpositionParser::Feed(std::string_view chunk) {
  return impl_->Feed(chunk);
}

Result<Scrape> ExpositionParser::Finish() {
  return impl_->Finish();
}

Result<Scrape> ParseExposition(std::string_view page, const WantedMetrics& wanted, Format format,
                               ParseLimits limits) {
  ExpositionParser parser(wanted, format, limits);
  PERENNIAL_TRY_STATUS(parser.Feed(page));
  return parser.Finish();
}

}  // namespace perennial::scrape
