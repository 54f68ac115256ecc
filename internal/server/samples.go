package server

import (
	"net/http"
	"slices"
	"sort"
	"time"

	"stint.dev/stint/job"
)

// Points of a series of samples.
const (
	maxPoints     = 5000
	defaultPoints = 500
)

// sampleSeries is the answer to a request for samples.
type sampleSeries struct {
	Run     string       `json:"run"`
	Attempt int          `json:"attempt"`
	Samples []job.Sample `json:"samples"`
	Total   int          `json:"total"`  // measured in that time, of which Samples is a choice
	Points  int          `json:"points"` // asked for
}

// getSamples answers with CPU, memory and IO over time, as few as asked for.
func (s *Server) getSamples(w http.ResponseWriter, r *http.Request) {
	p := newParams(r, "points", "attempt", "from", "to")
	points := int(p.number("points", 1, maxPoints, defaultPoints))
	attempt := int(p.number("attempt", 1, job.MaxAttempt, 0))
	from, to := p.time("from"), p.time("to")
	if p.err != nil {
		s.fail(w, r, p.err)
		return
	}
	view, err := s.attemptView(r.Context(), r.PathValue("run"), attempt)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	all, err := s.store.Samples(r.Context(), view.ID, view.Attempt)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	all = between(all, from, to)
	answer(w, sampleSeries{
		Run: view.ID, Attempt: view.Attempt,
		Samples: downsample(all, points), Total: len(all), Points: points,
	})
}

// between cuts a series to a span of time, with the sample before and the one after it, so
// that a chart's lines go on to its edges. Zero times are no bounds.
func between(all []job.Sample, from, to time.Time) []job.Sample {
	low, high := 0, len(all)
	if !from.IsZero() {
		low = sort.Search(len(all), func(i int) bool { return !all[i].At.Before(from) })
		low = max(low-1, 0)
	}
	if !to.IsZero() {
		high = sort.Search(len(all), func(i int) bool { return all[i].At.After(to) })
		high = min(high+1, len(all))
	}
	return all[low:max(low, high)]
}

// downsample chooses samples so that charts of about n points look like those of all: n of
// them at even distances, the last one, and of each of n/4 parts of the series those with
// the least and the most of each figure. Nothing is averaged: every sample in the result
// was measured. Distances are counted in samples, not in time, because an agent's clock
// may jump.
func downsample(all []job.Sample, n int) []job.Sample {
	n = min(max(n, 1), maxPoints)
	if len(all) <= n {
		return append([]job.Sample{}, all...)
	}
	keep := []int{len(all) - 1}
	for i := range n {
		keep = append(keep, i*len(all)/n)
	}
	parts := max(1, n/4)
	for part := range parts {
		low, high := part*len(all)/parts, (part+1)*len(all)/parts
		for _, i := range extremes(all[low:high]) {
			keep = append(keep, low+i)
		}
	}
	slices.Sort(keep)
	keep = slices.Compact(keep)
	out := make([]job.Sample, 0, len(keep))
	for _, i := range keep {
		out = append(out, all[i])
	}
	return out
}

// figures are what charts show of a sample: of each the peaks are kept, and of those with
// low the lows too.
var figures = []struct {
	low bool
	of  func(*job.Sample) float64
}{
	{true, func(s *job.Sample) float64 { return s.CPUCores }},
	{true, func(s *job.Sample) float64 { return float64(s.MemoryBytes) }},
	{true, func(s *job.Sample) float64 { return float64(s.Processes) }},
	{false, func(s *job.Sample) float64 { return float64(s.CacheBytes) }},
	{false, func(s *job.Sample) float64 { return float64(s.Threads) }},
	{false, func(s *job.Sample) float64 { return pressure(s).CPU }},
	{false, func(s *job.Sample) float64 { return pressure(s).Memory }},
	{false, func(s *job.Sample) float64 { return pressure(s).IO }},
	{false, func(s *job.Sample) float64 {
		return mostOfGPUs(s, func(g *job.GPU) float64 { return deref(g.UtilizationPercent) })
	}},
	{false, func(s *job.Sample) float64 {
		return mostOfGPUs(s, func(g *job.GPU) float64 { return float64(g.MemoryBytes) })
	}},
}

// totals only grow: their charts show how fast, so the steepest rise is kept, with the
// sample before it.
var totals = []func(*job.Sample) int64{
	func(s *job.Sample) int64 { return s.ReadBytes },
	func(s *job.Sample) int64 { return s.WriteBytes },
}

func pressure(s *job.Sample) job.Pressure { return deref(s.Pressure) }

func mostOfGPUs(s *job.Sample, of func(*job.GPU) float64) float64 {
	most := 0.0
	for i := range s.GPUs {
		most = max(most, of(&s.GPUs[i]))
	}
	return most
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// extremes are the places of the samples with the least and most of each figure. A figure
// that stays the same has none.
func extremes(part []job.Sample) []int {
	var keep []int
	for _, f := range figures {
		low, high := 0, 0
		lowest, highest := f.of(&part[0]), f.of(&part[0])
		for i := range part {
			v := f.of(&part[i])
			if v < lowest {
				low, lowest = i, v
			}
			if v > highest {
				high, highest = i, v
			}
		}
		if lowest == highest {
			continue
		}
		keep = append(keep, high)
		if f.low {
			keep = append(keep, low)
		}
	}
	for _, total := range totals {
		at, most := 0, int64(0)
		for i := 1; i < len(part); i++ {
			if rise := total(&part[i]) - total(&part[i-1]); rise > most {
				at, most = i, rise
			}
		}
		if most > 0 {
			keep = append(keep, at-1, at)
		}
	}
	return keep
}
