package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/clock"
	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

func TestOutages(t *testing.T) {
	var o outages
	for _, s := range []struct {
		from, to float64
		own      bool
	}{
		{-1000, 0, true}, {5, 8, true}, {8, 9, false}, {8.5, 9.5, false}, {3, 4, false}, {20, 20, false}, {21, 20, false}, {30, 40, true},
	} {
		if own := o.add(at(s.from), at(s.to)); own != s.own {
			t.Errorf("an outage from %v to %v is its own: %v", s.from, s.to, own)
		}
	}
	if want := (outages{{at(-1000), at(0)}, {at(5), at(9.5)}, {at(30), at(40)}}); !slices.Equal(o, want) {
		t.Fatalf("outages %v, want %v", o, want)
	}
	for from, want := range map[float64]float64{-2000: 1014.5, -10: 24.5, 0: 14.5, 6: 13.5, 9.5: 10, 35: 5, 40: 0, 100: 0} {
		if got := o.since(at(from)); got != at(want).Sub(noon) {
			t.Errorf("outages of %s since %v, want %v s", got, from, want)
		}
	}
	for i := range 2 * maxOutages {
		o.add(at(float64(100+2*i)), at(float64(101+2*i)))
	}
	if len(o) != maxOutages || o.since(at(0)) != maxOutages*time.Second {
		t.Errorf("%d outages are remembered, of %s", len(o), o.since(at(0)))
	}
}

// badServer is a server on which something goes wrong again and again, with one agent that
// lives and one that died.
type badServer struct {
	store   *fakeStore
	offset  time.Duration // of the server's clock: it jumps when the process did not run
	arrived time.Time     // of the living agent's heartbeat, while it is not stored
	stored  time.Time     // when something was last stored
}

func (b *badServer) now() time.Time {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.clock()
}

func (b *badServer) clock() time.Time { return time.Now().Add(b.offset) }

// However the server is hindered for an hour, a run whose agent died is called lost within a
// bound, one whose agent lives never, and the log has a line when that begins and when it ends.
func TestLeasesAreNotExtendedWithoutEnd(t *testing.T) {
	// alive stores a heartbeat of the living agent.
	alive := func(b *badServer) {
		b.store.beat("alive")
		b.store.set(func(*fakeStore) { b.stored, b.arrived = b.clock(), time.Time{} })
	}
	for _, c := range []struct {
		name  string
		step  func(b *badServer) // a second and more
		bound time.Duration      // of the server's clock
		logs  bool
	}{
		{"every commit takes 3.6 s", func(b *badServer) {
			b.store.set(func(s *fakeStore) { s.slow, b.arrived = 3600*time.Millisecond, b.clock() })
			<-time.After(3600 * time.Millisecond)
			alive(b)
			<-time.After(400 * time.Millisecond)
		}, 25 * time.Second, false},
		{"the database hangs for 30 s, again and again", func(b *badServer) {
			b.store.set(func(s *fakeStore) { s.slow, b.arrived = 30*time.Second, b.clock() })
			for range 5 { // it sends another one, which waits as well
				<-time.After(6 * time.Second)
				b.store.set(func(*fakeStore) { b.arrived = b.clock() })
			}
			alive(b)
			<-time.After(time.Second)
		}, 45 * time.Minute, true},
		{"the database answers slowly, and takes nothing", func(b *badServer) {
			b.store.set(func(s *fakeStore) { s.slow, b.arrived = 3600*time.Millisecond, b.clock() })
			<-time.After(4 * time.Second)
		}, 25 * time.Second, false},
		{"the process does not run for 5 of 6 s", func(b *badServer) {
			<-time.After(500 * time.Millisecond)
			b.store.set(func(*fakeStore) { b.offset += 5 * time.Second })
			<-time.After(400 * time.Millisecond)
			alive(b)
			<-time.After(100 * time.Millisecond)
		}, 11 * time.Minute, true},
		// A round is due each second, so at least one of them is in each span of two.
		{"the database fails for 2 of 5 s", func(b *badServer) {
			b.store.set(func(s *fakeStore) { s.fail, b.arrived = errors.New("disk on fire"), b.clock() })
			<-time.After(2 * time.Second)
			b.store.set(func(s *fakeStore) { s.fail = nil })
			alive(b)
			<-time.After(3 * time.Second)
		}, 4 * time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				b, out := &badServer{store: newFakeStore()}, &syncBuffer{}
				b.store.now = b.clock
				m := New(Config{
					Store: b.store, Now: b.now, Log: slog.New(slog.NewTextHandler(out, nil)),
					Arrived: func(run string, _ int) time.Time {
						b.store.mu.Lock()
						defer b.store.mu.Unlock()
						if run != "alive" {
							return time.Time{}
						}
						return b.arrived
					},
					Stored: func() time.Time {
						b.store.mu.Lock()
						defer b.store.mu.Unlock()
						return b.stored
					},
				})
				var monitor sync.WaitGroup
				monitor.Go(func() { m.Run(ctx) })
				pass(b.store, 70*time.Second, "alive", "died")
				died := b.now()
				for b.now().Sub(died) < time.Hour {
					c.step(b)
					synctest.Wait()
					want(t, b.store, "alive", "healthy")
				}
				b.store.mu.Lock()
				lost, was := b.store.lost["died"], b.store.lost["alive"]
				b.store.fail, b.store.slow = nil, 0
				b.store.mu.Unlock()
				if took := lost.Sub(died); lost.IsZero() || took > c.bound || took < 14*time.Second {
					t.Errorf("a dead run was called lost after %s, want from 14 s to %s", took, c.bound)
				}
				if !was.IsZero() {
					t.Error("the living agent was called lost")
				}
				if e := m.Extension(); c.logs == e.Since.IsZero() || c.logs == (e.Outages == 0) {
					t.Errorf("the state that is shown: %+v", e)
				}
				pass(b.store, 2*time.Minute, "alive")
				if e := m.Extension(); !e.Since.IsZero() {
					t.Errorf("and afterwards: %+v", e)
				}
				lines := map[bool]int{true: 1, false: 0}[c.logs]
				if begins, ends := strings.Count(out.String(), "leases are extended"), strings.Count(out.String(), "leases are not extended any more"); begins != lines || ends != lines {
					t.Errorf("%d lines say that it began and %d that it ended:\n%s", begins, ends, out.String())
				}
				cancel()
				monitor.Wait()
			})
		})
	}
}

// A connection that closes while every commit is slow says what it always says.
func TestAKilledAgentIsLostWhileCommitsAreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newFakeStore()
		m := New(Config{Store: s, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Stored: time.Now})
		var monitor sync.WaitGroup
		monitor.Go(func() { m.Run(ctx) })
		pass(s, 70*time.Second, "a")
		s.set(func(s *fakeStore) { s.slow = 3600 * time.Millisecond })
		pass(s, 30*time.Second, "a")
		m.Disconnected(cut("a", 1))
		pass(s, 12*time.Second)
		want(t, s, "a", "lost")
		cancel()
		monitor.Wait()
	})
}

func (s *fakeStore) ResetLeases(_ context.Context, runs []string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range runs {
		if l := s.leases[run]; l.ReportedAt.After(clock.LatestNow(now)) {
			l.ReportedAt, l.ExpiresAt = now, now.Add(l.Length)
		}
	}
	return nil
}

// A clock that is set back by an hour makes no living agent lost, then or later. One that died meanwhile is called lost
// as ever, and not when the hour has passed.
func TestTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b, out := &badServer{store: newFakeStore()}, &bytes.Buffer{}
		b.store.now = b.clock
		m := New(Config{Store: b.store, Now: b.now, Log: slog.New(slog.NewTextHandler(out, nil))})
		var monitor sync.WaitGroup
		monitor.Go(func() { m.Run(ctx) })
		pass(b.store, 70*time.Second, "a", "b", "died")
		b.store.set(func(*fakeStore) { b.offset = -time.Hour })
		pass(b.store, 20*time.Second, "a", "b")
		want(t, b.store, "a", "healthy")
		pass(b.store, 2*time.Minute, "b")
		want(t, b.store, "a", "lost")
		want(t, b.store, "died", "lost")
		want(t, b.store, "b", "healthy")
		cancel()
		monitor.Wait()
		if got := strings.Count(out.String(), "set back"); got != 1 {
			t.Errorf("logged %d times:\n%s", got, out)
		}
	})
}

// Whatever the outages are, an agent that retries as ours does is never called lost,
// and one that died is, once the server has taken heartbeats for its lease and the extension.
func TestOutagesModel(t *testing.T) {
	const step = 100 * time.Millisecond
	rapid.Check(t, func(t *rapid.T) {
		period := time.Duration(rapid.SampledFrom([]int{1, 5, 20}).Draw(t, "period")) * time.Second
		length := max(3*period, period+15*time.Second)
		alive := lease.Lease{Run: "alive", ReportedAt: noon, Length: length, ExpiresAt: noon.Add(length), EveryPeriod: period}
		died := alive
		o, now, listened, nextTry, triesUntil := outages{{to: noon}}, noon, time.Duration(0), noon.Add(period), time.Time{}
		lost := false
		for range rapid.IntRange(1, 25).Draw(t, "outages") {
			working := time.Duration(rapid.IntRange(3, 200).Draw(t, "working")) * step
			away := time.Duration(rapid.IntRange(1, 400).Draw(t, "away")) * step
			for up := range 2 {
				end := now.Add(map[bool]time.Duration{true: working, false: away}[up == 0])
				if up == 1 {
					o.add(now, end)
				}
				for ; now.Before(end); now = now.Add(step) {
					trying := !now.Before(nextTry)
					if trying && triesUntil.IsZero() {
						triesUntil = now.Add(6 * time.Second)
					}
					switch {
					case trying && up == 0:
						alive.ReportedAt, alive.ExpiresAt = now, now.Add(length)
						nextTry, triesUntil = now.Add(period), time.Time{}
					case trying && !now.Before(triesUntil):
						pause := period
						if now.Sub(alive.ReportedAt) < length {
							pause = period / 5
						}
						nextTry, triesUntil = now.Add(max(pause-6*time.Second, 300*time.Millisecond)), time.Time{}
					}
					if up == 1 {
						continue
					}
					listened += step
					judge := func(l lease.Lease) bool {
						c := rules.Circumstances{Since: o.end(), Outage: o.since(l.ReportedAt)}
						if c.Outage > 0 {
							c.ExtendedTo = o.end().Add(rules.TrustAfterOutage(l))
						}
						v, _ := rules.Judge(l, now, c, policy.Default())
						return v.Lost
					}
					if judge(alive) {
						t.Fatalf("the living agent is lost %s after its last sign of life", now.Sub(alive.ReportedAt))
					}
					if lost = lost || judge(died); !lost && listened > length+rules.TrustAfterOutage(died)+step {
						t.Fatalf("the dead one is not lost after %s of taking heartbeats", listened)
					}
				}
			}
		}
	})
}

// With very many active runs a round reads no more than what is due and one page, all runs are
// looked at in turns, and a run whose agent died is lost in time.
func TestWithVeryManyRunsADeadOneIsLost(t *testing.T) {
	const many = 6 * maxPage
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		s.set(func(s *fakeStore) {
			for i := range many {
				run := fmt.Sprintf("run-%06d", i)
				s.leases[run] = &lease.Lease{
					Run: run, Attempt: 1, State: job.Running, Health: job.Healthy, ReportedAt: time.Now(),
					Length: time.Hour, ExpiresAt: time.Now().Add(time.Hour), EveryPeriod: time.Hour,
				}
			}
		})
		died := []string{"a", "b", "c", "d"} // enough to ask how many are active
		for _, run := range died {
			s.beat(run)
		}
		s.set(func(s *fakeStore) { s.read, s.counts = 0, 0 })
		const seconds = 35
		pass(s, seconds*time.Second)
		for _, run := range died {
			want(t, s, run, "lost")
		}
		s.mu.Lock()
		read, counts := s.read, s.counts
		s.mu.Unlock()
		if most := (seconds + 5) * (maxPage + len(died)); read > most {
			t.Errorf("%d leases were read in %d s, want at most %d", read, seconds, most)
		}
		if counts > 5 {
			t.Errorf("the active runs were counted %d times", counts)
		}
		pass(s, 20*time.Second)
		s.set(func(s *fakeStore) {
			if known := len(m.evidence.all); known < many {
				t.Errorf("%d runs of %d were looked at", known, many)
			}
			for i := range many - 10 { // they end
				delete(s.leases, fmt.Sprintf("run-%06d", i))
			}
		})
		pass(s, 40*time.Second)
		s.set(func(*fakeStore) {
			if known := len(m.evidence.all); known != 10 {
				t.Errorf("%d runs are remembered of 10", known)
			}
		})
	})
}

// A killed agent whose run is on none of the pages that a round reads is lost at once.
func TestTheLeaseOfAClosedConnectionIsRead(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		s.set(func(s *fakeStore) {
			for i := range 3 * maxPage {
				run := fmt.Sprintf("run-%06d", i)
				s.leases[run] = &lease.Lease{
					Run: run, Attempt: 1, State: job.Running, Health: job.Healthy, ReportedAt: time.Now(),
					Length: time.Hour, ExpiresAt: time.Now().Add(time.Hour), EveryPeriod: time.Hour,
				}
			}
		})
		pass(s, 3500*time.Millisecond)
		for _, i := range []int{0, maxPage + 1, 3*maxPage - 1} {
			run := fmt.Sprintf("run-%06d", i)
			m.Disconnected(cut(run, 1))
			<-time.After(rules.ConfirmTimeout + 300*time.Millisecond)
			synctest.Wait()
			want(t, s, run, "lost")
		}
	})
}
