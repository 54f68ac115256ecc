// Package band says what is usual for a job: the band that the figures of its last good runs make. It
// is pure.
package band

import (
	"slices"

	"stint.dev/stint/job"
)

// MaxRuns is how many of a job's last good runs make its band at most, and MinRuns how many there
// must be before it has one.
const (
	MaxRuns = 20
	MinRuns = 3
)

// GoodRun is what one good run adds to the band of its job.
type GoodRun struct {
	Seconds float64 `json:"seconds"`
	// Peak is the most memory in use, without file cache; 0 if it was not measured. Under
	// another name there may be peaks of older servers, which counted the cache.
	Peak    int64   `json:"memory"`
	Output  int64   `json:"output"` // bytes
	Silence float64 `json:"silence"`
}

// GoodRunOf returns the figures of a run that succeeded; false for any other, and for one of which it is not known how long
// it took.
func GoodRunOf(r job.Run) (GoodRun, bool) {
	took, known := r.Took()
	if r.State != job.Succeeded || !known {
		return GoodRun{}, false
	}
	return GoodRun{
		Seconds: took.Seconds(), Peak: r.Usage.PeakMemoryBytes,
		Output: r.Output.Bytes, Silence: r.Output.LongestSilenceSeconds,
	}, true
}

// Add returns the last MaxRuns good runs with one more, the newest last.
func Add(last []GoodRun, newest GoodRun) []GoodRun {
	return append(slices.Clone(last[max(0, len(last)+1-MaxRuns):]), newest)
}

// Of returns the band of a job whose last good runs are given; nil when there are fewer than MinRuns.
func Of(last []GoodRun) *job.Expected {
	if len(last) < MinRuns {
		return nil
	}
	band := func(of func(GoodRun) float64) job.Percentiles {
		values := make([]float64, len(last))
		for i, f := range last {
			values[i] = of(f)
		}
		return percentiles(values)
	}
	return &job.Expected{
		Runs:            len(last),
		DurationSeconds: band(func(f GoodRun) float64 { return f.Seconds }),
		PeakMemoryBytes: peaks(last),
		OutputBytesPerSecond: band(func(f GoodRun) float64 {
			if f.Seconds <= 0 {
				return float64(f.Output)
			}
			return float64(f.Output) / f.Seconds
		}),
		LongestSilenceSeconds: band(func(f GoodRun) float64 { return f.Silence }),
	}
}

// peaks returns the band of the memory of runs in which it was measured; zero for too few.
func peaks(last []GoodRun) job.Percentiles {
	var values []float64
	for _, f := range last {
		if f.Peak > 0 {
			values = append(values, float64(f.Peak))
		}
	}
	if len(values) < MinRuns {
		return job.Percentiles{}
	}
	return percentiles(values)
}

func percentiles(values []float64) job.Percentiles {
	slices.Sort(values)
	return job.Percentiles{P50: Percentile(values, 50), P95: Percentile(values, 95)}
}

// Percentile returns the nearest-rank percentile of sorted values, of which there is at least one.
func Percentile[T any](sorted []T, p int) T {
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}
