package query

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

func TestThinKeepsSpikes(t *testing.T) {
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
		few := Thin(all, n)
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

func TestThinLeavesAShortSeriesAlone(t *testing.T) {
	all := make([]job.Sample, 7)
	if got := Thin(all, 7); len(got) != 7 {
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
func TestThinKeepsTheSteepestRise(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := make([]job.Sample, 1000)
	for i := range all {
		all[i] = job.Sample{At: begin.Add(time.Duration(i) * time.Second), ReadBytes: int64(i)}
		if i >= 503 {
			all[i].ReadBytes += 1 << 20
		}
	}
	few := Thin(all, 40)
	found := false
	for i := 1; i < len(few); i++ {
		found = found || few[i].At.Sub(few[i-1].At) == time.Second && few[i].ReadBytes-few[i-1].ReadBytes > 1<<20
	}
	if !found || len(few) > 80 {
		t.Errorf("of %d samples, none shows the rise", len(few))
	}
}

// What a Thinner holds does not grow with the series, the spikes of a month survive.
func TestThinnerOfAMonth(t *testing.T) {
	const n, points = 518_400, 500
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	thin, most := NewThinner(points), 0
	for i := range n {
		s := job.Sample{At: begin.Add(time.Duration(i) * 5 * time.Second), CPUCores: float64(i % 10), MemoryBytes: 1 << 30, ReadBytes: int64(i)}
		if i == 123_457 {
			s.MemoryBytes, s.CPUCores = 7<<30, 64
		}
		if i >= 400_001 {
			s.ReadBytes += 1 << 30
		}
		thin.Add(s)
		held := len(thin.open)
		for _, p := range thin.parts {
			held += len(p)
		}
		most = max(most, held)
	}
	if most > 80*points {
		t.Errorf("held %d samples for %d points", most, points)
	}
	got := thin.Series(true)
	if got.Total != n || len(got.Samples) > 6*points+20 || len(got.Samples) < points {
		t.Errorf("%d of %d samples", len(got.Samples), got.Total)
	}
	spike, rise := false, false
	for i, s := range got.Samples {
		spike = spike || s.MemoryBytes == 7<<30 && s.CPUCores == 64
		rise = rise || i > 0 && s.ReadBytes-got.Samples[i-1].ReadBytes > 1<<30 && s.At.Sub(got.Samples[i-1].At) == 5*time.Second
		if i > 0 && !s.At.After(got.Samples[i-1].At) {
			t.Fatalf("sample %d is out of order or doubled", i)
		}
	}
	if !spike || !rise || !got.Samples[0].At.Equal(begin) || !got.Samples[len(got.Samples)-1].At.Equal(begin.Add((n-1)*5*time.Second)) {
		t.Errorf("spike %v, rise %v, from %s to %s", spike, rise, got.Samples[0].At, got.Samples[len(got.Samples)-1].At)
	}
	if even := thin.Series(false); len(even.Samples) != points+1 && len(even.Samples) != points {
		t.Errorf("%d samples at even distances for %d points", len(even.Samples), points)
	}
}

func BenchmarkThinnerOfAMonth(b *testing.B) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for b.Loop() {
		thin := NewThinner(500)
		for i := range 518_400 {
			thin.Add(job.Sample{At: begin.Add(time.Duration(i) * 5 * time.Second), CPUCores: float64(i % 13), MemoryBytes: int64(i * 7919 % 100_003)})
		}
		thin.Series(true)
	}
}
