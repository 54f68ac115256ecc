package delivery

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

var errAway = &client.UnreachableError{URL: "http://server", Err: errors.New("connection refused")}

// endOf delivers a journal of an attempt that ran for a time, and returns how long its end
// was delayed.
func endOf(t *testing.T, c Config, ran, limit time.Duration) (time.Duration, error) {
	t.Helper()
	d, end := started(t, c)
	<-time.After(ran)
	end()
	begun := time.Now()
	err := d.Finish(t.Context(), limit)
	return time.Since(begun), err
}

func TestHowLongAnEndWaits(t *testing.T) {
	const flush = 30 * time.Second
	token := problem(401, job.ProblemUnauthorized)
	for _, c := range []struct {
		name     string
		reply    func(context.Context, int64, []byte) error
		inMemory bool
		ran      time.Duration
		want     time.Duration
	}{
		{"nobody there", always(errAway), false, 0, 0},
		{"nobody there, a long job", always(errAway), false, 90 * time.Second, 0},
		{"a hung server", silent, false, 0, silentLimit},
		{"a hung server, a long job", silent, false, 10 * time.Second, silentLimit},
		{"something else there", always(foreign(404)), false, time.Second, 0},
		{"something that asks for a pause", always(foreign(503)), false, time.Second, 0},
		{"a wrong token", always(token), false, time.Second, 0},
		{"a server with no time", always(problem(503, job.ProblemUnavailable)), false, time.Second, flush},
		{"nobody there, in memory", always(errAway), true, 0, silentLimit},
		{"a hung server, in memory", silent, true, 0, silentLimit},
		{"something else there, in memory", always(foreign(404)), true, time.Second, silentLimit},
		{"a wrong token, in memory", always(token), true, time.Second, silentLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, _ := writeJournal(t, !c.inMemory, 10)
				took, err := endOf(t, Config{Server: newFakeServer(c.reply), Journal: j, Fresh: true}, c.ran, flush)
				if err == nil || took != c.want {
					t.Errorf("the end was delayed by %s, error %v; want %s", took, err, c.want)
				}
			})
		})
	}
}

// The message names what came instead of an answer once.
func TestWhyAnEndIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, _ := writeJournal(t, false, 10)
		_, err := endOf(t, Config{Server: newFakeServer(always(errAway)), Journal: j, Fresh: true}, time.Second, time.Minute)
		if !errors.Is(err, errSilent) || !errors.Is(err, errAway) || err.Error() != errAway.Error() {
			t.Errorf("%v", err)
		}
	})
}

// A server that has answered is waited for, and what it takes within the time counts, also
// where the journal is in memory.
func TestServerThatComesBackInTime(t *testing.T) {
	for _, inMemory := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var away, begun atomic.Bool
			s := newFakeServer(func(context.Context, int64, []byte) error {
				switch {
				case away.Load():
					return foreign(502)
				case inMemory && !begun.Swap(true):
					return problem(503, job.ProblemUnavailable) // what it takes is gone from memory
				}
				return nil
			})
			j, whole := writeJournal(t, !inMemory, 10)
			ended := make(chan struct{})
			d := New(Config{Server: s, Run: testRun, Attempt: 1, Journal: j, Fresh: true, Ended: ended, Watched: new(atomic.Bool)})
			d.Start(t.Context())
			if inMemory {
				<-time.After(100 * time.Millisecond) // it has answered, and did not take anything
			} else {
				<-time.After(time.Second)
				synctest.Wait()
				s.mu.Lock()
				s.journal = s.journal[:100] // what it had is there; what follows meets the outage
				s.mu.Unlock()
				j.Acknowledge(100)
			}
			away.Store(true)
			time.AfterFunc(10*time.Second, func() { away.Store(false) })
			close(ended)
			end := time.Now()
			err := d.Finish(t.Context(), 30*time.Second)
			if took := time.Since(end); err != nil || took < 10*time.Second || took > 12*time.Second {
				t.Errorf("after %s: %v, want it soon after 10 s", took, err)
			}
			if !bytes.Equal(s.has(), whole) {
				t.Errorf("the server has %d of %d bytes", len(s.has()), len(whole))
			}
		})
	}
}

// A server that answers for the first time after the end, within the second, gets a journal
// that is in memory.
func TestServerThatComesWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		s := newFakeServer(func(context.Context, int64, []byte) error {
			if away.Load() {
				return errAway
			}
			return nil
		})
		j, whole := writeJournal(t, false, 10)
		ended := make(chan struct{})
		close(ended)
		d := New(Config{Server: s, Run: testRun, Attempt: 1, Journal: j, Fresh: true, Ended: ended, Watched: new(atomic.Bool)})
		time.AfterFunc(300*time.Millisecond, func() { away.Store(false) })
		d.Start(t.Context())
		if err := d.Finish(t.Context(), 30*time.Second); err != nil || !bytes.Equal(s.has(), whole) {
			t.Errorf("%v; the server has %d of %d bytes", err, len(s.has()), len(whole))
		}
	})
}

// Only the first of many jobs waits a second for a server that hangs.
func TestHungServerIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		end := func(address string) time.Duration {
			j, _ := writeJournal(t, true, 10)
			took, err := endOf(t, Config{Server: newFakeServer(silent), Journal: j, Hung: NewHungServers(state, address)}, 0, time.Minute)
			if err == nil {
				t.Error("delivered to a server that does not answer")
			}
			return took
		}
		for _, c := range []struct {
			after   time.Duration
			address string
			want    time.Duration
		}{
			{0, "http://a", silentLimit},
			{0, "http://a", hungLimit},
			{50 * time.Second, "http://a", hungLimit},
			{0, "http://b", silentLimit},
			{time.Minute, "http://a", silentLimit},
			{0, "http://a", hungLimit},
		} {
			<-time.After(c.after)
			if took := end(c.address); took != c.want {
				t.Errorf("%s: waited %s, want %s", c.address, took, c.want)
			}
		}
	})
}

// A note that cannot be read or written is no note; nor is one from the future.
func TestUnreadableNoteOfAHungServer(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	h := NewHungServers(dir, "http://a")
	for _, text := range []string{"", "yesterday", strings.Repeat("9", 100), now.Add(time.Hour).Format(time.RFC3339Nano), now.Add(-time.Minute).Format(time.RFC3339Nano)} {
		if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := h.SilentLimit(now); got != silentLimit {
			t.Errorf("with the note %q: %s", text, got)
		}
	}
	h.Note(now)
	if got := h.SilentLimit(now.Add(59 * time.Second)); got != hungLimit {
		t.Errorf("a note of a moment ago: %s", got)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*HungServers{nil, NewHungServers("", "http://a"), NewHungServers(file, "http://a")} {
		h.Note(now)
		if got := h.SilentLimit(now); got != silentLimit {
			t.Errorf("with no place for a note: %s", got)
		}
	}
}

// The end of ctx ends the wait at once, whatever it waits for.
func TestFinishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, _ := writeJournal(t, false, 10)
		d, end := started(t, Config{Server: newFakeServer(silent), Journal: j})
		end()
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("interrupted")
		time.AfterFunc(silentLimit/2, func() { cancel(why) })
		begun := time.Now()
		if err := d.Finish(ctx, time.Hour); !errors.Is(err, why) || time.Since(begun) != silentLimit/2 {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}
