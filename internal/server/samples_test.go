package server

import (
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
			}
		}
		n := rapid.IntRange(-1, 60).Draw(t, "points")
		few := downsample(all, n)
		if few == nil {
			t.Fatal("an empty series must be [] in JSON")
		}
		if most := 4*max(n, 1) + 2; len(few) > most {
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
			t.Fatalf("least and most of cores and memory were %v and are %v", a, b)
		}
	})
}

func TestDownsampleLeavesAShortSeriesAlone(t *testing.T) {
	all := make([]job.Sample, 7)
	if got := downsample(all, 7); len(got) != 7 {
		t.Fatalf("got %d of 7 samples for 7 points", len(got))
	}
}

func bounds(all []job.Sample) [4]float64 {
	out := [4]float64{all[0].CPUCores, all[0].CPUCores, float64(all[0].MemoryBytes), float64(all[0].MemoryBytes)}
	for _, s := range all {
		out[0], out[1] = min(out[0], s.CPUCores), max(out[1], s.CPUCores)
		out[2], out[3] = min(out[2], float64(s.MemoryBytes)), max(out[3], float64(s.MemoryBytes))
	}
	return out
}
