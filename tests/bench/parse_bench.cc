// How fast a page of 10,000 samples is read, and how often that allocates. With
// PERENNIAL_BENCH_PAGE set, the page is also written there, for other parsers to read.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>
#include <string>
#include <vector>

#include "scrape/exposition.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// Out of line: g++ 12 would otherwise see free() meet operator new, and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* place = std::malloc(size)) return place;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* place) noexcept {
  std::free(place);
}
[[gnu::noinline]] void operator delete(void* place, std::size_t) noexcept {
  std::free(place);
}

namespace perennial::scrape {
namespace {

constexpr int kHistograms = 300;  // of 20 buckets with +Inf, sum and count
constexpr int kCounters = 340;    // of 10 label sets

// What a web server with many metrics shows: two thirds histograms, one third labelled counters.
std::string MakePage() {
  std::string page;
  char line[256];
  const auto add = [&](const char* format, auto... values) {
    const int size = std::snprintf(line, sizeof(line), format, values...);
    page.append(line, static_cast<std::size_t>(size));
  };
  for (int h = 0; h < kHistograms; ++h) {
    add("# HELP feature_%d_value What the model was asked about.\n", h);
    add("# TYPE feature_%d_value histogram\n", h);
    int cumulative = 0;
    for (int b = 1; b < 20; ++b) {
      cumulative += (b * 7919 + h * 104'729) % 5'000;
      add("feature_%d_value_bucket{model=\"departures\",zone=\"north\",le=\"%g\"} %d\n", h,
          0.25 * b * b, cumulative);
    }
    add("feature_%d_value_bucket{model=\"departures\",zone=\"north\",le=\"+Inf\"} %d\n", h,
        cumulative + 3);
    add("feature_%d_value_sum{model=\"departures\",zone=\"north\"} %.6f\n", h, cumulative * 1.37);
    add("feature_%d_value_count{model=\"departures\",zone=\"north\"} %d\n", h, cumulative + 3);
  }
  for (int c = 0; c < kCounters; ++c) {
    add("# HELP http_%d_requests_total Requests by path and code.\n", c);
    add("# TYPE http_%d_requests_total counter\n", c);
    for (int s = 0; s < 10; ++s) {
      add("http_%d_requests_total{path=\"/v1/models/%d\",method=\"POST\",code=\"%d\"} %d\n", c, s,
          200 + s, c * 1'000'003 + s);
    }
  }
  return page;
}

const std::string& Page() {
  static const std::string page = [] {
    std::string text = MakePage();
    if (const char* path = std::getenv("PERENNIAL_BENCH_PAGE")) std::ofstream(path) << text;
    return text;
  }();
  return page;
}

// `wanted` of the histograms are kept, the rest is checked and forgotten.
void Parse(benchmark::State& state) {
  std::vector<std::string> names{"not_there"};
  for (int h = 0; h < state.range(0); ++h) {
    names.push_back("feature_" + std::to_string(h) + "_value");
  }
  const WantedMetrics wanted(std::move(names));
  const std::string& page = Page();
  std::size_t samples = 0;
  std::size_t series = 0;
  const std::size_t before = allocations;
  for (auto _ : state) {
    const auto scrape = ParseExposition(page, wanted, Format::kText);
    if (!scrape.ok() || scrape->series.size() != static_cast<std::size_t>(state.range(0))) {
      state.SkipWithError("the page was not read as it should");
      return;
    }
    samples += scrape->samples;
    series += scrape->series.size();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(page.size()));
  state.counters["samples"] = static_cast<double>(samples) / state.iterations();
  state.counters["allocations"] =
      static_cast<double>(allocations - before) / static_cast<double>(state.iterations());
}
BENCHMARK(Parse)->ArgName("wanted")->Arg(0)->Arg(10)->Arg(kHistograms);

}  // namespace
}  // namespace perennial::scrape

BENCHMARK_MAIN();
