package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// fakeStore keeps leases as the store does, in memory.
type fakeStore struct {
	DiagnosisStore // nothing is read of it: no run waits for a diagnosis
	mu             sync.Mutex
	leases         map[string]*lease.Lease
	lost           map[string]time.Time
	judged         int
	fail           error
	stall          time.Duration // how long Due takes, once
	slow           time.Duration // how long it takes always
	now            func() time.Time
	read, counts   int // leases that were read, and times the active runs were counted

	follows  bool // another server judges
	noted    []lease.ClosedRun
	kept     int
	policies []policy.Stored
	outbox   []outbox.Entry

	unreadable map[string]error // policies, by job
	queue      fakeQueue
}

func newFakeStore() *fakeStore {
	return &fakeStore{leases: map[string]*lease.Lease{}, lost: map[string]time.Time{}, now: time.Now, unreadable: map[string]error{}}
}

// beat is a heartbeat that arrives now, with a period of 5 s and a lease of 15 s. What comes
// before a / in the run is its owner.
func (s *fakeStore) beat(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lost, run)
	l := s.leases[run]
	if l == nil {
		owner, _, owned := strings.Cut(run, "/")
		if !owned {
			owner = ""
		}
		l = &lease.Lease{Run: run, Attempt: 1, Owner: owner, State: job.Running, Health: job.Healthy, Length: 15 * time.Second, EveryPeriod: 5 * time.Second}
		s.leases[run] = l
	}
	l.ReportedAt = s.now()
	l.ExpiresAt = l.ReportedAt.Add(l.Length)
}

func (s *fakeStore) Due(_ context.Context, before time.Time, limit int) ([]lease.Lease, error) {
	s.mu.Lock()
	stall, fail := s.stall+s.slow, s.fail
	s.stall = 0
	s.mu.Unlock()
	<-time.After(stall)
	if fail != nil {
		return nil, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []lease.Lease
	for run, l := range s.leases {
		if _, lost := s.lost[run]; !lost && (l.ExpiresAt.Before(before) || len(l.Findings) > 0) {
			out = append(out, *l)
		}
	}
	slices.SortFunc(out, func(a, b lease.Lease) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	out = out[:min(len(out), limit)]
	s.read += len(out)
	return out, nil
}

func (s *fakeStore) Active(_ context.Context, after string, limit int) (out []lease.Lease, last string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range slices.Sorted(maps.Keys(s.leases)) {
		if _, lost := s.lost[run]; !lost && run > after && len(s.leases[run].Findings) == 0 && len(out) < limit {
			out, last = append(out, *s.leases[run]), run
		}
	}
	s.read += len(out)
	return out, last, s.fail
}

func (s *fakeStore) Leases(_ context.Context, runs []string) (out []lease.Lease, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range runs {
		if l := s.leases[run]; l != nil && s.lost[run].IsZero() {
			out = append(out, *l)
		}
	}
	s.read += len(out)
	return out, s.fail
}

func (s *fakeStore) Judge(_ context.Context, verdicts []lease.Verdict) ([]lease.VerdictResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []lease.VerdictResult
	for _, v := range verdicts {
		if v.Waiting {
			at := slices.IndexFunc(s.queue.runs, func(w queue.WaitingRun) bool { return w.Run == v.Run })
			s.queue.runs[at].Findings, s.queue.runs[at].Health = v.Findings, v.Health
			s.outbox = append(s.outbox, v.Outbox...)
			continue
		}
		l := s.leases[v.Run]
		if l == nil || !l.ReportedAt.Equal(v.ReportedAt) {
			continue
		}
		s.judged++
		s.outbox = append(s.outbox, v.Outbox...)
		if v.Lost {
			s.lost[v.Run] = v.At
		}
		l.Findings, l.Health = v.Findings, v.Health
		out = append(out, lease.VerdictResult{Run: job.Run{ID: v.Run}})
	}
	return out, nil
}

func (s *fakeStore) ActiveRuns(context.Context) (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts++
	active := map[string]int{}
	for run, l := range s.leases {
		if _, lost := s.lost[run]; !lost {
			active[l.Owner]++
		}
	}
	return active, s.fail
}

func (s *fakeStore) Lead(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.follows, nil
}

func (s *fakeStore) NoteClosed(_ context.Context, closed []lease.ClosedRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = append(s.noted, closed...)
	return nil
}

func (s *fakeStore) StoreEvidence(_ context.Context, folded []lease.StoredEvidence) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range folded {
		if l := s.leases[f.Run]; l != nil {
			l.Evidence = f.Evidence
		}
	}
	s.kept += len(folded)
	return nil
}

func (s *fakeStore) Policies(_ context.Context, seen string) ([]policy.Stored, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := fmt.Sprint(len(s.policies))
	if seen == version {
		return nil, seen, nil
	}
	return s.policies, version, nil
}

func (s *fakeStore) PolicyFailed(_ context.Context, job string, cause error) {
	s.set(func(s *fakeStore) { s.unreadable[job] = cause })
}

func (s *fakeStore) PolicyRead(_ context.Context, job string) {
	s.set(func(s *fakeStore) { delete(s.unreadable, job) })
}

func (s *fakeStore) Announce(_ context.Context, entries []outbox.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outbox = append(s.outbox, entries...)
	return nil
}

func (s *fakeStore) Undiagnosed(context.Context, int) ([]job.Run, error) { return nil, nil }

// state is "lost", "quiet" or "healthy".
func (s *fakeStore) state(run string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, lost := s.lost[run]; lost {
		return "lost"
	}
	if f, quiet := rules.FindingOf(s.leases[run].Findings, policy.Quiet); quiet {
		if strings.Contains(f.Evidence, "network") {
			return "network"
		}
		return policy.Quiet
	}
	return "healthy"
}

func (s *fakeStore) set(change func(*fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// watched runs a monitor over a fake store inside a bubble of fake time.
func watched(t *testing.T, test func(t *testing.T, s *fakeStore, m *Monitor, logged func() string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := newFakeStore()
		var out syncBuffer
		m := New(Config{Store: store, Log: slog.New(slog.NewTextHandler(&out, nil))})
		ended := make(chan struct{})
		go func() { m.Run(ctx); close(ended) }()
		synctest.Wait()
		test(t, store, m, out.String)
		cancel()
		<-ended // synctest fails the test if anything else is still there
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// pass lets fake time go by, while the given runs beat every second.
func pass(s *fakeStore, d time.Duration, beating ...string) {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		for _, run := range beating {
			s.beat(run)
		}
		<-time.After(min(time.Second, time.Until(end)))
		synctest.Wait()
	}
}

// cut is the end of a connection whose agent is killed.
func cut(run string, number int) lease.Disconnect {
	return lease.Disconnect{Run: run, Attempt: number, At: time.Now(), Peer: true}
}

// cutUnnoticed is a cut of an agent that would notice it only with its next heartbeat.
func cutUnnoticed(run string, due time.Duration) lease.Disconnect {
	d := cut(run, 1)
	d.Due = d.At.Add(due)
	return d
}

func want(t *testing.T, s *fakeStore, run, state string) {
	t.Helper()
	if got := s.state(run); got != state {
		t.Fatalf("run %s is %s, want %s", run, got, state)
	}
}

func TestQuietThenLostThenHeard(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		pass(s, 70*time.Second, "a", "b") // past the grace of the start
		want(t, s, "a", "healthy")
		s.beat("a")
		pass(s, 7*time.Second, "b")
		want(t, s, "a", "healthy")
		pass(s, 2*time.Second, "b")
		want(t, s, "a", policy.Quiet)
		pass(s, 5*time.Second, "b")
		want(t, s, "a", policy.Quiet)
		pass(s, 2*time.Second, "b")
		want(t, s, "a", "lost")
		s.beat("a")
		pass(s, 2*time.Second, "a", "b")
		want(t, s, "a", "healthy")
		want(t, s, "b", "healthy")
	})
}

func TestQuietIsTakenBack(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		pass(s, 70*time.Second, "a")
		pass(s, 10*time.Second)
		want(t, s, "a", policy.Quiet)
		pass(s, 2*time.Second, "a")
		want(t, s, "a", "healthy")
	})
}

func TestAStartedServerTrustsEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.beat("a")
		<-time.After(time.Hour) // the server was down
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { New(Config{Store: store}).Run(ctx); close(ended) }()
		pass(store, 5*time.Second)
		want(t, store, "a", "healthy")
		pass(store, 54*time.Second)
		want(t, store, "a", policy.Quiet)
		pass(store, 3*time.Second)
		want(t, store, "a", "lost")
		cancel()
		<-ended
	})
}

func TestAStallOfTheServerCountsAgainstNobody(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, logged func() string) {
		pass(s, 70*time.Second, "a")
		s.set(func(s *fakeStore) { s.stall = 40 * time.Second })
		pass(s, 45*time.Second) // nobody could beat meanwhile
		if s.state("a") == "lost" {
			t.Fatal("lost while the server itself was stuck")
		}
		if !strings.Contains(logged(), "leases are extended") {
			t.Fatalf("the log does not say that leases were extended: %s", logged())
		}
		pass(s, 10*time.Second, "a")
		want(t, s, "a", "healthy")
	})
}

func TestAFailingStoreCountsAgainstNobody(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, logged func() string) {
		pass(s, 70*time.Second, "a")
		s.set(func(s *fakeStore) { s.fail = errors.New("disk on fire") })
		pass(s, 10*time.Minute)
		s.set(func(s *fakeStore) { s.fail = nil })
		pass(s, 5*time.Second)
		want(t, s, "a", "healthy")
		if n := strings.Count(logged(), "disk on fire"); n != 1 {
			t.Fatalf("one failure that lasts was logged %d times", n)
		}
		if !strings.Contains(logged(), "judged again") {
			t.Fatal("the log does not say that it works again")
		}
	})
}

func TestManySilentTogetherAreTheNetwork(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, logged func() string) {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprint("run", i))
		}
		pass(s, 70*time.Second, all...)
		pass(s, 90*time.Second, all[:10]...) // half of them are cut off
		for _, run := range all[10:] {
			want(t, s, run, "network")
		}
		want(t, s, all[0], "healthy")
		if n := strings.Count(logged(), "fell silent together"); n != 1 {
			t.Fatalf("logged %d times", n)
		}
		if len(s.outbox) != 1 || s.outbox[0].What != outbox.WhatNetwork || s.outbox[0].Run != "" {
			t.Fatalf("outbox %+v", s.outbox)
		}
		pass(s, 20*time.Second, all[:19]...) // all but one come back
		want(t, s, all[15], "healthy")
		want(t, s, all[19], "network")
		pass(s, 20*time.Second, all[:19]...)
		want(t, s, all[19], "lost")
	})
}

// The runs of one owner that fall silent put off no verdict on those of others.
func TestOneOwnersSilenceIsNotTheNetworkOfOthers(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		var hostile, all []string
		for i := range 40 {
			hostile = append(hostile, fmt.Sprint("hostile/", i))
		}
		for i := range 20 {
			all = append(all, fmt.Sprint("other/", i))
		}
		pass(s, 70*time.Second, append(hostile, all...)...)
		pass(s, 10*time.Second, all...) // those of the first owner are silent
		want(t, s, hostile[0], "network")
		pass(s, 17*time.Second, all[:19]...)
		want(t, s, all[19], "lost")
		want(t, s, hostile[0], "network")
		pass(s, 17*time.Second) // now all are
		want(t, s, all[0], "network")
	})
}

func TestTheNetworkIsNotAnExcuseForEver(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprint("run", i))
		}
		pass(s, 70*time.Second, all...)
		pass(s, 5*time.Second+rules.HoldLimit, all[:10]...)
		want(t, s, all[19], "network")
		pass(s, 8*time.Second, all[:10]...)
		want(t, s, all[19], "lost")
	})
}

func TestOneOfManyIsLostAsUsual(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprint("run", i))
		}
		pass(s, 70*time.Second, all...)
		pass(s, 17*time.Second, all[:18]...)
		want(t, s, all[18], "lost")
		want(t, s, all[19], "lost")
	})
}

func TestNothingIsStoredWhileNothingChanges(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		pass(s, 70*time.Second, "a")
		pass(s, 12*time.Second)
		want(t, s, "a", policy.Quiet)
		if s.judged != 1 {
			t.Fatalf("%d verdicts were stored for one finding", s.judged)
		}
	})
}

// A server that does not judge says nothing of runs, and reports to the one that does the
// connections that only it can see. When it judges, everybody is trusted for a while.
func TestAFollowerTellsAndTakesOver(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, logged func() string) {
		pass(s, 70*time.Second, "a", "b")
		s.set(func(s *fakeStore) { s.follows = true })
		pass(s, 2*time.Second, "a", "b")
		m.Disconnected(cut("a", 1))
		pass(s, 60*time.Second, "b")
		want(t, s, "a", "healthy")
		if len(s.noted) != 1 || s.noted[0].Run != "a" || len(m.closedNow()) != 0 {
			t.Errorf("outbox %+v, still knows %v", s.noted, m.closedNow())
		}
		m.Disconnected(cutUnnoticed("b", 5*time.Second))
		s.set(func(s *fakeStore) { s.follows = false })
		pass(s, 2*time.Second)
		want(t, s, "a", "healthy")
		want(t, s, "b", policy.Quiet)
		pass(s, 8*time.Second)
		want(t, s, "b", "lost") // it was seen to go
		pass(s, 8*time.Second)
		want(t, s, "a", "lost")
		if !strings.Contains(logged(), "another server judges") || !strings.Contains(logged(), "this server judges runs now") {
			t.Errorf("log: %s", logged())
		}
	})
}

// Heartbeats are folded, by the policy of the job, and kept for the server that judges next.
func TestHeartbeatsAreJudgedByThePolicy(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		s.set(func(s *fakeStore) {
			s.policies = []policy.Stored{{Job: "j", YAML: "rules: {stalled: {after: 60s}}"}, {Job: "k", YAML: "rules: {staled: {}}"}}
		})
		begun := time.Now()
		change := func(name string) {
			s.beat(name)
			s.set(func(s *fakeStore) {
				l := s.leases[name]
				n := int64(time.Since(begun)/time.Second) + 1
				l.Job, l.BeatAt = name, l.ReportedAt
				l.Beat = &job.Heartbeat{Sequence: n, UptimeMS: n * 1000, SentAt: l.ReportedAt, Processes: 1, MemoryBytes: 1, OutputAgeMS: -1, PeriodMS: 1000}
				if l.Evidence.BegunAt.IsZero() {
					l.Evidence = lease.BeginEvidence(index.Limits{}, nil, begun)
				}
			})
		}
		for range 90 {
			change("j")
			change("k") // its policy cannot be read: the default holds
			pass(s, time.Second)
		}
		if f, stalls := rules.FindingOf(s.leases["j"].Findings, policy.Stalled); !stalls || f.Health != job.Warning || f.Since.Sub(begun).Round(time.Second) != 60*time.Second {
			t.Errorf("findings of j: %+v", s.leases["j"].Findings)
		}
		if len(s.leases["k"].Findings) != 0 {
			t.Errorf("findings of k: %+v", s.leases["k"].Findings)
		}
		if len(s.outbox) != 1 || s.outbox[0].What != policy.Stalled {
			t.Errorf("outbox %+v", s.outbox)
		}
		if s.kept == 0 || s.leases["k"].Evidence.At.IsZero() {
			t.Error("the evidence was not kept")
		}
	})
}

// A policy that cannot be read is reported, also when it comes first, until it is repaired,
// which nobody may announce, or removed.
func TestAPolicyThatCannotBeReadIsReported(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, m *Monitor, _ func() string) {
		set := func(all ...policy.Stored) { s.set(func(s *fakeStore) { s.policies = all }) }
		reported := func(want ...string) {
			t.Helper()
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := slices.Sorted(maps.Keys(s.unreadable)); !slices.Equal(got, want) {
				t.Errorf("reported %v, want %v", got, want)
			}
			for name, err := range s.unreadable {
				if !strings.Contains(err.Error(), "job "+name) || !strings.Contains(err.Error(), "set it again") {
					t.Errorf("reported of %s: %v", name, err)
				}
			}
		}
		good := policy.Stored{Job: "c", YAML: "rules: {stalled: {after: 60s}}"}
		set(policy.Stored{Job: "a", YAML: "rules: {staled: {}}"}, policy.Stored{Job: "b", YAML: "rules: {}", Unreadable: errors.New("x")}, good)
		pass(s, 2*time.Second)
		reported("a", "b")
		if got := m.policies.of("c").Stalled.After; time.Duration(got) != time.Minute {
			t.Errorf("the policy behind them is not followed: %v", got)
		}
		set(policy.Stored{Job: "a", YAML: "rules: {}"}, policy.Stored{Job: "b", YAML: "rules: {}", Unreadable: errors.New("x")}, good)
		pass(s, rereadInterval+time.Second)
		reported("b")
		set(good)
		pass(s, 2*time.Second)
		reported()
	})
}

// A look that takes a while, and a timer that is late by less than rules.LatenessLimit, are no server that was
// late.
func TestTheTimeOfALookIsNoLateness(t *testing.T) {
	for _, c := range []struct {
		name       string
		took, late time.Duration // how long a round takes, and how late the timer of the second one is
		was        bool
	}{
		{"a moment", rules.LatenessLimit - 50*time.Millisecond, 100 * time.Millisecond, false},
		{"a slow database", 4 * rules.LatenessLimit, 100 * time.Millisecond, false},
		{"a late timer", 0, rules.LatenessLimit + 50*time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeStore()
				s.stall = c.took
				var slow atomic.Int64
				m := New(Config{Store: s, Now: func() time.Time { return time.Now().Add(time.Duration(slow.Load())) }})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); m.Run(ctx) }()
				<-time.After(Interval / 2)
				slow.Store(int64(c.late))
				<-time.After(3 * Interval)
				cancel()
				<-ended
				if m.lateAt.IsZero() == c.was {
					t.Errorf("the server counts as late at %s", m.lateAt)
				}
			})
		})
	}
}
