package store_test

import (
	"context"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

// A server of a database notices at once that another one has made a run ready. A run that nobody takes wakes nobody
// again in later rounds of the matcher, but in those that look for what was missed.
func TestServersNotifyEachOtherOfReadyRuns(t *testing.T) {
	url := postgrestest.URL(t)
	var servers [2]*store.Store
	for i := range servers {
		s, err := store.Open(t.Context(), store.Options{URL: url})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		servers[i] = s
	}
	ctx, stop := context.WithCancel(t.Context())
	listening, ended := make(chan struct{}), make(chan error, 1)
	raised := servers[1].RunsReady() // when it begins to listen
	go func() { ended <- servers[1].ListenReady(ctx, func() { close(listening) }) }()
	waitFor := func(what string, happened <-chan struct{}) {
		t.Helper()
		select {
		case <-happened:
		case err := <-ended:
			t.Fatalf("%s: it listens no longer: %v", what, err)
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: not within 30 s", what)
		}
	}
	waitFor("the server listens", listening)
	waitFor("it looks for what was ready before", raised)

	raised = servers[1].RunsReady()
	submitCommand(t, servers[0], "many", nil)
	waitFor("the submission is noticed", raised)

	raised = servers[1].RunsReady()
	for range 3 {
		matchRound(t, servers[1], false)
	}
	select {
	case <-raised:
		t.Error("a run that nobody takes wakes those who wait again and again")
	default:
	}
	matchRound(t, servers[1], true)
	waitFor("a search for what was missed", raised)

	stop()
	if err := <-ended; err != nil {
		t.Errorf("to end listening: %v", err)
	}
}
