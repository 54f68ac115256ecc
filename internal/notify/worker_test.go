package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// keyed gives a store a file for the key of its secrets.
func keyed(t *testing.T, o store.Options) store.Options {
	t.Helper()
	o.SecretKeyFile = filepath.Join(t.TempDir(), "secret.key")
	return o
}

// onBothEngines runs a test of the worker over a real database of each kind.
func onBothEngines(t *testing.T, test func(t *testing.T, db *store.Store)) {
	t.Helper()
	for name, options := range map[string]func(t *testing.T) store.Options{
		"sqlite":   func(t *testing.T) store.Options { t.Helper(); return keyed(t, store.Options{Dir: t.TempDir()}) },
		"postgres": func(t *testing.T) store.Options { t.Helper(); return keyed(t, store.Options{URL: postgrestest.URL(t)}) },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(t.Context(), options(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, db)
		})
	}
}

// fail stores a run that failed, or one that succeeded when code is 0.
func fail(t *testing.T, db *store.Store, name string, code int) string {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	endAttempt(t, db, name, id, 1, code)
	return id
}

// endAttempt is fail for an attempt of a run.
func endAttempt(t *testing.T, db *store.Store, name, id string, attempt, code int) {
	t.Helper()
	data := finished(t, name, id, attempt, code, time.Now())
	got, _, err := db.Ingest(t.Context(), []index.Append{{Run: id, Attempt: attempt, Data: data, At: time.Now()}}, nil)
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
}

// finished is the journal of an attempt that ended at once.
func finished(t *testing.T, name, id string, attempt, code int, at time.Time) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err == nil {
		err = w.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: id, Attempt: attempt, Job: name, Args: []string{"x"}, Host: "box"})
	}
	if err == nil {
		o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: code})
		err = w.Finish(at, journal.Final{Outcome: o})
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// recorder is a receiver that writes down what it took.
type recorder struct {
	mu    sync.Mutex
	took  []webhookBody
	tries map[string]int // by webhook-id
	down  int            // this many requests are answered 503
	more  chan struct{}
}

func newRecorder() *recorder {
	return &recorder{tries: map[string]int{}, more: make(chan struct{}, 1000)}
}

func (h *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	var body webhookBody
	if err := json.Unmarshal(raw, &body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries[r.Header.Get("webhook-id")]++
	if h.down > 0 {
		h.down--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.took = append(h.took, body)
	h.more <- struct{}{}
}

func (h *recorder) items() []message.Item {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []message.Item
	for _, m := range h.took {
		all = append(all, m.Data.Items...)
	}
	return all
}

// wait waits until so many messages were taken.
func (h *recorder) wait(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-h.more:
		case <-time.After(30 * time.Second):
			t.Fatalf("after 30 s: %+v", h.items())
		}
	}
}

func setRoute(t *testing.T, db *store.Store, r api.Route) {
	t.Helper()
	r.Enabled, r.ChangedAt = true, time.Now()
	if err := db.SetRoute(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// work runs a worker until the test ends or stop is called.
func work(t *testing.T, db *store.Store, change func(*Config)) (stop func()) {
	t.Helper()
	_, stop = worker(t, db, change)
	return stop
}

// worker is work with the worker.
func worker(t *testing.T, db *store.Store, change func(*Config)) (w *Worker, stop func()) {
	t.Helper()
	c := Config{Store: db, Log: slog.New(slog.DiscardHandler), Options: Options{PrivateTargets: true}}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w = New(c)
	go func() { w.Run(ctx); close(done) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return w, stop
}

// waitForAll waits until nothing is pending and returns the states of all items.
func waitForAll(t *testing.T, db *store.Store) map[string]int {
	t.Helper()
	return counted(t, db, func(count map[string]int) bool { return count[outbox.Pending] == 0 })
}

// stands waits until so many rows stand like this.
func wantStatus(t *testing.T, db *store.Store, status string, n int) {
	t.Helper()
	counted(t, db, func(count map[string]int) bool { return count[status] == n })
}

func counted(t *testing.T, db *store.Store, enough func(map[string]int) bool) map[string]int {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		all, err := db.Actions(t.Context(), query.Actions{Limit: 500})
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, a := range all {
			count[a.Status]++
		}
		if enough(count) {
			return count
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after 30 s: %+v", all)
		}
	}
}

// A route that names late runs gets one message for each host and delivery, about the jobs that it
// takes; no other route gets any, and a failure that a good run followed alarms nobody.
func TestLateRunsAreOneMessage(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		some, all, trouble := newRecorder(), newRecorder(), newRecorder()
		setRoute(t, db, api.Route{Name: "some", URL: receiver(t, some.ServeHTTP), Match: api.RouteMatch{Events: []string{"late"}, Job: "backup"}})
		setRoute(t, db, api.Route{Name: "all", URL: receiver(t, all.ServeHTTP), Match: api.RouteMatch{Events: []string{"late"}}})
		setRoute(t, db, api.Route{Name: "trouble", URL: receiver(t, trouble.ServeHTTP)})
		now := time.Now()
		night := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC).AddDate(0, 0, -1)
		for i := range 7 {
			for _, name := range []string{"backup", "report"} {
				deliverLate(t, db, name, i%3%2, night.Add(70*time.Minute+time.Duration(i)*200*time.Minute/6), now.Add(-time.Minute))
			}
		}
		deliverLate(t, db, "etl", 1, night, now.Add(-time.Minute))
		work(t, db, nil)
		for _, one := range []*recorder{some, all, trouble} {
			one.wait(t, 1)
		}
		waitForAll(t, db)
		day := night.Format("2006-01-02")
		want := map[*recorder]string{
			some:    "Stint: 7 runs from " + day + " 01:10 to " + day + " 04:30 arrived late, 2 of them failed",
			all:     "Stint: 15 runs from " + day + " 00:00 to " + day + " 04:30 arrived late, 5 of them failed",
			trouble: "etl #1 failed",
		}
		for h, title := range want {
			if items := h.items(); len(items) != 1 || h.took[0].Data.Title != title {
				t.Errorf("%q: got %+v", title, h.took)
			}
		}
		item := some.items()[0]
		if item.What != outbox.WhatLate || item.Severity != outbox.Info || item.Late == nil || item.Late.Runs != 7 || item.Late.Failed != 2 || item.Run != nil {
			t.Errorf("item: %+v", item)
		}
		if text := all.took[0].Data.Text; !strings.Contains(text, "host box") || !strings.Contains(text, "\n  etl: 1 run from") || !strings.Contains(text, "\n  report: 7 runs from") {
			t.Errorf("text: %s", text)
		}
	})
}

// deliverLate stores a run that started and was delivered at times.
func deliverLate(t *testing.T, db *store.Store, name string, code int, started, delivered time.Time) {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	data := finished(t, name, id, 1, code, started)
	got, _, err := db.Ingest(t.Context(), []index.Append{{Run: id, Attempt: 1, Data: data, At: delivered}}, nil)
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
}

// A receiver that is down loses nothing: afterwards each notification arrives once, in
// order, and the one that was tried kept its id.
func TestAReceiverThatWasDown(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		h := newRecorder()
		h.down = 2
		setRoute(t, db, api.Route{Name: "team", URL: receiver(t, h.ServeHTTP), Secret: NewSecret()})
		work(t, db, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-time.Second) } })
		var want []string
		for n := range 10 {
			want = append(want, fail(t, db, "train", 1)+" failed")
			if n%2 == 0 {
				want = append(want, fail(t, db, "train", 0)+" recovered")
			}
		}
		h.wait(t, len(want))
		var got []string
		for _, i := range h.items() {
			got = append(got, i.Run.ID+" "+i.What)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		if count := waitForAll(t, db); count[outbox.Done] != len(want) {
			t.Errorf("done: %v", count)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.tries) != len(want) || slices.Max(slices.Collect(mapValues(h.tries))) != 3 {
			t.Errorf("tries by id: %v", h.tries)
		}
	})
}

func mapValues(m map[string]int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

// A slow receiver delays nobody else, and is cut off when the worker ends. What it was
// being notified is notified again, with everything that came meanwhile in one message.
func TestASlowReceiverAndARestart(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		fast, slow := newRecorder(), newRecorder()
		arrived, first := make(chan string, 1), true
		setRoute(t, db, api.Route{Name: "fast", URL: receiver(t, fast.ServeHTTP)})
		setRoute(t, db, api.Route{Name: "slow", URL: receiver(t, func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				raw, _ := io.ReadAll(r.Body) // a server that has not read the body does not see that the client hangs up
				if len(raw) == 0 {
					t.Error("no body")
				}
				arrived <- r.Header.Get("webhook-id")
				<-r.Context().Done()
				return
			}
			slow.ServeHTTP(w, r)
		})})
		stop := work(t, db, nil)
		fail(t, db, "train", 1)
		id := <-arrived
		for range 4 {
			fail(t, db, "train", 1)
		}
		fast.wait(t, 5)
		stop()
		work(t, db, nil)
		slow.wait(t, 2)
		waitForAll(t, db)
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if slow.tries[id] != 1 || len(slow.tries) != 2 || len(slow.took[0].Data.Items) != 1 || len(slow.took[1].Data.Items) != 4 || slow.took[1].Type != "summary" {
			t.Errorf("after the restart: %v %+v", slow.tries, slow.took)
		}
	})
}

// Two servers on one database notify everything once between them, in order.
func TestTwoServersTellOnce(t *testing.T) {
	url := postgrestest.URL(t)
	h := newRecorder()
	target := receiver(t, h.ServeHTTP)
	var first *store.Store
	o := keyed(t, store.Options{URL: url})
	for range 2 {
		db, err := store.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		if first == nil {
			first = db
			setRoute(t, db, api.Route{Name: "team", URL: target})
		}
		work(t, db, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-time.Second) } })
	}
	var want, got []string
	for range 15 {
		want = append(want, fail(t, first, "train", 1))
	}
	if count := waitForAll(t, first); count[outbox.Done] != len(want) {
		t.Errorf("done: %v", count)
	}
	for _, i := range h.items() {
		got = append(got, i.Run.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
}

// What nobody takes is dropped with the reason; what a receiver refuses does not hold up
// what comes behind it.
func TestDroppedAndRefused(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		stop := work(t, db, nil)
		fail(t, db, "train", 1)
		if count := waitForAll(t, db); count[outbox.Dropped] != 1 {
			t.Errorf("without a route: %v", count)
		}
		stop()
		h := newRecorder()
		setRoute(t, db, api.Route{Name: "team", URL: receiver(t, func(w http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			if bytes.Contains(raw, []byte("poison")) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(raw))
			h.ServeHTTP(w, r)
		})})
		work(t, db, nil)
		fail(t, db, "poison", 1)
		fail(t, db, "fine", 1)
		h.wait(t, 1)
		if count := waitForAll(t, db); count[outbox.Failed] != 1 || count[outbox.Done] != 1 {
			t.Errorf("done: %v", count)
		}
	})
}

func TestRepeatedUntilAcknowledged(t *testing.T) {
	onBothEngines(t, func(t *testing.T, db *store.Store) {
		h := newRecorder()
		setRoute(t, db, api.Route{Name: "team", URL: receiver(t, h.ServeHTTP), RepeatSeconds: 60})
		var mu sync.Mutex
		var ahead time.Duration
		work(t, db, func(c *Config) {
			c.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(ahead)
			}
		})
		pass := func(d time.Duration) { mu.Lock(); ahead += d; mu.Unlock() }
		id := fail(t, db, "train", 1)
		h.wait(t, 1)
		wantStatus(t, db, outbox.Done, 1)
		pass(61 * time.Second)
		h.wait(t, 1)
		wantStatus(t, db, outbox.Done, 2)
		if items := h.items(); items[1].Repeat != 1 || items[1].ID != items[0].ID {
			t.Errorf("repetition: %+v", items)
		}
		if _, _, err := db.Acknowledge(t.Context(), id, "ada", "", time.Now()); err != nil {
			t.Fatal(err)
		}
		pass(61 * time.Second)
		if count := waitForAll(t, db); count[outbox.Dropped] != 1 || count[outbox.Done] != 2 {
			t.Errorf("done: %v", count)
		}
	})
}
