#include "scrape/promql_source.h"

#include <algorithm>

#include "scrape/http_fetch.h"

namespace perennial::scrape {
namespace {

// A PromQL string literal (docs/querying/basics.md, "String literals"): escapes as in Go.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Literal text inside an RE2 expression.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view(R"(\.+*?()|[]{}^$)").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

template <class Range, class Text>
std::string Alternatives(const Range& range, Text text) {
  std::string out;
  for (const auto& item : range) out += (out.empty() ? "" : "|") + Escaped(text(item));
  return "(?:" + out + ")";
}

std::string FormEncoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

std::string BaseName(const std::string& metric) {
  constexpr std::string_view kTotal = "_total";
  return metric.ends_with(kTotal) ? metric.substr(0, metric.size() - kTotal.size()) : metric;
}

}  // namespace

Result<std::string> QueryUrl(std::string_view url) {
  const bool http = url.starts_with("http://") || url.starts_with("https://");
  const std::string_view rest = http ? url.substr(url.find("//") + 2) : std::string_view{};
  const bool plain = std::ranges::all_of(
      url, [](unsigned char c) { return c > 0x20 && c < 0x7F && c != '\\' && c != '"'; });
  if (rest.empty() || rest.front() == '/' || !plain ||
      rest.find_first_of("?#") != std::string_view::npos) {
    return Error{Errc::kInvalid, "url must be http or https, with a host, without query"};
  }
  if (rest.substr(0, rest.find('/')).find('@') != std::string_view::npos) {
    return Error{Errc::kInvalid, "url must not hold credentials: name a Secret instead"};
  }
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::string(url) + "/api/v1/query";
}

std::string RangeSelector(const PromqlSource& source, const std::vector<std::string>& metrics,
                          Millis range) {
  std::string out = "{__name__=~" + Quoted(Alternatives(metrics, BaseName) +
                                           "(?:_bucket|_sum|_count|_total|_created)?|up|"
                                           "process_start_time_seconds");
  out += "," + source.namespace_label + "=" + Quoted(source.ns);
  const auto variant = [](const auto& v) -> const std::string& { return v.first; };
  const auto workload = [](const auto& v) -> const std::string& { return v.second; };
  if (source.version_label.empty()) {
    // Of pods that are gone, too: what they counted inside the window counts.
    out += "," + source.pod_label + "=~" +
           Quoted(Alternatives(source.variants, workload) + "-[0-9a-z]+-[0-9a-z]+");
  } else {
    out += "," + source.version_label + "=~" + Quoted(Alternatives(source.variants, variant));
    out += "," + source.pod_label + "!=\"\"";
  }
  for (const auto& [name, value] : source.matchers) out += "," + name + "=" + Quoted(value);
  return out + "}[" + std::to_string(range.count()) + "ms]";
}

std::string QueryForm(std::string_view query, WallTime at, Millis timeout) {
  const auto ms = at.time_since_epoch().count();
  const std::string fraction = std::to_string(1000 + ms % 1000).substr(1);
  return "query=" + FormEncoded(query) + "&time=" + std::to_string(ms / 1000) + "." + fraction +
         "&timeout=" + std::to_string(timeout.count()) + "ms";
}

}  // namespace perennial::scrape
