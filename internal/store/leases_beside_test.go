package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// knownRuns makes runs whose owners the store knows, and returns their ids.
func knownRuns(t *testing.T, s *store.Store, n int) (ids []string) {
	t.Helper()
	for range n {
		ids = append(ids, running(t, s, journal.Attempt{}).id)
	}
	takeBeats(t, s, beatsAt(ids, noon))
	return ids
}

func beatsAt(ids []string, at time.Time) (beats []lease.Beat) {
	for _, id := range ids {
		beats = append(beats, lease.Beat{Run: id, Attempt: 1, At: at, Lease: time.Minute, Heartbeat: job.Heartbeat{PeriodMS: 10_000}})
	}
	return beats
}

// A heartbeat of an owner that is known waits for no transaction but one about its run, however long
// that goes on, and one that makes room in the log.
func TestHeartbeatsWaitForNoTransaction(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, store.Options{Dir: dir})
	ids := knownRuns(t, s, 2)
	taken := func(when string, want ...bool) {
		t.Helper()
		at := leaseOf(t, s, ids[1]).ReportedAt.Add(time.Second)
		for i, done := range s.Renew(beatsAt(ids, at)) {
			if (done != nil) != want[i] {
				t.Errorf("%s: heartbeat %d is taken: %v", when, i, done != nil)
			}
		}
		if !want[1] {
			return
		}
		after, _ := killed(t, dir)
		if got := leaseOf(t, after, ids[1]).ReportedAt; !got.Equal(at) {
			t.Errorf("%s: after a kill the last heartbeat is of %s, want %s", when, got, at)
		}
		closeStore(t, after)
	}
	taken("with nothing else to do", true, true)

	release := s.HoldRun(t.Context(), ids[0])
	for i, done := range s.Renew(beatsAt(ids, noon.Add(time.Hour))) {
		if (done != nil) != (i == 1) {
			t.Errorf("while a transaction is about the first run: heartbeat %d is taken: %v", i, done != nil)
		}
	}
	after, _ := killed(t, dir)
	if got := leaseOf(t, after, ids[1]).ReportedAt; !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("after a kill while a transaction goes on: the last heartbeat is of %s", got)
	}
	closeStore(t, after)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	taken("after a transaction about the first run", false, true)

	release = s.HoldRun(t.Context(), "")
	for i, done := range s.Renew(beatsAt(ids, noon.Add(2*time.Hour))) {
		if done != nil {
			t.Errorf("while a transaction is about all runs: heartbeat %d is taken", i)
		}
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	taken("after a transaction about all runs", false, false)
}

// An append leaves the owner of its run known: the heartbeat after it waits for no transaction, be
// it the first one of the run or not.
func TestHeartbeatsAfterAppends(t *testing.T) {
	s := openWith(t, store.Options{Dir: t.TempDir()})
	j := newJournal(t, journal.Attempt{})
	for n, add := range []func(){j.command, func() { j.output("a line\n") }, func() { j.output("another\n") }, func() { j.end(0) }} {
		add()
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
		at, ended := noon.Add(time.Duration(n+1)*time.Second), n == 3
		got := s.Renew(beatsAt([]string{j.id}, at))[0]
		if ended != (got == nil) {
			t.Fatalf("after append %d the heartbeat is taken without a transaction: %+v", n, got)
		}
		if ended {
			break
		}
		if l := leaseOf(t, s, j.id); !l.ReportedAt.Equal(at) {
			t.Errorf("after append %d and a heartbeat: reported at %s, want %s", n, l.ReportedAt, at)
		}
	}
}

// While a transaction goes on that makes room in the log, the heartbeats of other runs are taken.
func TestHeartbeatsWhileTheLogMakesRoom(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, store.Options{Dir: dir})
	ids := knownRuns(t, s, 101)
	other, ids := ids[0], ids[1:]
	at := noon
	taken := func() {
		t.Helper()
		at = at.Add(time.Second)
		for i, done := range s.Renew(beatsAt(ids, at)) {
			if done == nil {
				t.Errorf("heartbeat %d of %s is not taken", i, at)
				break
			}
		}
	}
	shown := func(when string) {
		t.Helper()
		after, _ := killed(t, dir)
		defer closeStore(t, after)
		if got := leaseOf(t, after, ids[1]).ReportedAt; !got.Equal(at) {
			t.Errorf("%s: after a kill the last heartbeat is of %s, want %s", when, got, at)
		}
	}
	for range 3 {
		for range 120 { // more than half of a half
			taken()
		}
		release := s.HoldRun(t.Context(), other)
		for range 40 {
			taken()
		}
		shown("while the transaction goes on")
		if err := release(); err != nil {
			t.Fatal(err)
		}
		shown("after it")
		if t.Failed() {
			return
		}
	}
}

// A heartbeat does not overtake one of its run that has to be taken by a transaction, nor does an
// append that waited overtake a heartbeat.
func TestHeartbeatsKeepTheirOrder(t *testing.T) {
	s := openWith(t, store.Options{Dir: t.TempDir()})
	for name, suspends := range map[string][]bool{"suspended and continued": {true, false}, "suspended": {false, true}} {
		for _, known := range []bool{true, false} {
			j := running(t, s, journal.Attempt{})
			if known {
				takeBeats(t, s, beatsAt([]string{j.id}, noon))
			}
			beats := beatsAt([]string{j.id, j.id}, noon.Add(time.Second))
			beats[1].At = noon.Add(2 * time.Second)
			for i := range beats {
				beats[i].Heartbeat.Suspended = suspends[i]
			}
			if got := takeBeats(t, s, beats); !got[0].Owner || !got[1].Owner {
				t.Errorf("%s: %+v", name, got)
			}
			run := mustRun(t, s, j.id)
			if (run.SuspendedAt != nil) != suspends[1] || !run.LastHeartbeatAt.Equal(noon.Add(2*time.Second)) {
				t.Errorf("%s, known %v: suspended at %v, last heartbeat at %v", name, known, run.SuspendedAt, run.LastHeartbeatAt)
			}
		}
	}
	j := running(t, s, journal.Attempt{})
	for n := range 2 {
		takeBeats(t, s, beatsAt([]string{j.id}, noon.Add(time.Duration(n)*time.Minute)))
	}
	j.output("printed before\n")
	offset, data := j.take()
	if got, _, err := s.Ingest(t.Context(), []index.Append{{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon.Add(time.Second)}}, nil); err != nil || got[0].Err != nil {
		t.Fatal(got, err)
	}
	if got := leaseOf(t, s, j.id).ReportedAt; !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("after an append that waited: the last heartbeat is of %s", got)
	}
}

// Whatever transactions go on beside them, the last heartbeat of each run that was answered is what
// the store shows, also after a kill.
func TestHeartbeatsBesideTransactions(t *testing.T) {
	dir := t.TempDir()
	s := openWith(t, store.Options{Dir: dir})
	ids := knownRuns(t, s, 8)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var beside, all sync.WaitGroup
	for _, transaction := range []func(n int) error{
		func(int) error { _, err := s.LiveAgents(t.Context()); return err }, // brings rows up to date
		func(int) error { return s.WriteAll(t.Context()) },
		func(n int) error { return s.HoldRun(t.Context(), ids[n%len(ids)])() },
		func(n int) error {
			at := noon.Add(time.Duration(n) * time.Millisecond)
			return s.NoteClosed(t.Context(), []lease.ClosedRun{{Run: ids[n%len(ids)], Attempt: 1, Closure: lease.Closure{At: at, Confirm: time.Second}}})
		},
	} {
		beside.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := transaction(n); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
					return
				}
			}
		})
	}
	const rounds = 150
	for i := range ids {
		all.Go(func() {
			for n := 1; n <= rounds; n++ {
				at := noon.Add(time.Duration(n) * time.Second)
				if got := takeBeats(t, s, beatsAt(ids[i:i+1], at)); !got[0].Known || !got[0].Owner {
					t.Errorf("heartbeat %d of run %d: %+v", n, i, got[0])
				}
			}
		})
	}
	all.Wait()
	cancel()
	beside.Wait()
	after, _ := killed(t, dir)
	defer closeStore(t, after)
	for i, id := range ids {
		want := noon.Add(rounds * time.Second)
		if got := leaseOf(t, s, id).ReportedAt; !got.Equal(want) {
			t.Errorf("run %d: the last heartbeat is of %s, want %s", i, got, want)
		}
		if got := leaseOf(t, after, id).ReportedAt; !got.Equal(want) {
			t.Errorf("after a kill, run %d: the last heartbeat is of %s, want %s", i, got, want)
		}
	}
}

// A log that has no room left begins anew with the next transaction, though heartbeats never cease.
func TestTheLogOfHeartbeatsBeginsAnew(t *testing.T) {
	for name, every := range map[string]int{"rows are brought up to date now and then": 50, "no other transaction": 1000} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openWith(t, store.Options{Dir: dir})
			ids := knownRuns(t, s, 100)
			ingested := 0
			for n := 1; n <= 500; n++ {
				beats := beatsAt(ids, noon.Add(time.Duration(n)*time.Second))
				if done := s.Renew(beats); done[0] == nil {
					ingested++
					if _, _, err := s.Ingest(t.Context(), nil, beats); err != nil {
						t.Fatal(err)
					}
				}
				if n%every == 0 {
					if _, err := s.LiveAgents(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if ingested > 10 || ingested == 0 && every > 500 {
				t.Errorf("%d of 500 groups needed a transaction", ingested)
			}
			after, _ := killed(t, dir)
			defer closeStore(t, after)
			for i, id := range ids {
				if got, want := leaseOf(t, after, id).ReportedAt, noon.Add(500*time.Second); !got.Equal(want) {
					t.Fatalf("after a kill, run %d: the last heartbeat is of %s, want %s", i, got, want)
				}
			}
		})
	}
}

// The owner that is known is one process: a heartbeat of another one with the token of the same attempt is not taken
// without a look into the database. An append leaves the process known.
func TestKnownOwnerIsOneProcess(t *testing.T) {
	s := openWith(t, store.Options{Dir: t.TempDir()})
	j := running(t, s, journal.Attempt{Incarnation: "first"})
	at := noon
	beat := func(incarnation string) []lease.Beat {
		at = at.Add(time.Second)
		return []lease.Beat{{Run: j.id, Attempt: 1, At: at, Lease: time.Minute, Incarnation: incarnation}}
	}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a heartbeat", func() { takeBeats(t, s, beat("first")) }},
		{"an append", func() {
			j.output("line\n")
			offset, data := j.take()
			one(t, s, j.id, 1, offset, data)
		}},
	} {
		step.do()
		if s.Renew(beat("second"))[0] != nil {
			t.Errorf("after %s: a heartbeat of another process is taken", step.name)
		}
		if s.Renew(beat("first"))[0] == nil {
			t.Errorf("after %s: a heartbeat of the process is not taken", step.name)
		}
	}
}
