package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func allSamples(t *testing.T, s *store.Store, id string) ([]job.Sample, error) {
	t.Helper()
	series, err := s.Samples(t.Context(), id, 1, query.Samples{})
	return series.Samples, err
}

// sampled ingests a run with a sample each second, so many in each append.
func sampled(t *testing.T, s *store.Store, n, each int, memory func(i int) int64) string {
	t.Helper()
	j := newJournal(t, journal.Attempt{})
	j.command()
	for i := range n {
		j.at = noon.Add(time.Duration(i) * time.Second)
		j.json(journal.TypeSample, job.Sample{At: j.at, CPUCores: 1, MemoryBytes: memory(i), Processes: 1})
		if i%each == each-1 {
			offset, data := j.take()
			one(t, s, j.id, 1, offset, data)
		}
	}
	return j.id
}

// The samples of a span come with the one before it and the one after it, wherever blocks end.
func TestSamplesOfASpan(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		const n = 400
		id := sampled(t, s, n, 20, func(i int) int64 { return int64(i) })
		at := func(i float64) time.Time { return noon.Add(time.Duration(i * float64(time.Second))) }
		for name, tt := range map[string]struct {
			from, to    time.Time
			first, last int64
		}{
			"all":           {time.Time{}, time.Time{}, 0, n - 1},
			"in the middle": {at(203.5), at(205.5), 203, 206},
			"on samples":    {at(203), at(205), 202, 206},
			"over blocks":   {at(95), at(305), 94, 306},
			"before":        {at(-500), at(-300), 0, 0},
			"behind":        {at(2000), at(3000), n - 1, n - 1},
			"open end":      {at(398), time.Time{}, 397, n - 1},
			"open start":    {time.Time{}, at(1), 0, 2},
		} {
			got, err := s.Samples(t.Context(), id, 1, query.Samples{From: tt.from, To: tt.to, Points: 1000})
			if err != nil || len(got.Samples) == 0 {
				t.Errorf("%s: %d samples, %v", name, len(got.Samples), err)
				continue
			}
			first, last := got.Samples[0].MemoryBytes, got.Samples[len(got.Samples)-1].MemoryBytes
			if first != tt.first || last != tt.last || int64(len(got.Samples)) != last-first+1 || got.Total != len(got.Samples) {
				t.Errorf("%s: %d of %d samples, from %d to %d", name, len(got.Samples), got.Total, first, last)
			}
		}
		if got, err := s.Samples(t.Context(), id, 1, query.Samples{From: at(5), To: at(3)}); err != nil || len(got.Samples) > 2 {
			t.Errorf("a span that ends before it begins: %d samples, %v", len(got.Samples), err)
		}
		if got, err := s.Samples(t.Context(), id, 2, query.Samples{}); err != nil || got.Samples == nil || len(got.Samples) != 0 {
			t.Errorf("an attempt without samples: %+v, %v", got, err)
		}
		last, err := s.LastSamples(t.Context(), id, 1, 30)
		if err != nil || len(last) != 30 || last[0].MemoryBytes != n-30 || last[29].MemoryBytes != n-1 {
			t.Errorf("the last 30: %d, %v", len(last), err)
		}
		if few, err := s.LastSamples(t.Context(), id, 1, 10_000); err != nil || len(few) != n {
			t.Errorf("the last of all: %d, %v", len(few), err)
		}
		if bytes, err := s.SampledBytes(t.Context(), id, 1); err != nil || bytes < n*50 {
			t.Errorf("%d bytes hold samples, %v", bytes, err)
		}
	})
}

// The times of samples may be off those of the records around them. They are found all the same, and
// blocks far from the span are not read.
func TestSamplesBesideTheirRecords(t *testing.T) {
	const n = 40
	for name, off := range map[string]time.Duration{"behind": -50 * time.Second, "none": 0, "ahead": 50 * time.Second} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
				at := func(i int) time.Time { return noon.Add(time.Duration(i)*10*time.Second + off) }
				j := newJournal(t, journal.Attempt{})
				j.command()
				for i := range n {
					j.at = noon.Add(time.Duration(i) * 10 * time.Second)
					j.json(journal.TypeSample, job.Sample{At: at(i), MemoryBytes: int64(i)})
					j.output(noise(i, 40<<10)) // large enough for a block of its own
					offset, data := j.take()
					one(t, s, j.id, 1, offset, data)
				}
				heads, err := s.Blocks(t.Context(), j.id, 1, 0, 2*n)
				if err != nil || len(heads) != n {
					t.Fatalf("%d blocks, %v; want one for each sample", len(heads), err)
				}
				for _, far := range []int{0, n - 1} {
					must(t, s.Exec(t.Context(), `UPDATE blocks SET samples = '[' WHERE run_id = $1 AND start = $2`, j.id, heads[far].Start))
				}
				for i := 15; i < 25; i++ {
					got, err := s.Samples(t.Context(), j.id, 1, query.Samples{From: at(i), To: at(i), Points: 100})
					var found []int64
					for _, one := range got.Samples {
						found = append(found, one.MemoryBytes)
					}
					if diff := cmp.Diff([]int64{int64(i) - 1, int64(i), int64(i) + 1}, found); diff != "" || err != nil {
						t.Errorf("at sample %d: %v (-want +got):\n%s", i, err, diff)
					}
				}
				if _, err := s.Samples(t.Context(), j.id, 1, query.Samples{}); err == nil {
					t.Error("the blocks at both ends can be read")
				}
			})
		})
	}
}

// Of a long series a chart gets as much as it shows, with the spike in it.
func TestSamplesAreThinnedWhileTheyAreRead(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		const n, points = 20_000, 100
		id := sampled(t, s, n, 1000, func(i int) int64 {
			if i == 12_345 {
				return 1 << 40
			}
			return int64(i % 50)
		})
		for _, even := range []bool{false, true} {
			got, err := s.Samples(t.Context(), id, 1, query.Samples{Points: points, Even: even})
			if err != nil || got.Total != n || len(got.Samples) > 6*points || len(got.Samples) < points {
				t.Fatalf("%d of %d samples, %v", len(got.Samples), got.Total, err)
			}
			spike := false
			for _, one := range got.Samples {
				spike = spike || one.MemoryBytes == 1<<40
			}
			if spike == even {
				t.Errorf("even %v: the spike is there: %v", even, spike)
			}
		}
	})
}
