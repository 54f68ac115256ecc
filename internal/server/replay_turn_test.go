package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

// stuckRuns is a store that lists the runs of the job "stuck" for as long as somebody waits for them.
type stuckRuns struct {
	*store.Store
	entered, ended chan struct{}
}

func (s *stuckRuns) Runs(ctx context.Context, q query.Runs) (query.RunPage, error) {
	if q.Job != "stuck" {
		return s.Store.Runs(ctx, q)
	}
	close(s.entered)
	<-ctx.Done()
	close(s.ended)
	return query.RunPage{}, ctx.Err()
}

// The replay of a policy takes a place of searches, and leaves it to others when it gets nowhere.
func TestReplaysTakePlacesOfSearches(t *testing.T) {
	stuck := &stuckRuns{openStore(t, t.TempDir()), make(chan struct{}), make(chan struct{})}
	l := start(t, server.Config{Store: stuck, MaxSearches: 1, SearchTimeout: time.Hour})
	s := newSketch(t, "j", nil).command().output("a line that is found\n")
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	replayed := make(chan struct{})
	defer func() { cancel(); <-replayed }()
	go func() {
		defer close(replayed)
		req, err := http.NewRequestWithContext(ctx, "POST", l.url+"/api/v1/jobs/stuck/policy/test", strings.NewReader("rules: {}"))
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-stuck.entered
	// A busy machine needs longer than a search waits to see that the replay gets nowhere.
	for try := 0; l.get("/api/v1/runs/"+s.id+"/log/search?q=found&limit=1").status == http.StatusTooManyRequests; try++ {
		if try == 20 {
			t.Fatal("a replay that gets nowhere makes no room")
		}
	}
	select {
	case <-stuck.ended:
	case <-time.After(30 * time.Second):
		t.Error("a search and a replay run, and there is one place")
	}
}
