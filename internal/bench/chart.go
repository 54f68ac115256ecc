package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	chartPeriod = 5 * time.Second // between two samples, as agents take them
	chartPoints = 500             // of a chart, as the page asks for
	chartRounds = 20
)

// chart is how long the server takes for the samples of a run of many days: all of it, and an
// hour in the middle.
func (b *bench) chart() ([]row, error) {
	dir := filepath.Join(b.dir, "chart")
	began := time.Now().Add(-b.length())
	id := fleet.RunID(began, 1)
	total, err := b.storeSamples(dir, id, began)
	if err != nil {
		return nil, err
	}
	s, err := b.stint(stored{place: []string{"--data", dir}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }() // the figures are what counts
	if err := s.waitIdle(3 * time.Minute); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("chart of a run of %d days, %d samples: ", b.days, total)
	whole, err := s.samples(id, time.Time{}, time.Time{}, total)
	if err != nil {
		return nil, err
	}
	middle := began.Add(b.length() / 2)
	hour, err := s.samples(id, middle, middle.Add(time.Hour), int(time.Hour/chartPeriod))
	if err != nil {
		return nil, err
	}
	peak, err := s.peakMB()
	if err != nil {
		return nil, err
	}
	return []row{
		{what: what + "all of it", unit: "ms", measured: median(whole), most: 1000},
		{what: "… the slowest of " + fmt.Sprint(chartRounds), unit: "ms", measured: slices.Max(whole)},
		{what: "… an hour in the middle", unit: "ms", measured: median(hour), most: 100},
		{what: "… memory of the server", unit: "MB", measured: peak, most: 200},
	}, nil
}

// length is how long the run of the chart went on.
func (b *bench) length() time.Duration { return time.Duration(b.days) * 24 * time.Hour }

// storeSamples stores the samples of a run as its agent would have brought them, and returns
// how many there are.
func (b *bench) storeSamples(dir, id string, began time.Time) (total int, err error) {
	db, err := store.Open(b.ctx, store.Options{Dir: dir, Relaxed: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	offset := int64(0)
	data := fleet.Beginning(id, 1, began, chartPeriod)
	const each = time.Hour // what an agent brings at once that is far behind
	for at := began; at.Before(began.Add(b.length())); at = at.Add(each) {
		for t := at; t.Before(at.Add(each)); t = t.Add(chartPeriod) {
			rec, err := journal.JSONRecord(journal.TypeSample, t, chartSample(total, t))
			if err != nil {
				return 0, err
			}
			data = journal.AppendRecord(data, rec)
			total++
		}
		for len(data) > 0 { // a part is taken of an append that makes much work
			done, _, err := db.Ingest(b.ctx, []index.Append{{Run: id, Attempt: 1, Offset: offset, Data: data, At: at.Add(each)}}, nil)
			if err == nil {
				err = done[0].Err
			}
			if err == nil && done[0].Size <= offset {
				err = fmt.Errorf("nothing was taken of %d bytes: %w", len(data), errNoFigure)
			}
			if err != nil {
				return 0, fmt.Errorf("store samples: %w", err)
			}
			data, offset = data[done[0].Size-offset:], done[0].Size
		}
	}
	return total, nil
}

// chartSample is what a job uses that works by day and rests by night.
func chartSample(n int, at time.Time) job.Sample {
	day := (1 + math.Sin(float64(n)/2750)) / 2
	return job.Sample{
		At: at.UTC(), CPUSeconds: float64(n), CPUCores: 4 * day, MemoryBytes: int64(day*8e9) + int64(n%977)<<12, Processes: 3 + n%5, Threads: 12,
		ReadBytes: int64(n) << 14, WriteBytes: int64(n) << 13,
	}
}

// samples asks for a chart many times, and returns how many ms each took.
func (s *service) samples(id string, from, to time.Time, total int) (took []float64, err error) {
	q := url.Values{"points": {fmt.Sprint(chartPoints)}}
	if !from.IsZero() {
		q.Set("from", from.UTC().Format(time.RFC3339Nano))
		q.Set("to", to.UTC().Format(time.RFC3339Nano))
	}
	for range chartRounds {
		begun := time.Now()
		body, err := fetch(fmt.Sprintf("%s/api/v1/runs/%s/samples?%s", s.url(), id, q.Encode()))
		took = append(took, float64(time.Since(begun).Microseconds())/1e3)
		if err != nil {
			return nil, err
		}
		var series struct {
			Samples []job.Sample `json:"samples"`
			Total   int          `json:"total"`
		}
		if err := json.Unmarshal(body, &series); err != nil {
			return nil, err
		}
		// What surrounds the time that was asked for may be counted.
		if n := len(series.Samples); series.Total < total || series.Total > total+10 || n < chartPoints/4 {
			return nil, fmt.Errorf("%d of %d samples, want %d of %d: %w", n, series.Total, chartPoints, total, errNoFigure)
		}
	}
	return took, nil
}
