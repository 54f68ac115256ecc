package intake

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
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// leases are the active runs whose owners this process knows, because a transaction took a heartbeat
// or an append of theirs. The next heartbeat of such an owner changes nothing but times and
// figures: it is made durable in the log of heartbeats, a small part of the work, and reaches
// the database with a later transaction. It waits for no transaction but one that is about its run.
//
// That is sound because in a data directory every change goes through one process: a transaction
// first brings the rows up to date that it may look at (flush), takes no heartbeats of their runs
// until it has ended, and the owners of runs that it may change are forgotten when it begins.
// PostgreSQL may be written to by several servers, so there every heartbeat goes to the database.
type leases struct {
	turn chan struct{} // holds a token while a transaction writes

	logMu sync.Mutex // held while heartbeats go to the log, before mu
	log   *beatlog.Log

	mu    sync.Mutex            // of what follows; held for moments
	known map[string]knownLease // by run
	dirty map[string]*unflushed // by run: the latest heartbeats that their rows do not have
	held  db.Touch              // what the transaction is about that goes on
}

// unflushed is a heartbeat that is not in the row of its run.
type unflushed struct{ lease.Beat }

// knownLease is the owner of an active run, as its row says.
type knownLease struct {
	attempt int
	cancel  *job.Cancel
}

// OpenHeartbeatLog opens the log of a data directory and brings what it holds into the database.
func (s *Intake) OpenHeartbeatLog(ctx context.Context, dir string, relaxed bool) error {
	log, beats, err := beatlog.Open(filepath.Join(dir, "heartbeats"), relaxed)
	if err != nil {
		return err
	}
	latest := make(map[tables.AttemptKey]lease.Beat, len(beats))
	for _, b := range beats {
		if key := (tables.AttemptKey{Run: b.Run, Attempt: b.Attempt}); !b.At.Before(latest[key].At) {
			latest[key] = lease.Beat(b)
		}
	}
	err = s.Write(ctx, db.All, func(t *db.Tx) error {
		_, err := NewGroup(t, nil).renew(ctx, latest, true)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("bring %d heartbeats into the database: %w", len(latest), err), log.Close())
	}
	s.leases = &leases{turn: make(chan struct{}, 1), log: log, known: map[string]knownLease{}, dirty: map[string]*unflushed{}}
	s.Gate = s.leases
	return nil
}

// Renew makes heartbeats durable that come from owners which are known, and returns the answers to
// them; nil for a heartbeat that Ingest has to take. It does not wait for a transaction.
func (s *Intake) Renew(beats []lease.Beat) []*lease.BeatResult {
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
		if !ok || owner.attempt != b.Attempt || b.Heartbeat.Suspended || l.held.Has(b.Run) || left[b.Run] {
			left[b.Run] = true
			continue
		}
		b.At = db.FromMicros(db.Micros(b.At))
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
		l.dirty[b.Run] = &unflushed{lease.Beat(b)}
	}
	return out
}

// Write is one transaction that may look at the runs that it touches, or change them. One without
// fn only brings all rows up to date, and whoever is known stays so.
func (l *leases) Write(ctx context.Context, touch db.Touch, transact func(context.Context, func(*db.Tx) error) error, fn func(*db.Tx) error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another transaction: %w", ctx.Err())
	}
	behind := touch
	if l.hold(touch, fn != nil) {
		behind = db.All // bring all rows up to date
	}
	defer l.release()
	var flushed func()
	err := transact(ctx, func(t *db.Tx) (err error) {
		if flushed, err = l.flush(ctx, t, behind); err != nil || fn == nil {
			return err
		}
		return fn(t)
	})
	if err != nil {
		return err
	}
	flushed()
	return nil
}

// hold keeps the heartbeats of the runs out that a transaction is about, and forgets their owners,
// which it may change: it may have been committed also when that failed. One that changes nothing
// holds none. all reports that it has to bring all rows up to date: then the log takes the next
// heartbeats apart from those that are flushed.
func (l *leases) hold(about db.Touch, changes bool) (all bool) {
	l.logMu.Lock() // those on their way to the log are flushed
	defer l.logMu.Unlock()
	if all = about.Every || l.log.IsDue(); all {
		l.log.SwitchHalf()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = db.None
	if !changes {
		return all
	}
	l.held = about
	if about.Every {
		clear(l.known)
	}
	for run := range about.IDs {
		delete(l.known, run)
	}
	return all
}

func (l *leases) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = db.None
}

// flush brings the rows of the runs up to date that a transaction is about. flushed is to be
// called once it is committed.
func (l *leases) flush(ctx context.Context, t *db.Tx, about db.Touch) (flushed func(), err error) {
	var rows []*unflushed
	l.mu.Lock()
	if about.Every {
		rows = slices.AppendSeq(rows, maps.Values(l.dirty))
	}
	for run := range about.IDs {
		if b, ok := l.dirty[run]; ok {
			rows = append(rows, b)
		}
	}
	l.mu.Unlock()
	latest := make(map[tables.AttemptKey]lease.Beat, len(rows))
	for _, b := range rows {
		latest[tables.AttemptKey{Run: b.Run, Attempt: b.Attempt}] = b.Beat
	}
	if _, err := NewGroup(t, nil).renew(ctx, latest, false); err != nil {
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
		if about.Every {
			l.log.MarkStored()
		}
		if len(l.dirty) == 0 {
			l.log.Reset()
		}
	}, nil
}

// learn notes the owners that a committed transaction has seen or made.
func (l *leases) learn(owners map[tables.AttemptKey]*job.Cancel) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, cancel := range owners {
		l.known[key.Run] = knownLease{attempt: key.Attempt, cancel: cancel}
	}
}

// Behind reports whether there are heartbeats that the rows of their runs do not have.
func (l *leases) HasUnflushed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dirty) > 0
}

// Show puts a heartbeat into a run that its row does not have yet.
func (l *leases) WithHeartbeat(run job.Run) job.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.dirty[run.ID]; ok && b.Attempt == run.Attempt {
		at := b.At
		run.LastHeartbeatAt = &at
	}
	return run
}

// touched are the runs that a group is about.
func touched(appends []index.Append, beats []lease.Beat) db.Touch {
	runs := make([]string, 0, len(appends)+len(beats))
	for _, a := range appends {
		runs = append(runs, a.Run)
	}
	for _, b := range beats {
		runs = append(runs, b.Run)
	}
	return db.Runs(runs...)
}

// CloseHeartbeatLog writes what the database lacks and closes the log.
func (s *Intake) CloseHeartbeatLog() error {
	if s.leases == nil {
		return nil
	}
	return errors.Join(s.FlushHeartbeats(context.Background()), s.leases.log.Close())
}
