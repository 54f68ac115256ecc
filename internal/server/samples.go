package server

import (
	"net/http"
	"slices"

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
	Total   int          `json:"total"`  // measured, of which Samples is a choice
	Points  int          `json:"points"` // asked for
}

// getSamples answers with CPU, memory and IO over time, as few as asked for.
func (s *Server) getSamples(w http.ResponseWriter, r *http.Request) {
	p := newParams(r, "points", "attempt")
	points := int(p.number("points", 1, maxPoints, defaultPoints))
	attempt := int(p.number("attempt", 1, job.MaxAttempt, 0))
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
	answer(w, sampleSeries{
		Run: view.ID, Attempt: view.Attempt,
		Samples: downsample(all, points), Total: len(all), Points: points,
	})
}

// downsample chooses samples so that a chart of n points looks like one of all: the series
// is cut into n parts, and of each part the samples with the least and the most CPU and
// memory are kept, at most four, in their order. The first and the last sample are always
// kept, so that the axis spans the whole attempt. Nothing is averaged: every sample in the
// result was measured. Parts are counted in samples, not in time, because an agent's clock
// may jump.
func downsample(all []job.Sample, n int) []job.Sample {
	n = min(max(n, 1), maxPoints)
	if len(all) <= n {
		return append([]job.Sample{}, all...)
	}
	out := make([]job.Sample, 0, min(len(all), 4*n+2))
	for part := range n {
		low, high := part*len(all)/n, (part+1)*len(all)/n
		keep := extremes(all[low:high])
		if part == 0 {
			keep = append(keep, 0)
		}
		if part == n-1 {
			keep = append(keep, high-low-1)
		}
		slices.Sort(keep)
		for _, i := range slices.Compact(keep) {
			out = append(out, all[low+i])
		}
	}
	return out
}

// extremes are the places of the samples with the least and most of each figure.
func extremes(part []job.Sample) []int {
	var cpuLow, cpuHigh, memLow, memHigh int
	for i, s := range part {
		if s.CPUCores < part[cpuLow].CPUCores {
			cpuLow = i
		}
		if s.CPUCores > part[cpuHigh].CPUCores {
			cpuHigh = i
		}
		if s.MemoryBytes < part[memLow].MemoryBytes {
			memLow = i
		}
		if s.MemoryBytes > part[memHigh].MemoryBytes {
			memHigh = i
		}
	}
	return []int{cpuLow, cpuHigh, memLow, memHigh}
}
