package query

import (
	"slices"
	"time"

	"stint.dev/stint/job"
)

// Samples is a query for the samples of an attempt.
type Samples struct {
	// From and To bound the time; zero for no bound. The sample before and the one after are
	// returned too, so that a chart's lines go on to its edges.
	From, To time.Time
	// Points is about how many samples a chart shows; 0 asks for all, which may be very many.
	Points int
	// Even leaves out the peaks: averages of the samples are those of the whole series.
	Even bool
}

// SampleSeries is a selection of the Total samples of a time.
type SampleSeries struct {
	Samples []job.Sample
	Total   int
}

// Thinner selects samples of a series, which are added one by one, so that charts of about n points look like those of all
// samples: n samples at even distances, the last one, and of each of n/4 parts of the series those with the minimum and
// maximum of each figure. Nothing is averaged. Distances are counted in samples, not in time, because an agent's clock
// may jump. Its size does not grow with the series.
type Thinner struct {
	n         int // points; 0 for all
	parts     []part
	width     int // how many samples a whole part covers
	open      part
	openCount int // samples in open
	total     int
	last      job.Sample
}

// part is what is kept of some samples in a row: the first, the last, and those with the
// least or most of a figure.
type part []entry

// entry is a sample with its place in the series, and how much its totals have risen since
// the sample before it.
type entry struct {
	place  int
	rise   [2]int64
	sample job.Sample
}

// NewThinner returns a Thinner for n points, or one that selects all samples if n is 0.
func NewThinner(n int) *Thinner { return &Thinner{n: n, width: 1} }

// Add adds the next sample.
func (t *Thinner) Add(s job.Sample) {
	e := entry{place: t.total, sample: s}
	if t.total > 0 {
		for i, total := range totals {
			e.rise[i] = total(&s) - total(&t.last)
		}
	}
	t.open = append(t.open, e)
	t.total, t.openCount, t.last = t.total+1, t.openCount+1, s
	if t.openCount < t.width {
		return
	}
	t.parts = append(t.parts, t.open.thin())
	t.open, t.openCount = t.open[:0], 0
	if t.n == 0 || len(t.parts) < 4*t.n {
		return
	}
	for i := range len(t.parts) / 2 {
		t.parts[i] = slices.Concat(t.parts[2*i], t.parts[2*i+1]).thin()
	}
	t.parts, t.width = t.parts[:len(t.parts)/2], 2*t.width
}

// Series returns the selection. Without peaks it has only the samples at even distances.
func (t *Thinner) Series(peaks bool) SampleSeries {
	parts := t.parts
	if len(t.open) > 0 {
		parts = append(slices.Clip(parts), t.open)
	}
	out := SampleSeries{Samples: []job.Sample{}, Total: t.total}
	var kept part
	if t.n == 0 || t.total <= t.n {
		kept = slices.Concat(parts...)
	} else {
		for i := range t.n {
			kept = append(kept, parts[i*len(parts)/t.n][0])
		}
		end := parts[len(parts)-1]
		kept = append(kept, end[len(end)-1])
		groups := max(1, t.n/4)
		for g := range groups {
			if !peaks {
				break
			}
			low := g * len(parts) / groups
			group := slices.Concat(parts[low : (g+1)*len(parts)/groups]...)
			if low > 0 { // a rise may begin with the last sample before
				before := parts[low-1]
				group = slices.Concat(before[len(before)-1:], group)
			}
			for _, i := range group.extremes(nil) {
				kept = append(kept, group[i])
			}
		}
	}
	slices.SortFunc(kept, func(a, b entry) int { return a.place - b.place })
	for i, e := range kept {
		if i == 0 || e.place != kept[i-1].place {
			out.Samples = append(out.Samples, e.sample)
		}
	}
	return out
}

// Thin returns a selection of samples for n points.
func Thin(all []job.Sample, n int) []job.Sample {
	t := NewThinner(max(n, 1))
	for _, s := range all {
		t.Add(s)
	}
	return t.Series(true).Samples
}

// thin returns a copy without what is neither first nor last nor an extreme.
func (p part) thin() part {
	if len(p) <= 2 {
		return slices.Clone(p)
	}
	var few [32]int
	keep := append(p.extremes(few[:0]), 0, len(p)-1)
	slices.Sort(keep)
	keep = slices.Compact(keep)
	out := make(part, len(keep))
	for i, at := range keep {
		out[i] = p[at]
	}
	return out
}

// extremes appends to keep the places of the samples with the least and most of each figure, and
// of the steepest rise of each total with the sample before it. A figure that stays the same has
// none.
func (p part) extremes(keep []int) []int {
	for _, f := range figures {
		low, high := 0, 0
		lowest, highest := f.of(&p[0].sample), f.of(&p[0].sample)
		for i := range p {
			v := f.of(&p[i].sample)
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
	for total := range totals {
		at, most := 0, int64(0)
		for i := range p {
			if p[i].rise[total] > most {
				at, most = i, p[i].rise[total]
			}
		}
		if most == 0 {
			continue
		}
		keep = append(keep, at)
		if at > 0 && p[at-1].place == p[at].place-1 {
			keep = append(keep, at-1)
		}
	}
	return keep
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
