package metrics

import (
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func written(s *Set) string {
	var b strings.Builder
	s.WritePrometheus(&b)
	return b.String()
}

func TestText(t *testing.T) {
	s := NewSet()
	s.NewGauge("b", func() float64 { return 1.5 })
	n := s.NewGauge("a_now", nil)
	n.Inc()
	n.Inc()
	n.Dec()
	s.NewCounter("a_total").Add(1 << 40)
	s.GetOrCreateCounter(`a_total{why="y"}`).Inc()
	s.GetOrCreateCounter(`a_total{why="x"}`).Inc()
	s.GetOrCreateCounter(`a_total{why="x"}`).Inc()
	h := s.NewHistogram(`h_seconds`, []float64{0.5, 1, 10})
	for _, v := range []float64{0, 0.5, 0.6, 10, 11, math.Inf(1), math.NaN()} {
		h.Update(v)
	}
	s.Collect(func(w io.Writer) {
		Write(w, "z", "gauge", Sample{`of="1"`, math.Inf(-1)}, Sample{`of="2"`, 1e300})
	})
	want := `# TYPE a_now gauge
a_now 1
# TYPE a_total counter
a_total 1099511627776
a_total{why="x"} 2
a_total{why="y"} 1
# TYPE b gauge
b 1.5
# TYPE h_seconds histogram
h_seconds_bucket{le="0.5"} 2
h_seconds_bucket{le="1"} 3
h_seconds_bucket{le="10"} 4
h_seconds_bucket{le="+Inf"} 6
h_seconds_sum +Inf
h_seconds_count 6
# TYPE z gauge
z{of="1"} -Inf
z{of="2"} 1e+300
`
	if have := written(s); have != want {
		t.Errorf("have:\n%s\nwant:\n%s", have, want)
	}
}

func TestHistogramWithLabels(t *testing.T) {
	s := NewSet()
	s.NewHistogram(`h{of="x"}`, []float64{1}).Update(2)
	want := "# TYPE h histogram\nh_bucket{of=\"x\",le=\"1\"} 0\nh_bucket{of=\"x\",le=\"+Inf\"} 1\nh_sum{of=\"x\"} 2\nh_count{of=\"x\"} 1\n"
	if have := written(s); have != want {
		t.Errorf("have:\n%s\nwant:\n%s", have, want)
	}
}

// The text format escapes three characters, and no others.
func TestLabel(t *testing.T) {
	for value, want := range map[string]string{
		"": `a=""`, `a"b\c` + "\n": `a="a\"b\\c\n"`, "\t\u00ad\u200b🧀": "a=\"\t\u00ad\u200b🧀\"",
	} {
		if have := Label("a", value); have != want {
			t.Errorf("%q: have %s, want %s", value, have, want)
		}
	}
}

func TestNameIsTaken(t *testing.T) {
	s := NewSet()
	s.NewCounter("a")
	defer func() {
		if recover() == nil {
			t.Error("the second metric of the same name was taken")
		}
	}()
	s.NewGauge("a", nil)
}

func TestManyAtOnce(t *testing.T) {
	s := NewSet()
	h := s.NewHistogram("h", []float64{1})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				s.GetOrCreateCounter(fmt.Sprintf("c{of=%q}", fmt.Sprint(i%10))).Inc()
				h.Update(float64(i % 3))
			}
			s.WritePrometheus(io.Discard)
		})
	}
	all.Wait()
	have := written(s)
	for _, want := range []string{`c{of="9"} 800`, "h_count 8000"} {
		if !strings.Contains(have, want+"\n") {
			t.Errorf("%q is missing in:\n%s", want, have)
		}
	}
}

func TestStat(t *testing.T) {
	s, ok := parseStat("7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 4 18 1000 4096 12 21 22\n")
	if want := (processStat{2, 4, 10, 4096, 12}); !ok || s != want {
		t.Errorf("%+v, %v; want %+v", s, ok, want)
	}
	for _, bad := range []string{"", "7", "7 (a", "7 (a) S 1 2"} {
		if _, ok := parseStat(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}

// Figures of this very process are there and make sense.
func TestProcess(t *testing.T) {
	var b strings.Builder
	WriteProcess(&b)
	WriteRuntime(&b)
	least := map[string]float64{"go_goroutines": 2, "go_memstats_sys_bytes": 1 << 20, "go_gomaxprocs": 1, `go_info{version="` + regexp.QuoteMeta("go") + `[^"]*"}`: 1}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		for name, n := range map[string]float64{
			"process_open_fds": 3, "process_max_fds": 16, "process_resident_memory_bytes": 1 << 20,
			"process_virtual_memory_bytes": 1 << 20, "process_num_threads": 1, "process_start_time_seconds": 1.6e9, "process_cpu_seconds_total": 0,
		} {
			least[name] = n
		}
	}
	for name, n := range least {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(b.String())
		if found == nil {
			t.Errorf("%s is missing in:\n%s", name, b.String())
			continue
		}
		if v, err := strconv.ParseFloat(found[1], 64); err != nil || v < n {
			t.Errorf("%s is %s: %v; want at least %g", name, found[1], err, n)
		}
	}
}
