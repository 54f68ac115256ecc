package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// hostClocks are the clocks of a host in virtual time: setBy is by how much its wall clock was set, and suspended is how
// long the host was suspended.
type hostClocks struct {
	begin            time.Time
	setBy, suspended atomic.Int64 // durations
}

// use has a store go by the clocks.
func (h *hostClocks) use(s *store.Store) {
	h.begin = time.Now()
	s.SetClock(func() time.Time { return time.Now().Round(0).Add(time.Duration(h.setBy.Load() + h.suspended.Load())) })
	s.SinceBoot = func() time.Duration { return time.Since(h.begin) + time.Duration(h.suspended.Load()) }
}

// inVirtualTime runs a test on each database, with clocks that go on when nobody works.
func inVirtualTime(t *testing.T, test func(*testing.T, *store.Store)) {
	t.Parallel()
	for name, options := range map[string]func(*testing.T) store.Options{
		"SQLite":     func(t *testing.T) store.Options { return store.Options{Dir: t.TempDir()} },
		"PostgreSQL": func(t *testing.T) store.Options { return store.Options{URL: postgrestest.URL(t)} }, // which starts in real time
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			synctest.Test(t, func(t *testing.T) { test(t, openWith(t, o)) }) // connections belong to the time in which they were made
		})
	}
}

// syncedBuffer is a buffer that a log is written to while it is read.
type syncedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *syncedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// scheduleLoop is RunSchedules in virtual time.
type scheduleLoop struct {
	*hostClocks
	*store.Store
	t      *testing.T
	logged *syncedBuffer
	stop   context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	runs []job.Run
}

func runSchedules(t *testing.T, s *store.Store) *scheduleLoop {
	h := &hostClocks{}
	h.use(s)
	return runSchedulesAt(t, s, h)
}

// runSchedulesAt runs the loop on a host that goes on.
func runSchedulesAt(t *testing.T, s *store.Store, h *hostClocks) *scheduleLoop {
	l := &scheduleLoop{hostClocks: h, Store: s, t: t, logged: &syncedBuffer{}, ended: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	go func() {
		defer close(l.ended)
		s.RunSchedules(ctx, slog.New(slog.NewTextHandler(l.logged, nil)), "host1", func(run job.Run) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.runs = append(l.runs, run)
		})
	}()
	return l
}

// pass lets time pass, and returns the runs that were made meanwhile.
func (l *scheduleLoop) pass(d time.Duration) []job.Run {
	l.t.Helper()
	<-time.After(d)
	l.mu.Lock()
	defer l.mu.Unlock()
	made := l.runs
	l.runs = nil
	return made
}

// The loop looks each second, starts nothing for five minutes after the clock was set, makes up for a suspension of the
// host at once, goes on after errors, and ends with its context.
func TestLoopOfSchedules(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, s *store.Store) {
		l := runSchedules(t, s)
		defer l.stop()
		scheduled(t, s, "report", "overlap: allow", `every: 10m, anchor: "2000-01-01T00:00:00Z"`)
		for range 2 {
			runs := l.pass(10*time.Minute + time.Second)
			if len(runs) != 1 || runs[0].CreatedAt.Sub(runs[0].Submitted.Occurrence.At) > time.Second {
				t.Fatalf("%+v", runs)
			}
		}
		l.suspend()
		l.set()
		l.fail()
		l.stop()
		<-l.ended
		if runs := l.pass(2 * time.Hour); len(runs) != 0 {
			t.Errorf("%d runs after the end", len(runs))
		}
	})
}

// suspend suspends the host for hours: the last time is made up for at once, and no clock was set.
func (l *scheduleLoop) suspend() {
	l.t.Helper()
	l.suspended.Add(int64(3*time.Hour + 35*time.Minute))
	runs := l.pass(2 * time.Second)
	if len(runs) != 1 || !strings.Contains(occurrences(l.t, l.Store, "report"), "03:50 ran_late #3 (started 5 m") {
		l.t.Fatalf("%d runs, %s", len(runs), occurrences(l.t, l.Store, "report"))
	}
	wantTroubled(l.t, l.Store)
	if text := l.logged.String(); text != "" {
		l.t.Error(text)
	}
}

// set sets the clock an hour ahead and back again: nothing is started until it has been right for five minutes.
func (l *scheduleLoop) set() {
	l.t.Helper()
	l.setBy.Store(int64(time.Hour))
	if runs := l.pass(4 * time.Minute); len(runs) != 0 {
		l.t.Fatalf("%+v", runs)
	}
	wantTroubled(l.t, l.Store, "clock host1")
	l.setBy.Store(0)
	if runs := l.pass(clock.HoldFor - time.Second); len(runs) != 0 {
		l.t.Fatalf("%+v", runs)
	}
	wantTroubled(l.t, l.Store, "clock host1")
	if runs := l.pass(3 * time.Second); len(runs) != 1 || !strings.Contains(occurrences(l.t, l.Store, "report"), "04:00 ran_late #4 (started 4 m") {
		l.t.Fatalf("%d runs, %s", len(runs), occurrences(l.t, l.Store, "report"))
	}
	wantTroubled(l.t, l.Store)
	if n := strings.Count(l.logged.String(), "the clock of this host was set"); n != 2 {
		l.t.Errorf("%d lines\n%s", n, l.logged)
	}
	l.logged.Reset()
}

// fail has each look fail for a while: that is logged once, and the loop goes on.
func (l *scheduleLoop) fail() {
	l.t.Helper()
	restore := failing(l.t, l.Store, "occurrences", "INSERT")
	if runs := l.pass(10 * time.Minute); len(runs) != 0 {
		l.t.Fatalf("%+v", runs)
	}
	restore()
	if runs := l.pass(2 * time.Second); len(runs) != 1 {
		l.t.Fatalf("%+v", runs)
	}
	if text := l.logged.String(); strings.Count(text, "cannot be looked at") != 1 || strings.Count(text, "looked at again") != 1 {
		l.t.Errorf("the log:\n%s", text)
	}
}
