package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"stint.dev/stint/internal/bench/fill"
	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
)

const (
	chartPeriod = 5 * time.Second // between two samples, as agents take them
	chartPoints = 500             // of a chart, as the page asks for
	chartRounds = 20
)

// chart is how long the server takes for the samples of a run of many days: all of it, and an
// hour in the middle.
func (b *bench) chart() ([]row, error) {
	dir := filepath.Join(b.Dir, "chart")
	began := time.Now().Add(-b.length())
	id := fleet.RunID(began, 1)
	total, err := fill.Samples(b.Ctx, store.Options{Dir: dir, Relaxed: true}, id, began, b.length(), chartPeriod)
	if err != nil {
		return nil, err
	}
	s, err := b.Stint(b.Embedded("chart"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	if err := s.WaitIdle(3 * time.Minute); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("chart of a run of %d days, %d samples: ", b.days, total)
	whole, err := samples(s, id, time.Time{}, time.Time{}, total)
	if err != nil {
		return nil, err
	}
	middle := began.Add(b.length() / 2)
	hour, err := samples(s, id, middle, middle.Add(time.Hour), int(time.Hour/chartPeriod))
	if err != nil {
		return nil, err
	}
	peak, err := s.PeakMB()
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

// samples asks for a chart many times, and returns how many ms each took.
func samples(s *host.Service, id string, from, to time.Time, total int) (took []float64, err error) {
	q := url.Values{"points": {fmt.Sprint(chartPoints)}}
	if !from.IsZero() {
		q.Set("from", from.UTC().Format(time.RFC3339Nano))
		q.Set("to", to.UTC().Format(time.RFC3339Nano))
	}
	for range chartRounds {
		begun := time.Now()
		body, err := fetch(fmt.Sprintf("%s/api/v1/runs/%s/samples?%s", s.URL(), id, q.Encode()))
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
			return nil, fmt.Errorf("%d of %d samples, want %d of %d: %w", n, series.Total, chartPoints, total, host.ErrNoFigure)
		}
	}
	return took, nil
}
