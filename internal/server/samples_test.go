package server

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

func TestDownsampleKeepsSpikes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		all := make([]job.Sample, rapid.IntRange(0, 400).Draw(t, "samples"))
		for i := range all {
			all[i] = job.Sample{
				At:          begin.Add(time.Duration(i) * time.Second),
				CPUCores:    float64(rapid.IntRange(0, 64).Draw(t, "cores")),
				MemoryBytes: int64(rapid.IntRange(0, 1<<30).Draw(t, "memory")),
				Processes:   rapid.IntRange(0, 3).Draw(t, "processes"),
				Threads:     rapid.IntRange(0, 3).Draw(t, "threads"),
				ReadBytes:   int64(i * i % 7),
			}
			if rapid.Bool().Draw(t, "more") {
				busy := float64(rapid.IntRange(0, 100).Draw(t, "busy"))
				all[i].Pressure = &job.Pressure{IO: busy}
				all[i].GPUs = []job.GPU{{Index: 1, UtilizationPercent: &busy, MemoryBytes: int64(busy)}, {Index: 2}}
			}
		}
		n := rapid.IntRange(-1, 60).Draw(t, "points")
		few := downsample(all, n)
		if few == nil {
			t.Fatal("an empty series must be [] in JSON")
		}
		if most := 6*max(n, 1) + 20; len(few) > most {
			t.Fatalf("%d samples for %d points, more than %d", len(few), n, most)
		}
		if len(all) == 0 {
			return
		}
		if !few[0].At.Equal(all[0].At) || !few[len(few)-1].At.Equal(all[len(all)-1].At) {
			t.Fatal("the ends of the series are gone")
		}
		for i := 1; i < len(few); i++ {
			if !few[i].At.After(few[i-1].At) {
				t.Fatalf("sample %d is out of order or doubled", i)
			}
		}
		if a, b := bounds(all), bounds(few); a != b {
			t.Fatalf("least and most of the figures were %v and are %v", a, b)
		}
	})
}

func TestDownsampleLeavesAShortSeriesAlone(t *testing.T) {
	all := make([]job.Sample, 7)
	if got := downsample(all, 7); len(got) != 7 {
		t.Fatalf("got %d of 7 samples for 7 points", len(got))
	}
}

// bounds are the least and most of every figure of a series, and the steepest rises.
func bounds(all []job.Sample) [10]float64 {
	var out [10]float64
	out[0], out[1], out[2] = math.Inf(1), math.Inf(1), math.Inf(1)
	for _, s := range all {
		out[0], out[3] = min(out[0], s.CPUCores), max(out[3], s.CPUCores)
		out[1], out[4] = min(out[1], float64(s.MemoryBytes)), max(out[4], float64(s.MemoryBytes))
		out[2], out[5] = min(out[2], float64(s.Processes)), max(out[5], float64(s.Processes))
		out[6] = max(out[6], float64(s.Threads))
		if s.Pressure != nil {
			out[7] = max(out[7], s.Pressure.IO)
		}
		for _, g := range s.GPUs {
			out[8] = max(out[8], float64(g.MemoryBytes))
			if g.UtilizationPercent != nil {
				out[9] = max(out[9], *g.UtilizationPercent)
			}
		}
	}
	return out
}

// The steepest rise of a total that only grows is still there, between the same two samples.
func TestDownsampleKeepsTheSteepestRise(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := make([]job.Sample, 1000)
	for i := range all {
		all[i] = job.Sample{At: begin.Add(time.Duration(i) * time.Second), ReadBytes: int64(i)}
		if i >= 503 {
			all[i].ReadBytes += 1 << 20
		}
	}
	few := downsample(all, 40)
	found := false
	for i := 1; i < len(few); i++ {
		found = found || few[i].At.Sub(few[i-1].At) == time.Second && few[i].ReadBytes-few[i-1].ReadBytes > 1<<20
	}
	if !found || len(few) > 80 {
		t.Errorf("of %d samples, none shows the rise", len(few))
	}
}

func TestSamplesOfASpan(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := make([]job.Sample, 10)
	for i := range all {
		all[i].At = begin.Add(time.Duration(i) * time.Second)
	}
	at := func(n float64) time.Time { return begin.Add(time.Duration(n * float64(time.Second))) }
	for name, tt := range map[string]struct {
		from, to    time.Time
		first, last int
	}{
		"all":           {time.Time{}, time.Time{}, 0, 9},
		"in the middle": {at(3.5), at(5.5), 3, 6},
		"on samples":    {at(3), at(5), 2, 6},
		"before":        {at(-5), at(-3), 0, 0},
		"behind":        {at(20), at(30), 9, 9},
		"open end":      {at(8), time.Time{}, 7, 9},
		"open start":    {time.Time{}, at(1), 0, 2},
	} {
		got := between(all, tt.from, tt.to)
		if len(got) == 0 || !got[0].At.Equal(all[tt.first].At) || !got[len(got)-1].At.Equal(all[tt.last].At) {
			t.Errorf("%s: %d samples", name, len(got))
		}
	}
	if got := between(all, at(5), at(3)); len(got) > 2 {
		t.Errorf("a span that ends before it begins: %d samples", len(got))
	}
	if got := between(nil, at(5), at(3)); len(got) != 0 {
		t.Error("samples of nothing")
	}
}
