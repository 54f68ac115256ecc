package delivery

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

// A heartbeat takes along what is to be delivered, if the last append is not too recent;
// without one, what has collected goes after a while.
func TestCoalescingEndsWithAHeartbeat(t *testing.T) {
	for _, c := range []struct {
		name        string
		lastSuccess time.Duration // before
		beats       []time.Duration
		want        time.Duration
	}{
		{"no heartbeat", 0, nil, coalesceDelay},
		{"an append long ago", 5 * time.Second, []time.Duration{200 * time.Millisecond}, 200 * time.Millisecond},
		{"a heartbeat too early, the next one takes it", 0, []time.Duration{time.Second, 2 * time.Second}, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				beat := make(chan struct{}, 1)
				d := New(Config{
					Beat: beat, Ended: make(chan struct{}), Watched: new(atomic.Bool),
					Journal: spool.InMemory(spool.Meta{}, spool.Limits{}, errors.New("no state directory")),
				})
				d.lastSuccess = time.Now().Add(-c.lastSuccess)
				for _, at := range c.beats {
					time.AfterFunc(at, func() { beat <- struct{}{} })
				}
				begun := time.Now()
				if err := d.coalesce(context.Background()); err != nil || time.Since(begun) != c.want {
					t.Errorf("after %v: %v; want %v", time.Since(begun), err, c.want)
				}
			})
		})
	}
}

// The first append of an attempt that goes on is small, whatever there is, and the rest
// follows at once.
func TestTheFirstAppendIsSmall(t *testing.T) {
	for _, size := range []int{100, 20_000, 3 << 20} {
		synctest.Test(t, func(t *testing.T) {
			records := make([]int, (size+9_999)/10_000)
			for i := range records {
				records[i] = min(size, 10_000)
			}
			j, whole := writeJournal(t, true, records...)
			s := newFakeServer(nil)
			begun := time.Now()
			d, end := started(t, Config{Server: s, Journal: j, Fresh: true})
			for len(s.has()) < len(whole) {
				<-time.After(time.Millisecond)
			}
			if took := time.Since(begun); took > urgentCoalesceDelay+10*time.Millisecond {
				t.Errorf("%d bytes took %s", size, took)
			}
			if sizes := s.appended(); sizes[0] > minBatch || len(sizes) > 1 && len(whole) <= minBatch {
				t.Errorf("appends of %v bytes", sizes)
			}
			end()
			if err := d.Finish(t.Context(), time.Minute); err != nil || !bytes.Equal(s.has(), whole) {
				t.Errorf("%d bytes of %d arrived, %v", len(s.has()), len(whole), err)
			}
		})
	}
}

// A backlog comes through a slow link, in little more time than the link needs for it.
func TestABacklogOverASlowLink(t *testing.T) {
	const perSecond = 20 << 10
	synctest.Test(t, func(t *testing.T) {
		records := make([]int, 128)
		for i := range records {
			records[i] = 64 << 10
		}
		j, whole := writeJournal(t, true, records...)
		var s *fakeServer
		cutOff := 0
		s = newFakeServer(func(ctx context.Context, offset int64, data []byte) error {
			begun := time.Now()
			timer := time.NewTimer(time.Duration(len(data)) * time.Second / perSecond)
			defer timer.Stop()
			select {
			case <-timer.C:
				return nil
			case <-ctx.Done(): // the server keeps what has come
				cutOff++
				came := int(time.Since(begun) * perSecond / time.Second)
				s.mu.Lock()
				defer s.mu.Unlock()
				if offset == int64(len(s.journal)) {
					s.journal = append(s.journal, data[:came]...)
				}
				return errAway
			}
		})
		begun := time.Now()
		least := time.Duration(len(whole)) * time.Second / perSecond
		d, end := started(t, Config{Server: s, Journal: j, Fresh: true})
		for len(s.has()) < len(whole) && time.Since(begun) < 2*least {
			<-time.After(time.Second)
		}
		end()
		if err := d.Finish(t.Context(), time.Minute); err != nil || !bytes.Equal(s.has(), whole) {
			t.Fatalf("%d of %d bytes arrived: %v", len(s.has()), len(whole), err)
		}
		if took := time.Since(begun); took > least+least/10 {
			t.Errorf("it took %s, and the link needs %s", took, least)
		}
		t.Logf("%d appends, %d of them cut off, in %s; the link needs %s", len(s.appended()), cutOff, time.Since(begun), least)
	})
}

// deliverWhole delivers the journal of an attempt that has ended.
func deliverWhole(t *testing.T, c Config) error {
	t.Helper()
	ended := make(chan struct{})
	close(ended)
	c.Run, c.Attempt, c.Ended, c.Watched = testRun, 1, ended, new(atomic.Bool)
	return New(c).Run(t.Context())
}

// atMost refuses appends of more bytes than a limit, as a proxy does.
func atMost(limit int, err error) func(context.Context, int64, []byte) error {
	return func(_ context.Context, _ int64, data []byte) error {
		if len(data) > limit {
			return err
		}
		return nil
	}
}

// A proxy that takes only small bodies gets small ones.
func TestBatchesFitWhatIsTaken(t *testing.T) {
	records := slices.Repeat([]int{50_000}, 120)
	for _, err := range []error{foreign(413), problem(413, job.ProblemTooLarge)} {
		for _, limit := range []int{1 << 20, 100_000, 51_000} {
			synctest.Test(t, func(t *testing.T) {
				j, whole := writeJournal(t, true, records...)
				s := newFakeServer(atMost(limit, err))
				begun := time.Now()
				if err := deliverWhole(t, Config{Server: s, Journal: j, Fresh: true}); err != nil || !bytes.Equal(s.has(), whole) {
					t.Errorf("limit %d: error %v, the server has %d of %d bytes", limit, err, len(s.has()), len(whole))
				}
				refused := 0
				for _, size := range s.appended() {
					if size > limit {
						refused++
					}
				}
				if refused > 8 || time.Since(begun) != 0 {
					t.Errorf("limit %d: %d appends were refused, in %s", limit, refused, time.Since(begun))
				}
			})
		}
	}
}

// A record that is larger than what is taken is an outage, and what comes before it is
// delivered. Once the limit is gone the rest goes out, in large batches again.
func TestARecordThatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, whole := writeJournal(t, true, slices.Concat([]int{100, 100, 60_000}, slices.Repeat([]int{5000}, 400))...)
		var limit atomic.Int64
		limit.Store(10_000)
		s := newFakeServer(func(ctx context.Context, offset int64, data []byte) error {
			return atMost(int(limit.Load()), foreign(413))(ctx, offset, data)
		})
		printed := &lines{}
		d, end := started(t, Config{Server: s, Journal: j, Fresh: true, Link: NewLink(printed.print)})
		<-time.After(10 * time.Minute)
		synctest.Wait()
		if got := len(s.has()); got == 0 || got > 1500 {
			t.Errorf("%d bytes were delivered before the record that is not taken", got)
		}
		if n := len(s.appended()); n > 100 {
			t.Errorf("%d appends in ten minutes", n)
		}
		if got := printed.all(); len(got) != 1 || !strings.Contains(got[0], "413") {
			t.Errorf("printed %q", got)
		}
		limit.Store(1 << 30)
		before := len(s.appended())
		<-time.After(time.Minute)
		end()
		if err := d.Finish(t.Context(), time.Minute); err != nil || !bytes.Equal(s.has(), whole) {
			t.Errorf("error %v, the server has %d of %d bytes", err, len(s.has()), len(whole))
		}
		if n := len(s.appended()) - before; n > 20 {
			t.Errorf("%d appends for the rest", n)
		}
	})
}

// An outage of any kind ends nothing while the job runs, and is reported in one line.
func TestAnOutageEndsNothing(t *testing.T) {
	for name, err := range map[string]error{
		"404": foreign(404), "403": foreign(403), "410": foreign(410), "200": foreign(200), "400 of ours": problem(400, job.ProblemInvalid),
		"413": foreign(413), "away": errAway, "a token": problem(401, job.ProblemUnauthorized),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var over atomic.Bool
				s := newFakeServer(func(context.Context, int64, []byte) error {
					if over.Load() {
						return nil
					}
					return err
				})
				printed := &lines{}
				j, whole := writeJournal(t, true, 10, 20)
				d, end := started(t, Config{Server: s, Journal: j, Fresh: true, Link: NewLink(printed.print)})
				<-time.After(10 * time.Hour)
				synctest.Wait()
				if n := len(s.appended()); n < 10*60 || n > 10*60*6 {
					t.Errorf("%d tries in ten hours", n)
				}
				over.Store(true)
				<-time.After(2 * time.Minute)
				end()
				if err := d.Finish(t.Context(), time.Second); err != nil || !bytes.Equal(s.has(), whole) {
					t.Errorf("error %v, the server has %d of %d bytes", err, len(s.has()), len(whole))
				}
				if got := printed.all(); len(got) != 1 || !strings.Contains(got[0], err.Error()) {
					t.Errorf("printed %q", got)
				}
			})
		})
	}
}

// What lasts only a moment is not reported, and appends and heartbeats share a line.
func TestWhatPeopleAreTold(t *testing.T) {
	printed := &lines{}
	l := NewLink(printed.print)
	now := time.Unix(1e9, 0)
	outage := Decision{Action: Outage}
	l.note("append", now, outage, foreign(502))
	l.note("append", now.Add(9*time.Second), outage, foreign(502))
	l.note("append", now.Add(9*time.Second), Decision{}, nil)
	l.note("append", now.Add(19*time.Second), outage, foreign(502))
	if got := printed.all(); len(got) != 0 || !l.Reached() {
		t.Errorf("printed %q", got)
	}
	redirect := foreign(301)
	redirect.Location = "https://elsewhere"
	l.note("heartbeat", now, outage, redirect)
	l.note("heartbeat", now.Add(10*time.Second), outage, redirect)
	l.note("append", now.Add(40*time.Second), outage, foreign(502))
	l.note("append", now.Add(41*time.Second), Decision{Action: FixToken}, problem(403, job.ProblemForbidden))
	l.note("heartbeat", now.Add(42*time.Second), Decision{Action: FixToken}, problem(403, job.ProblemForbidden))
	if got := printed.all(); len(got) != 2 || !strings.Contains(got[0], "https://elsewhere") || !strings.Contains(got[1], "token") || !l.Printed(NoServer) || !l.Printed(BadToken) || l.Printed(NotWanted) {
		t.Errorf("printed %q", got)
	}
}

// Something on the way may send an append twice and hand back the second reply: the server
// then has what was sent, and the agent goes on from there. More than was sent is another
// journal's.
func TestFirstAppendThatCameTwice(t *testing.T) {
	for _, c := range []struct {
		name    string
		more    int // bytes on the server beyond those that were sent
		refused bool
	}{
		{"sent twice", 0, false},
		{"another journal", 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			j, whole := writeJournal(t, true, slices.Repeat([]int{50_000}, 60)...)
			var s *fakeServer
			first := true
			s = newFakeServer(func(_ context.Context, _ int64, data []byte) error {
				if !first {
					return nil
				}
				first = false
				s.mu.Lock()
				defer s.mu.Unlock()
				s.journal = append(bytes.Clone(data), make([]byte, c.more)...)
				return at(int64(len(s.journal)), problem(409, job.ProblemWrongOffset))
			})
			err := deliverWhole(t, Config{Server: s, Journal: j, Fresh: true})
			var refused *RefusedError
			if errors.As(err, &refused) != c.refused || !c.refused && (err != nil || !bytes.Equal(s.has(), whole)) {
				t.Errorf("%s: error %v, the server has %d of %d bytes", c.name, err, len(s.has()), len(whole))
			}
		})
	}
}

// A server that was put back to an older state may ask for what this host has deleted.
func TestServerAsksForWhatIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, whole := writeJournal(t, true, slices.Repeat([]int{50_000}, 20)...)
		j.Acknowledge(900_000) // of which whole segments are deleted
		s := newFakeServer(nil)
		s.journal = whole[:100]
		printed := &lines{}
		err := deliverWhole(t, Config{Server: s, Journal: j, Link: NewLink(printed.print)})
		var refused *RefusedError
		if !errors.As(err, &refused) || !errors.Is(err, spool.ErrTrimmed) || !strings.Contains(err.Error(), "older backup") {
			t.Errorf("error %v", err)
		}
		if got := printed.all(); len(got) != 1 || len(s.appended()) > 2 {
			t.Errorf("printed %q, %d appends", got, len(s.appended()))
		}
	})
}

// A final reply ends the delivery at once, with one line.
func TestFinalReplies(t *testing.T) {
	for _, p := range []*job.Problem{problem(409, job.ProblemRunIDUsed), problem(422, job.ProblemJournalRefused), problem(410, job.ProblemRunDeleted)} {
		synctest.Test(t, func(t *testing.T) {
			j, _ := writeJournal(t, true, 10)
			s, printed := newFakeServer(always(p)), &lines{}
			err := deliverWhole(t, Config{Server: s, Journal: j, Fresh: true, Link: NewLink(printed.print)})
			var refused *RefusedError
			var deleted *DeletedError
			if errors.As(err, &deleted) != (p.Status == 410) || errors.As(err, &refused) == (p.Status == 410) {
				t.Errorf("error %v", err)
			}
			if got := printed.all(); len(got) != 1 || len(s.appended()) != 1 || p.Status == 422 && !strings.Contains(got[0], j.Path()) || p.Status == 409 && !strings.Contains(got[0], "is that of another run") {
				t.Errorf("printed %q, %d appends", got, len(s.appended()))
			}
		})
	}
}

// The first reply starts heartbeats and more, but not for an attempt that has ended and is
// wholly delivered with it.
func TestFirstReply(t *testing.T) {
	for _, long := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			records := []int{10}
			if long {
				records = slices.Repeat([]int{50_000}, 100)
			}
			j, _ := writeJournal(t, true, records...)
			calls := 0
			err := deliverWhole(t, Config{Server: newFakeServer(nil), Journal: j, FirstReply: func() { calls++ }})
			if err != nil || (calls == 1) != long || calls > 1 {
				t.Errorf("long %v: %d calls, error %v", long, calls, err)
			}
		})
	}
}
