package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// runs is how long a page of the list of runs, and the overview, take when there are very many.
func (b *bench) runs() ([]row, error) {
	all, err := b.databases("runs")
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, on := range all {
		more, err := b.runsOn(on)
		if err := errors.Join(err, on.close()); err != nil {
			return nil, fmt.Errorf("%s: %w", on.name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

func (b *bench) runsOn(on stored) ([]row, error) {
	if err := b.storeRuns(on); err != nil {
		return nil, err
	}
	s, err := b.stint(on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }()                     // the figures are what counts
	if err := s.waitIdle(5 * time.Minute); err != nil { // it indexes texts and packs journals
		return nil, err
	}
	var rows []row
	what := fmt.Sprintf("%d runs, %s: ", b.scale.runs, on.name)
	for _, q := range []struct{ what, query string }{
		{"the first page of the list", ""},
		{"filtered by state failed", "&state=failed"},
		{"by state failed and a job", "&state=failed&job=load-8"},
		{"by a label", "&label=team=team-3"},
		{"by a label that one run in 100,000 has", "&label=ticket=T-77"},
		{"by a word in the command", "&q=chapter-7"},
	} {
		took, err := s.pages("/api/v1/runs?limit=50" + q.query)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{what: what + q.what, unit: "ms", measured: took, most: 50})
		what = "… "
	}
	took, size, err := s.overview()
	if err != nil {
		return nil, err
	}
	return append(rows,
		row{what: what + "the overview, beside the first page of the list", unit: "ms", yardstick: rows[0].measured, measured: took, most: 20},
		row{what: what + "its size after gzip", unit: "kB", measured: size, most: 15},
	), nil
}

// overview asks for the first view of the page many times, and returns how many ms the slowest of
// twenty took, and how many kB the answer has after gzip.
func (s *service) overview() (ms, kB float64, err error) {
	var took []float64
	var packed bytes.Buffer
	for range 20 {
		begun := time.Now()
		body, err := fetch(s.url() + "/api/v1/overview")
		took = append(took, float64(time.Since(begun).Microseconds())/1e3)
		if err != nil {
			return 0, 0, err
		}
		packed.Reset()
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(body); err != nil {
			return 0, 0, err
		}
		if err := w.Close(); err != nil {
			return 0, 0, err
		}
	}
	return slices.Max(took), float64(packed.Len()) / 1e3, nil
}

// pages asks for a page and the one after it, many times, and returns how many ms the slowest
// of twenty took.
func (s *service) pages(path string) (float64, error) {
	var took []float64
	next := ""
	for range 20 {
		begun := time.Now()
		body, err := fetch(s.url() + path + next)
		took = append(took, float64(time.Since(begun).Microseconds())/1e3)
		if err != nil {
			return 0, err
		}
		var page struct {
			Runs       []job.Run `json:"runs"`
			NextCursor *string   `json:"next_cursor"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return 0, err
		}
		if len(page.Runs) == 0 {
			return 0, fmt.Errorf("%s has no runs: %w", path, errNoFigure)
		}
		if next = ""; page.NextCursor != nil {
			next = "&cursor=" + *page.NextCursor
		}
	}
	return slices.Max(took), nil
}

// storeRuns fills a database with runs as agents would have brought them, over a year.
func (b *bench) storeRuns(on stored) (err error) {
	db, err := store.Open(b.ctx, store.Options{Dir: on.dir, URL: on.url, Relaxed: on.dir != ""})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const group = 500
	begun := time.Now()
	first := begun.Add(-time.Duration(b.scale.runs) * 30 * time.Second)
	for n := 0; n < b.scale.runs; n += group {
		var appends []index.Append
		for i := n; i < min(n+group, b.scale.runs); i++ {
			at := first.Add(time.Duration(i) * 30 * time.Second)
			appends = append(appends, index.Append{Run: fleet.RunID(at, i), Attempt: 1, Data: finished(i, at), At: at.Add(time.Minute)})
		}
		done, _, err := db.Ingest(b.ctx, appends, nil)
		if err != nil {
			return err
		}
		for _, d := range done {
			if d.Err != nil {
				return d.Err
			}
		}
	}
	fmt.Printf("<!-- %s: %d runs stored in %s -->\n", on.name, b.scale.runs, time.Since(begun).Round(time.Second))
	return nil
}

// finished is the whole journal of a run that has ended.
func finished(n int, at time.Time) []byte {
	var b bytes.Buffer
	code := 0
	if n%12 == 0 {
		code = 1
	}
	labels := map[string]string{"team": fmt.Sprintf("team-%d", n%20), "env": []string{"production", "staging"}[n%2]}
	if n%100_000 == 77 {
		labels["ticket"] = "T-77"
	}
	outcome := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: code})
	w, err := journal.NewWriter(&b)
	for _, r := range []struct {
		t journal.Type
		v any
	}{
		{journal.TypeAttempt, journal.Attempt{
			Run: fleet.RunID(at, n), Attempt: 1, Job: fmt.Sprintf("load-%d", n%200), Args: []string{"python", "report.py", fmt.Sprintf("chapter-%d", n%1000)},
			Host: fmt.Sprintf("node-%d", n%500), AgentVersion: "bench", HeartbeatPeriodMS: 5000, Labels: labels,
		}},
		{journal.TypeStepStarted, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "python report.py", PID: 1}},
		{journal.TypeStepEnded, journal.StepEnded{Outcome: outcome}},
	} {
		err = errors.Join(err, w.AppendJSON(r.t, at, r.v))
	}
	err = errors.Join(err, w.Finish(at.Add(20*time.Second), journal.Final{Outcome: outcome, Usage: job.Usage{CPUSeconds: 12, PeakMemoryBytes: 300 << 20}}))
	if err != nil {
		panic(err) // a buffer takes everything, and these values can be encoded
	}
	return b.Bytes()
}
