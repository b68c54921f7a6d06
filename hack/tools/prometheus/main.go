// Measures how fast Prometheus reads a page of its own text format, for comparison: what its scrape
// loop does with a page whose series it knows already (names and values; the series' bytes are the
// key of its cache), what it does with a page that is new (labels too), and what the general-purpose
// parser of prometheus/common makes of it.
//
//	textparse-bench PAGE SECONDS    prints "NAME BYTES_PER_SECOND ALLOCATIONS_PER_SAMPLE" lines
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func scan(page []byte, withLabels bool) int {
	parser := textparse.NewPromParser(page, labels.NewSymbolTable(), false)
	samples := 0
	var set labels.Labels
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			fail(err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		parser.Series()
		if withLabels {
			parser.Labels(&set)
		}
		samples++
	}
}

func families(page []byte) int {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		fail(err)
	}
	return len(all)
}

// CPU time, so that other work on the machine counts for neither parser.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func measure(name string, page []byte, samples int, least time.Duration, once func()) {
	once()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rounds := 0
	start := cpu()
	for cpu()-start < least {
		once()
		rounds++
	}
	seconds := (cpu() - start).Seconds()
	runtime.ReadMemStats(&after)
	fmt.Printf("%s %.0f %.3f\n", name, float64(rounds*len(page))/seconds,
		float64(after.Mallocs-before.Mallocs)/float64(rounds*samples))
}

func main() {
	runtime.GOMAXPROCS(1)
	page, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		fail(err)
	}
	least := time.Duration(seconds * float64(time.Second))
	samples := scan(page, false)
	measure("textparse-series", page, samples, least, func() { scan(page, false) })
	measure("textparse-labels", page, samples, least, func() { scan(page, true) })
	measure("expfmt", page, samples, least, func() { families(page) })
}
