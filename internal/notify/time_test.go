package notify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestEveryRuleCanBeAskedFor(t *testing.T) {
	for _, rule := range append(policy.Rules(), policy.Ends()...) {
		if !slices.Contains(Events(), rule) {
			t.Errorf("no route can ask for %s", rule)
		}
	}
}

// memory is an outbox without a database, for tests of time. It is used by one goroutine
// at a time.
type memory struct {
	route   api.Route
	deleted bool // the route
	rows    []api.Action
	lock    chan struct{}
	// cancels are due, and following one takes so long.
	cancels     []api.Action
	cancelTakes time.Duration
}

func newMemory(r api.Route) *memory {
	r.Name, r.Enabled = "team", true
	return &memory{route: r, lock: make(chan struct{}, 1)}
}

func (m *memory) locked(f func()) { m.lock <- struct{}{}; f(); <-m.lock }

// raise adds a pending row of a run.
func (m *memory) raise(run string) {
	m.locked(func() {
		now := time.Now()
		id := int64(len(m.rows) + 1)
		m.rows = append(m.rows, api.Action{
			ID: id, Cause: id, Kind: outbox.Notify, Run: run, Route: "team", What: "failed", Severity: job.Critical,
			Status: outbox.Pending, CreatedAt: now, NextAt: &now, Attempt: 1,
		})
	})
}

func (m *memory) pending() (left []api.Action) {
	m.locked(func() {
		for _, row := range m.rows {
			if row.Status == outbox.Pending {
				left = append(left, row)
			}
		}
	})
	return left
}

func (m *memory) Dispatch(context.Context, time.Time, int, func(api.Action, *job.Run) ([]string, string)) (int, error) {
	return 0, nil
}

func (m *memory) Deliveries(context.Context) (all []outbox.Delivery, err error) {
	pending := len(m.pending()) > 0
	m.locked(func() {
		if !m.deleted {
			all = append(all, outbox.Delivery{Route: m.route, Pending: pending})
		}
	})
	return all, nil
}

func (m *memory) ReserveRoute(context.Context, string, string, time.Time, time.Time) (bool, error) {
	return true, nil
}

func (m *memory) RouteRows(context.Context, string, int) ([]api.Action, error) {
	return m.pending(), nil
}

func (m *memory) StoreResults(_ context.Context, all []outbox.Result) error {
	m.locked(func() {
		for _, s := range all {
			if int(s.ID) > len(m.rows) {
				continue // a cancel
			}
			row := &m.rows[s.ID-1]
			next := s.NextAt
			row.Status, row.Tries, row.NextAt, row.Batch, row.LastError = s.Status, s.Tries, &next, s.Batch, s.Error
		}
	})
	return nil
}

func (m *memory) TidyOutbox(context.Context, time.Time, time.Time, int) error { return nil }

func (m *memory) ReportLate(context.Context, time.Time) error { return nil }

func (m *memory) Run(_ context.Context, id string) (job.Run, error) {
	return job.Run{ID: id, Job: id, Number: 1, Attempt: 1, State: job.Failed}, nil
}

func (m *memory) Acknowledged(context.Context, string, time.Time) (bool, error) { return false, nil }

func (m *memory) SucceededSince(context.Context, string, time.Time, time.Time) (bool, error) {
	return false, nil
}

func (m *memory) DueActions(context.Context, time.Time, int) (due []api.Action, err error) {
	m.locked(func() { due = slices.Clone(m.cancels) })
	return due, nil
}

func (m *memory) ActionFailed(context.Context, api.Action, error, time.Time) error { return nil }

func (m *memory) ActionFollowed(context.Context, api.Action) {}

func (m *memory) FollowCancel(ctx context.Context, _ string, _ int, _ job.Cancel, _ bool) (outbox.Progress, error) {
	var takes time.Duration
	m.locked(func() { takes = m.cancelTakes })
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	return outbox.Progress{}, nil
}

func (m *memory) WatchRetry(context.Context, string, int, time.Time, time.Time) (outbox.Progress, error) {
	return outbox.Progress{}, nil
}

func (m *memory) RequestRetry(context.Context, string, int, string, string, time.Time) (job.Run, []job.RunEvent, error) {
	return job.Run{}, nil, nil
}

// mailbox is a channel that writes down what it takes, and when.
type mailbox struct {
	down time.Time // until then it takes nothing
	slow bool      // it never answers
	// takes is how long it takes for a message.
	takes time.Duration

	mu    sync.Mutex
	tries int
	took  []string
}

func (b *mailbox) seen() (took []string, tries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.took), b.tries
}

func (b *mailbox) Send(ctx context.Context, m message.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	if b.slow {
		b.mu.Unlock()
		defer b.mu.Lock()
		<-ctx.Done()
		return ctx.Err()
	}
	<-time.After(b.takes)
	if time.Now().Before(b.down) {
		return &SendError{Why: "down"}
	}
	line := time.Now().UTC().Format("15:04") + " " + m.ID
	for _, i := range m.Items {
		line += " " + i.Run.Job
	}
	b.took = append(b.took, line)
	return nil
}

// inTime runs a worker over an outbox and a mailbox in a bubble of fake time, which
// begins at midnight UTC.
func inTime(t *testing.T, r api.Route, test func(m *memory, b *mailbox)) {
	t.Helper()
	inTimeWith(t, r, func(m *memory, b *mailbox, _ *Worker) { test(m, b) })
}

func inTimeWith(t *testing.T, r api.Route, test func(m *memory, b *mailbox, w *Worker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, b := newMemory(r), &mailbox{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		w := New(Config{Store: m, Log: slog.New(slog.DiscardHandler), open: func(api.Route) (Channel, error) { return b, nil }})
		go func() { w.Run(ctx); close(done) }()
		synctest.Wait()
		test(m, b, w)
		cancel()
		<-done // synctest fails the test if anything else is still there
	})
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// A worker that is woken, often, sends what waits at once, and once.
func TestAWokenWorkerSendsAtOnce(t *testing.T) {
	inTimeWith(t, api.Route{}, func(m *memory, b *mailbox, w *Worker) {
		pass(100 * time.Millisecond)
		m.raise("run")
		woken := time.Now()
		for range 3 {
			w.Wake()
		}
		synctest.Wait()
		if took, _ := b.seen(); len(took) != 1 || !time.Now().Equal(woken) {
			t.Errorf("%d messages %s after it was woken", len(took), time.Since(woken))
		}
		pass(time.Minute)
		if took, _ := b.seen(); len(took) != 1 {
			t.Errorf("%d messages after a minute", len(took))
		}
	})
}

// Pauses double with jitter, so the first try after a minute comes when 2^7-1 = 127
// seconds have passed at the latest.
func TestAMinuteOfADeadReceiver(t *testing.T) {
	inTime(t, api.Route{}, func(m *memory, b *mailbox) {
		start := time.Now()
		b.down = start.Add(time.Minute)
		var want []string
		for n := range 12 {
			run := fmt.Sprint("run", n)
			m.raise(run)
			want = append(want, fmt.Sprintf("stint_%d_team %s", n+1, run))
			pass(5 * time.Second)
		}
		pass(time.Until(start.Add(129 * time.Second))) // 2 s for the worker's round
		took, tries := b.seen()
		for i := range took {
			_, took[i], _ = strings.Cut(took[i], " ") // the minute, which depends on the jitter
		}
		if diff := cmp.Diff(want, took); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
		if failed := tries - len(took); failed < 5 || failed > 9 || len(m.pending()) != 0 {
			t.Errorf("%d tries while it was down, %d rows left", failed, len(m.pending()))
		}
	})
}

func TestQuietHoursEndWithOneMessage(t *testing.T) {
	inTime(t, api.Route{Quiet: &api.QuietHours{Cron: "0 22 * * *", Duration: "9h"}}, func(m *memory, b *mailbox) {
		for n := range 3 {
			m.raise(fmt.Sprint("night", n))
			pass(time.Hour)
		}
		if took, _ := b.seen(); len(took) != 0 {
			t.Fatalf("sent at night: %v", took)
		}
		pass(4*time.Hour + time.Minute)
		m.raise("day")
		pass(2 * time.Second)
		want := []string{"07:00 stint_1_team night0 night1 night2", "07:01 stint_4_team day"}
		took, _ := b.seen()
		if diff := cmp.Diff(want, took); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
	})
}

func TestGroupingAndStorms(t *testing.T) {
	inTime(t, api.Route{GroupSeconds: 120}, func(m *memory, b *mailbox) {
		m.raise("a")
		pass(time.Minute)
		m.raise("b")
		pass(59 * time.Second)
		if took, _ := b.seen(); len(took) != 0 {
			t.Fatalf("sent too early: %v", took)
		}
		pass(3 * time.Second)
		m.raise("c")
		pass(3 * time.Minute)
		took, _ := b.seen()
		if diff := cmp.Diff([]string{"00:02 stint_1_team a b", "00:04 stint_3_team c"}, took); diff != "" {
			t.Errorf("taken (-want +got):\n%s", diff)
		}
	})
	inTime(t, api.Route{}, func(m *memory, b *mailbox) {
		for n := range 1100 {
			m.raise(fmt.Sprint(n))
		}
		pass(5 * time.Second)
		if took, _ := b.seen(); len(took) != 3 || len(m.pending()) != 0 {
			t.Errorf("a storm of 1100 became %d messages, %d rows left", len(took), len(m.pending()))
		}
	})
}

func TestAWorkerEndsInTheMiddleOfATry(t *testing.T) {
	inTime(t, api.Route{}, func(m *memory, b *mailbox) {
		b.slow = true
		m.raise("a")
		pass(10 * time.Second)
		if _, tries := b.seen(); tries != 1 {
			t.Errorf("%d tries", tries)
		}
	})
}

// A route that is disabled, changed or deleted in the middle of its backlog is left at once.
func TestARouteThatChangesWhileItIsServed(t *testing.T) {
	inTime(t, api.Route{}, func(m *memory, b *mailbox) {
		b.takes = 5 * time.Second
		m.raise("first")
		pass(2 * time.Second)
		m.raise("second")
		m.locked(func() { m.route.Enabled, m.route.ChangedAt = false, time.Now() })
		pass(time.Minute)
		if took, _ := b.seen(); len(took) != 1 || len(m.pending()) != 1 {
			t.Errorf("after the route was disabled: %v; %d wait", took, len(m.pending()))
		}
		m.locked(func() { m.route.Enabled, m.route.ChangedAt = true, time.Now() })
		pass(time.Minute)
		if took, _ := b.seen(); len(took) != 2 {
			t.Errorf("after it was enabled: %v", took)
		}
		m.raise("third")
		pass(2 * time.Second)
		m.raise("fourth")
		m.locked(func() { m.deleted = true })
		pass(time.Minute)
		if took, _ := b.seen(); len(took) != 3 || len(m.pending()) != 1 {
			t.Errorf("after the route was deleted: %v; %d wait", took, len(m.pending()))
		}
	})
}

// Quiet hours that this server cannot read are named as the reason.
func TestQuietHoursThatCannotBeRead(t *testing.T) {
	inTime(t, api.Route{Quiet: &api.QuietHours{Cron: "0 22 * * *", Duration: "9h", Zone: "Nowhere/At_All"}}, func(m *memory, b *mailbox) {
		m.raise("run")
		pass(time.Minute)
		m.locked(func() {
			if why := m.rows[0].LastError; !strings.Contains(why, "quiet.zone") || strings.Contains(why, "<nil>") {
				t.Errorf("the reason is %q", why)
			}
		})
	})
}
