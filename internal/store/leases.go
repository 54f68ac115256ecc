package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store/beatlog"
	"stint.dev/stint/job"
)

// leases are the active runs whose owners this process knows, because a transaction took a heartbeat
// or an append of theirs. The next heartbeat of such an owner changes nothing but times and
// figures: it is made durable in the log of heartbeats, a small part of the work, and reaches
// the database with a later transaction. It waits for no transaction but one that is about its run.
//
// That is sound because in a data directory every change goes through one process: a transaction
// first brings the rows up to date that it may look at (settle), takes no heartbeats of their runs
// until it has ended, and afterwards nothing is taken for known that it may have changed.
// PostgreSQL may be written to by several servers, so there every heartbeat goes to the database.
type leases struct {
	tx chan struct{} // holds a token while a transaction writes

	logMu sync.Mutex // held while heartbeats go to the log, before mu
	log   *beatlog.Log

	mu    sync.Mutex            // of what follows; held for moments
	known map[string]knownLease // by run
	dirty map[string]*unsettled // by run: the latest heartbeats that their rows do not have
	held  heldRuns              // what the transaction is about that goes on
}

// unsettled is a heartbeat that is not in the row of its run.
type unsettled struct{ lease.Beat }

// heldRuns are the runs that a transaction may look at or change.
type heldRuns struct {
	all bool
	ids map[string]bool
}

func (h heldRuns) has(run string) bool { return h.all || h.ids[run] }

// knownLease is the owner of an active run, as its row says.
type knownLease struct {
	attempt int
	cancel  *job.Cancel
}

// openLeases opens the log of a data directory and brings what it holds into the database.
func (s *Store) openLeases(ctx context.Context, dir string, relaxed bool) error {
	log, beats, err := beatlog.Open(filepath.Join(dir, "heartbeats"), relaxed)
	if err != nil {
		return err
	}
	latest := make(map[attemptKey]lease.Beat, len(beats))
	for _, b := range beats {
		if key := (attemptKey{b.Run, b.Attempt}); !b.At.Before(latest[key].At) {
			latest[key] = lease.Beat(b)
		}
	}
	err = s.write(ctx, func(t *tx) error {
		_, err := newGroup(t).renew(ctx, latest, true)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("bring %d heartbeats into the database: %w", len(latest), err), log.Close())
	}
	s.leases = &leases{tx: make(chan struct{}, 1), log: log, known: map[string]knownLease{}, dirty: map[string]*unsettled{}}
	return nil
}

// Renew makes heartbeats durable that come from owners which are known, and returns the answers to
// them; nil for a heartbeat that Ingest has to take. It does not wait for a transaction.
func (s *Store) Renew(beats []lease.Beat) []*lease.BeatResult {
	if s.leases == nil {
		return make([]*lease.BeatResult, len(beats))
	}
	return s.leases.renew(beats)
}

func (l *leases) renew(beats []lease.Beat) []*lease.BeatResult {
	l.logMu.Lock()
	defer l.logMu.Unlock()
	out := make([]*lease.BeatResult, len(beats))
	var records []beatlog.Beat
	left := map[string]bool{} // runs of which a beat is left to Ingest: later ones do not overtake it
	l.mu.Lock()
	for i, b := range beats {
		owner, ok := l.known[b.Run]
		if !ok || owner.attempt != b.Attempt || b.Heartbeat.Suspended || l.held.has(b.Run) || left[b.Run] {
			left[b.Run] = true
			continue
		}
		b.At = fromMicros(micros(b.At))
		records = append(records, beatlog.Beat(b))
		out[i] = &lease.BeatResult{Known: true, Owner: true, Cancel: owner.cancel}
	}
	l.mu.Unlock()
	if len(records) == 0 || l.log.Append(records) != nil { // full, or the disk fails: the database will say which
		return make([]*lease.BeatResult, len(beats))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range records {
		l.dirty[b.Run] = &unsettled{lease.Beat(b)}
	}
	return out
}

// write is one transaction that may look at runs, or change them; nil for all of them. A
// transaction without fn only brings all rows up to date, and whoever is known stays so.
func (l *leases) write(ctx context.Context, runs map[string]bool, transact func(context.Context, func(*tx) error) error, fn func(*tx) error) error {
	select {
	case l.tx <- struct{}{}:
		defer func() { <-l.tx }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another transaction: %w", ctx.Err())
	}
	behind := runs
	if l.hold(runs, fn != nil) {
		behind = nil // bring all rows up to date
	}
	defer l.release()
	var owners map[attemptKey]*job.Cancel
	var settled func()
	err := transact(ctx, func(t *tx) (err error) {
		if settled, err = l.settle(ctx, t, behind); err != nil {
			return err
		}
		if fn == nil {
			return nil
		}
		err = fn(t)
		owners = t.owners
		return err
	})
	if fn != nil { // also after an error: a commit that failed may have been one
		l.forget(runs)
	}
	if err != nil {
		return err
	}
	settled()
	l.learn(owners)
	return nil
}

// hold keeps the heartbeats of the runs out that a transaction is about; one that changes nothing
// holds none. all reports that it has to bring all rows up to date: then the log takes the next
// heartbeats apart from those that are settled.
func (l *leases) hold(runs map[string]bool, changes bool) (all bool) {
	l.logMu.Lock() // those on their way to the log are settled
	defer l.logMu.Unlock()
	if all = runs == nil || l.log.Due(); all {
		l.log.Turn()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = heldRuns{all: changes && runs == nil}
	if changes {
		l.held.ids = runs
	}
	return all
}

func (l *leases) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = heldRuns{}
}

// settle brings the rows of runs up to date in a transaction; without runs, all of them.
// settled is to be called once it is committed.
func (l *leases) settle(ctx context.Context, t *tx, runs map[string]bool) (settled func(), err error) {
	var rows []*unsettled
	l.mu.Lock()
	if runs == nil {
		rows = slices.AppendSeq(rows, maps.Values(l.dirty))
	}
	for run := range runs {
		if b, ok := l.dirty[run]; ok {
			rows = append(rows, b)
		}
	}
	l.mu.Unlock()
	latest := make(map[attemptKey]lease.Beat, len(rows))
	for _, b := range rows {
		latest[attemptKey{b.Run, b.Attempt}] = b.Beat
	}
	if _, err := newGroup(t).renew(ctx, latest, false); err != nil {
		return nil, err
	}
	return func() {
		l.logMu.Lock() // no heartbeat is in the log and not yet among the dirty ones
		defer l.logMu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, b := range rows {
			if l.dirty[b.Run] == b { // else a later one has come
				delete(l.dirty, b.Run)
			}
		}
		if runs == nil {
			l.log.Settled()
		}
		if len(l.dirty) == 0 {
			l.log.Reset()
		}
	}, nil
}

// forget no longer takes for known what a transaction may have changed.
func (l *leases) forget(runs map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if runs == nil {
		clear(l.known)
	}
	for run := range runs {
		delete(l.known, run)
	}
}

// learn notes the owners that a committed transaction has seen or made.
func (l *leases) learn(owners map[attemptKey]*job.Cancel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, cancel := range owners {
		l.known[key.run] = knownLease{attempt: key.attempt, cancel: cancel}
	}
}

// settleNow brings all rows up to date, for a reader that judges by them.
func (s *Store) settleNow(ctx context.Context) error {
	if s.leases == nil || !s.leases.behind() {
		return nil
	}
	return s.write(ctx, nil)
}

func (l *leases) behind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dirty) > 0
}

// show puts a heartbeat into a run that its row does not have yet.
func (l *leases) show(run job.Run) job.Run {
	if l == nil {
		return run
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.dirty[run.ID]; ok && b.Attempt == run.Attempt {
		at := b.At
		run.LastHeartbeatAt = &at
	}
	return run
}

// noRuns is for transactions that depend on no run's lease or owner, and change none.
var noRuns = theseRuns()

// theseRuns is for transactions that are about some runs.
func theseRuns(ids ...string) map[string]bool {
	return runsOf(ids, func(id string) string { return id })
}

// runsOf is for transactions that are about the runs of some items.
func runsOf[T any](items []T, id func(T) string) map[string]bool {
	runs := make(map[string]bool, len(items))
	for _, item := range items {
		runs[id(item)] = true
	}
	return runs
}

// touched are the runs that a group is about.
func touched(appends []index.Append, beats []lease.Beat) map[string]bool {
	runs := runsOf(appends, func(a index.Append) string { return a.Run })
	maps.Copy(runs, runsOf(beats, func(b lease.Beat) string { return b.Run }))
	return runs
}

// close writes what the database lacks and closes the log.
func (s *Store) closeLeases() error {
	if s.leases == nil {
		return nil
	}
	return errors.Join(s.settleNow(context.Background()), s.leases.log.Close())
}
