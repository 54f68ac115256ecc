// Package metrics counts, and writes metrics in the text format of Prometheus. It has no global
// state and does nothing before it is called, because it is linked into the program that runs
// jobs.
package metrics

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Set is a set of metrics that are written together. Its methods may be called at once by
// several goroutines.
type Set struct {
	mu     sync.Mutex
	series map[string]series // by name with labels
	more   []func(io.Writer)
}

// series is one metric with its labels.
type series interface {
	kind() string
	// write writes the samples of the series under a name with labels.
	write(w io.Writer, name string)
}

// NewSet makes an empty set.
func NewSet() *Set { return &Set{series: map[string]series{}} }

// Counter only grows.
type Counter struct{ n atomic.Uint64 }

// Inc adds 1.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n, which must not be negative.
func (c *Counter) Add(n int) { c.n.Add(uint64(n)) }

// Get returns what was counted.
func (c *Counter) Get() uint64 { return c.n.Load() }

func (c *Counter) kind() string { return "counter" }

func (c *Counter) write(w io.Writer, name string) { sample(w, name, float64(c.Get())) }

// Gauge goes up and down.
type Gauge struct{ n atomic.Int64 }

// Inc adds 1.
func (g *Gauge) Inc() { g.n.Add(1) }

// Dec takes 1 away.
func (g *Gauge) Dec() { g.n.Add(-1) }

// Set sets the value.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Get returns the value.
func (g *Gauge) Get() int64 { return g.n.Load() }

func (g *Gauge) kind() string { return "gauge" }

func (g *Gauge) write(w io.Writer, name string) { sample(w, name, float64(g.Get())) }

// gaugeFunc is a gauge whose value is asked for.
type gaugeFunc func() float64

func (g gaugeFunc) kind() string { return "gauge" }

func (g gaugeFunc) write(w io.Writer, name string) { sample(w, name, g()) }

// Histogram counts values below bounds.
type Histogram struct {
	bounds []float64

	mu     sync.Mutex
	counts []uint64 // of values up to each bound, then of those above all
	sum    float64
}

// Update counts a value. One that is not a number is left out.
func (h *Histogram) Update(v float64) {
	if math.IsNaN(v) {
		return
	}
	i, _ := slices.BinarySearch(h.bounds, v)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[i]++
	h.sum += v
}

func (h *Histogram) kind() string { return "histogram" }

func (h *Histogram) write(w io.Writer, name string) {
	h.mu.Lock()
	counts, sum := slices.Clone(h.counts), h.sum
	h.mu.Unlock()
	family, labels := split(name)
	total := uint64(0)
	for i, n := range counts {
		total += n
		bound := "+Inf"
		if i < len(h.bounds) {
			bound = number(h.bounds[i])
		}
		all := Label("le", bound)
		if labels != "" {
			all = labels + "," + all
		}
		sample(w, family+"_bucket{"+all+"}", float64(total))
	}
	if labels != "" {
		labels = "{" + labels + "}"
	}
	sample(w, family+"_sum"+labels, sum)
	sample(w, family+"_count"+labels, float64(total))
}

// NewCounter adds a counter. A name may have labels: `refused_total{why="busy"}`. It panics
// if the name was taken, as the other methods do: that is a mistake in the program.
func (s *Set) NewCounter(name string) *Counter {
	c := &Counter{}
	s.add(name, c)
	return c
}

// GetOrCreateCounter returns the counter of that name, which it adds if there is none.
func (s *Set) GetOrCreateCounter(name string) *Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have, ok := s.series[name]; ok {
		return have.(*Counter)
	}
	c := &Counter{}
	s.series[name] = c
	return c
}

// NewGauge adds a gauge. With a function, its value is what the function returns.
func (s *Set) NewGauge(name string, value func() float64) *Gauge {
	g := &Gauge{}
	if value != nil {
		s.add(name, gaugeFunc(value))
	} else {
		s.add(name, g)
	}
	return g
}

// NewHistogram adds a histogram with the bounds, which must grow.
func (s *Set) NewHistogram(name string, bounds []float64) *Histogram {
	h := &Histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
	s.add(name, h)
	return h
}

// Collect adds a function that writes further metrics by itself, with Write.
func (s *Set) Collect(write func(io.Writer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more = append(s.more, write)
}

func (s *Set) add(name string, m series) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.series[name]; taken {
		panic("metrics: the name is taken: " + name)
	}
	s.series[name] = m
}

// WritePrometheus writes all metrics, ordered by name, each family after a line with its type.
func (s *Set) WritePrometheus(w io.Writer) {
	s.mu.Lock()
	all, more := maps.Clone(s.series), slices.Clone(s.more)
	s.mu.Unlock()
	last := ""
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		familyA, labelsA := split(a)
		familyB, labelsB := split(b)
		if familyA != familyB {
			return strings.Compare(familyA, familyB)
		}
		return strings.Compare(labelsA, labelsB)
	})
	for _, name := range names {
		if family, _ := split(name); family != last {
			last = family
			header(w, family, all[name].kind())
		}
		all[name].write(w, name)
	}
	for _, write := range more {
		write(w)
	}
}

// helpWriter is a writer of metrics whose families are explained.
type helpWriter struct {
	io.Writer
	help map[string]string // by family
}

// WithHelp returns a writer with which each family of metrics begins with a line that explains it. help has one line
// for each family.
func WithHelp(w io.Writer, help map[string]string) io.Writer { return helpWriter{w, help} }

// Label returns a label as Sample has it. The text format has other escapes than Go.
func Label(name, value string) string { return name + `="` + escape.Replace(value) + `"` }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Sample is one value of a metric with its labels, as Label returns them, with commas between them; or none.
type Sample struct {
	Labels string
	Value  float64
}

// Write writes one family of metrics: "gauge" or "counter" and its samples.
func Write(w io.Writer, family, kind string, samples ...Sample) {
	header(w, family, kind)
	for _, s := range samples {
		name := family
		if s.Labels != "" {
			name += "{" + s.Labels + "}"
		}
		sample(w, name, s.Value)
	}
}

// An error of writing only matters to the reader, which sees a shorter reply.

func header(w io.Writer, family, kind string) {
	if h, ok := w.(helpWriter); ok && h.help[family] != "" {
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n", family, h.help[family])
	}
	_, _ = fmt.Fprintf(w, "# TYPE %s %s\n", family, kind)
}

func sample(w io.Writer, name string, v float64) {
	_, _ = fmt.Fprintf(w, "%s %s\n", name, number(v))
}

// number writes whole numbers as such.
func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// split separates a name from its labels.
func split(name string) (family, labels string) {
	family, labels, _ = strings.Cut(name, "{")
	return family, strings.TrimSuffix(labels, "}")
}
