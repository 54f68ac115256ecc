package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/beatlog"
	"stint.dev/stint/job"
)

// leases are the active runs whose owners this process knows, because it has renewed their
// leases in the database. The next heartbeat of such an owner changes nothing but times and
// figures: it is made durable in the log of heartbeats, a small part of the work, and reaches
// the database with the next transaction that writes anything else.
//
// That is sound because in a data directory every change goes through one process and one
// lock, tx: whoever writes first brings the rows up to date that it may look at (settle), and
// afterwards nothing is taken for known that it may have changed. PostgreSQL may be
// written to by several servers, so there every heartbeat goes to the database.
type leases struct {
	tx  chan struct{} // holds a token while a transaction writes, or heartbeats go to the log
	log *beatlog.Log

	mu    sync.Mutex            // of what follows; held for moments
	known map[string]knownLease // by run
	dirty map[string]index.Beat // by run: the latest heartbeats that their rows do not have
}

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
	latest := make(map[attemptKey]index.Beat, len(beats))
	for _, b := range beats {
		latest[attemptKey{b.Run, b.Attempt}] = index.Beat(b)
	}
	err = s.write(ctx, func(t *tx) error {
		_, err := newGroup(t).renew(ctx, latest, true)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("bring %d heartbeats into the database: %w", len(latest), err), log.Close())
	}
	s.leases = &leases{tx: make(chan struct{}, 1), log: log, known: map[string]knownLease{}, dirty: map[string]index.Beat{}}
	return nil
}

// renew takes heartbeats if all come from owners that are known. It reports whether it did.
func (l *leases) renew(ctx context.Context, beats []index.Beat) ([]index.Beaten, bool) {
	select {
	case l.tx <- struct{}{}:
		defer func() { <-l.tx }()
	case <-ctx.Done():
		return nil, false
	}
	out := make([]index.Beaten, len(beats))
	records := make([]beatlog.Beat, len(beats))
	l.mu.Lock()
	for i, b := range beats {
		owner, ok := l.known[b.Run]
		if !ok || owner.attempt != b.Attempt || b.Heartbeat.Suspended {
			l.mu.Unlock()
			return nil, false
		}
		out[i] = index.Beaten{Known: true, Owner: true, Cancel: owner.cancel}
	}
	l.mu.Unlock()
	for i, b := range beats {
		b.At = fromMicros(micros(b.At))
		records[i] = beatlog.Beat(b)
	}
	if l.log.Append(records) != nil { // full, or the disk fails: the database will say which
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range records {
		l.dirty[b.Run] = index.Beat(b)
	}
	return out, true
}

// write is one transaction that may look at runs, or change them; nil for all of them. A
// transaction without fn only brings rows up to date, and whoever is known stays so.
func (l *leases) write(ctx context.Context, runs map[string]bool, transact func(context.Context, func(*tx) error) error, fn func(*tx) error) error {
	select {
	case l.tx <- struct{}{}:
		defer func() { <-l.tx }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another transaction: %w", ctx.Err())
	}
	if l.log.Full() {
		runs = nil
	}
	var renewed map[attemptKey]*job.Cancel
	var settled func()
	err := transact(ctx, func(t *tx) (err error) {
		if settled, err = l.settle(ctx, t, runs); err != nil {
			return err
		}
		if fn == nil {
			return nil
		}
		err = fn(t)
		renewed = t.renewed
		return err
	})
	if fn != nil { // also after an error: a commit that failed may have been one
		l.forget(runs)
	}
	if err != nil {
		return err
	}
	settled()
	l.learn(renewed)
	return nil
}

// settle brings the rows of runs up to date in a transaction; without runs, all of them.
// settled is to be called once it is committed.
func (l *leases) settle(ctx context.Context, t *tx, runs map[string]bool) (settled func(), err error) {
	latest := map[attemptKey]index.Beat{}
	take := func(b index.Beat) { latest[attemptKey{b.Run, b.Attempt}] = b }
	l.mu.Lock()
	if runs == nil {
		for _, b := range l.dirty {
			take(b)
		}
	}
	for run := range runs {
		if b, ok := l.dirty[run]; ok {
			take(b)
		}
	}
	l.mu.Unlock()
	if _, err := newGroup(t).renew(ctx, latest, false); err != nil {
		return nil, err
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for key := range latest {
			delete(l.dirty, key.run)
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

// learn notes owners whose leases a committed transaction has renewed.
func (l *leases) learn(renewed map[attemptKey]*job.Cancel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, cancel := range renewed {
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

// touched are the runs that a group is about.
func touched(appends []index.Append, beats []index.Beat) map[string]bool {
	runs := make(map[string]bool, len(appends)+len(beats))
	for _, a := range appends {
		runs[a.Run] = true
	}
	for _, b := range beats {
		runs[b.Run] = true
	}
	return runs
}

// close writes what the database lacks and closes the log.
func (s *Store) closeLeases() error {
	if s.leases == nil {
		return nil
	}
	return errors.Join(s.settleNow(context.Background()), s.leases.log.Close())
}
