package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// Two servers on one PostgreSQL record 10,000 changes, and four followers of all runs go from one
// server to the other at random: each gets each change once, those of a run in their order.
func TestFollowersOfTwoServersGetEachChangeOnce(t *testing.T) {
	const changes, perRun, writers, followers = 10_002, 3, 6, 4
	url := postgrestest.URL(t)
	var servers [2]*live
	var stores [2]*store.Store
	for i := range servers {
		st, err := store.Open(t.Context(), store.Options{URL: url, Relaxed: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		stores[i], servers[i] = st, start(t, server.Config{Store: st})
	}
	begun, err := stores[0].LastEventID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := w; i < changes/perRun; i += writers {
				s := newSketch(t, fmt.Sprintf("job-%d", w), nil).command().finish(i % 2)
				if r := servers[i%2].do("POST", journalPath(s.id, 1, 0), s.bytes()); r.status != http.StatusOK {
					t.Errorf("run %d: %d %s", i, r.status, r.body)
					return
				}
			}
		})
	}
	got := make([][]job.RunEvent, followers)
	for i := range followers {
		reading.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			f := &changeFollower{last: fmt.Sprint(begun)}
			for len(f.got) < changes && ctx.Err() == nil && !t.Failed() {
				if err := f.read(ctx, servers[random.IntN(2)].url, min(changes-len(f.got), 1+random.IntN(200))); err != nil {
					t.Errorf("follower %d after %d changes: %v", i, len(f.got), err)
				}
			}
			got[i] = f.got
		})
	}
	writing.Wait()
	reading.Wait()
	last, err := stores[1].LastEventID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, events := range got {
		if n := len(events); n != changes || events[n-1].ID != last {
			t.Errorf("follower %d got %d changes, want %d; the last is %d", i, n, changes, last)
		}
		checkOrder(t, events)
	}
}

// checkOrder checks that no change came twice and that those of each run follow each other.
func checkOrder(t *testing.T, events []job.RunEvent) {
	t.Helper()
	state, seen := map[string]string{}, map[int64]bool{}
	for _, e := range events {
		if seen[e.ID] {
			t.Fatalf("change %d came twice", e.ID)
		}
		seen[e.ID] = true
		if before, known := state[e.Run]; known && before != e.From {
			t.Fatalf("run %s went from %s to %s, but was %s", e.Run, e.From, e.To, before)
		}
		state[e.Run] = e.To
	}
}

// changeFollower follows the changes of all runs over several connections.
type changeFollower struct {
	last string
	got  []job.RunEvent
}

// read connects, takes n changes and leaves.
func (f *changeFollower) read(ctx context.Context, url string, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/stream", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Last-Event-ID", f.last)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("status %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	events := client.NewEventReader(resp.Body)
	for n > 0 {
		e, err := events.Next()
		if err != nil {
			return err
		}
		if e.Type != "change" {
			continue
		}
		var change job.RunEvent
		if err := json.Unmarshal(e.Data, &change); err != nil {
			return err
		}
		f.got, f.last, n = append(f.got, change), e.ID, n-1
	}
	return nil
}
