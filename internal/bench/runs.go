package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/bench/fill"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/job"
)

// runs is how long a page of the list of runs, and the overview, take when there are very many.
func (b *bench) runs() ([]row, error) {
	return b.onEach("runs", b.runsOn)
}

func (b *bench) runsOn(on host.Database) ([]row, error) {
	begun := time.Now()
	if err := fill.Runs(b.Ctx, on.Options(), b.scale.runs); err != nil {
		return nil, err
	}
	fmt.Printf("<!-- %s: %d runs stored in %s -->\n", on.Name, b.scale.runs, time.Since(begun).Round(time.Second))
	s, err := b.Stint(on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }()                     // the figures are what counts
	if err := s.WaitIdle(5 * time.Minute); err != nil { // it indexes texts and packs journals
		return nil, err
	}
	var rows []row
	what := fmt.Sprintf("%d runs, %s: ", b.scale.runs, on.Name)
	for _, q := range []struct{ what, query string }{
		{"the first page of the list", ""},
		{"filtered by state failed", "&state=failed"},
		{"by state failed and a job", "&state=failed&job=load-8"},
		{"by a label", "&label=team=team-3"},
		{"by a label that one run in 100,000 has", "&label=ticket=T-77"},
		{"by a word in the command", "&q=chapter-7"},
	} {
		took, err := pages(s, "/api/v1/runs?limit=50"+q.query)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{what: what + q.what, unit: "ms", measured: took, most: 50})
		what = "… "
	}
	took, size, err := overview(s)
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
func overview(s *host.Service) (ms, kB float64, err error) {
	var took []float64
	var packed bytes.Buffer
	for range 20 {
		begun := time.Now()
		body, err := fetch(s.URL() + "/api/v1/overview")
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
func pages(s *host.Service, path string) (float64, error) {
	var took []float64
	next := ""
	for range 20 {
		begun := time.Now()
		body, err := fetch(s.URL() + path + next)
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
			return 0, fmt.Errorf("%s has no runs: %w", path, host.ErrNoFigure)
		}
		if next = ""; page.NextCursor != nil {
			next = "&cursor=" + *page.NextCursor
		}
	}
	return slices.Max(took), nil
}
