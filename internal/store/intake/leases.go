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

// leases caches the owners of active runs. A run is in the cache after a transaction has stored a
// heartbeat or an append of its owner. The next heartbeat of that owner changes only times and figures:
// it is stored in the log of heartbeats, which is much cheaper, and in the database by a later
// transaction. It waits only for a transaction that touches its run.
//
// This is correct because in a data directory one process makes all changes. A transaction first stores
// the heartbeats of the runs that it touches (flush), no heartbeats of these runs are accepted until it
// has ended, and their owners are removed from the cache when it begins. Several servers may write to
// PostgreSQL, so there every heartbeat is stored in the database at once.
type leases struct {
	turn chan struct{} // holds an element while a transaction writes

	logMu sync.Mutex // held while heartbeats go to the log, before mu
	log   *beatlog.Log

	mu            sync.Mutex            // guards the fields below
	owners        map[string]owner      // by run
	dirty         map[string]*unflushed // by run: the latest heartbeats that their rows do not have
	inTransaction db.Touch              // the runs that the current transaction touches
}

// unflushed is a heartbeat that is not in the row of its run.
type unflushed struct{ lease.Beat }

// owner is the owner of an active run.
type owner struct {
	attempt int
	// incarnation is that of the process that has the permit of a submitted run, if it reported with its token.
	incarnation string
	cancel      *job.Cancel // the request to stop it, if any
}

// OpenHeartbeatLog opens the log of heartbeats of a data directory and stores its contents in the database.
func (s *Intake) OpenHeartbeatLog(ctx context.Context, dir string, relaxed bool) error {
	log, beats, err := beatlog.Open(filepath.Join(dir, "heartbeats"), relaxed)
	if err != nil {
		return err
	}
	latest := make(map[tables.AttemptKey]lease.Beat, len(beats))
	for _, b := range beats {
		if key := (tables.AttemptKey{Run: b.Run, Attempt: b.Attempt}); !b.At.Before(latest[key].At) {
			latest[key] = fromLog(b)
		}
	}
	err = s.Write(ctx, db.All, func(t *db.Tx) error {
		_, err := NewGroup(t, nil).renew(ctx, latest, true)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("store %d heartbeats in the database: %w", len(latest), err), log.Close())
	}
	s.leases = &leases{turn: make(chan struct{}, 1), log: log, owners: map[string]owner{}, dirty: map[string]*unflushed{}}
	s.Gate = s.leases
	return nil
}

// Renew stores the heartbeats of owners in the cache, and returns their results; nil for a heartbeat
// that Ingest has to store. It does not wait for a transaction.
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
	left := map[string]bool{} // runs of which Ingest stores a heartbeat, and with it the later ones
	l.mu.Lock()
	for i, b := range beats {
		owner, ok := l.owners[b.Run]
		if !ok || owner.attempt != b.Attempt || owner.incarnation != b.Incarnation || b.Heartbeat.Suspended || l.inTransaction.Has(b.Run) || left[b.Run] {
			left[b.Run] = true
			continue
		}
		b.At = db.FromMicros(db.Micros(b.At))
		records = append(records, toLog(b))
		out[i] = &lease.BeatResult{Known: true, Owner: true, Cancel: owner.cancel}
	}
	l.mu.Unlock()
	if len(records) == 0 || l.log.Append(records) != nil { // full, or a failure of the disk, which the database reports
		return make([]*lease.BeatResult, len(beats))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range records {
		l.dirty[b.Run] = &unflushed{fromLog(b)}
	}
	return out
}

// toLog returns a heartbeat as the log stores it, and fromLog one of the log.
func toLog(b lease.Beat) beatlog.Beat {
	return beatlog.Beat{Run: b.Run, Attempt: b.Attempt, Heartbeat: b.Heartbeat, At: b.At, Lease: b.Lease}
}

func fromLog(b beatlog.Beat) lease.Beat {
	return lease.Beat{Run: b.Run, Attempt: b.Attempt, Heartbeat: b.Heartbeat, At: b.At, Lease: b.Lease}
}

// Write runs fn in one transaction that may read and change the runs that it touches. If fn is nil, the
// transaction only stores heartbeats, and all owners stay in the cache.
func (l *leases) Write(ctx context.Context, touch db.Touch, transact func(context.Context, func(*db.Tx) error) error, fn func(*db.Tx) error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another transaction: %w", ctx.Err())
	}
	behind := touch
	if l.hold(touch, fn != nil) {
		behind = db.All // store all heartbeats
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

// hold makes Renew refuse heartbeats of the runs that a transaction touches, and removes their owners
// from the cache, because the transaction may change them, and may be committed even if the commit
// returns an error. If changes is false, it does neither. all reports that the transaction must store
// the heartbeats of all runs: then the log has switched to its other half.
func (l *leases) hold(about db.Touch, changes bool) (all bool) {
	l.logMu.Lock() // heartbeats on their way to the log are flushed
	defer l.logMu.Unlock()
	if all = about.Every || l.log.IsDue(); all {
		l.log.SwitchHalf()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inTransaction = db.None
	if !changes {
		return all
	}
	l.inTransaction = about
	if about.Every {
		clear(l.owners)
	}
	for run := range about.IDs {
		delete(l.owners, run)
	}
	return all
}

func (l *leases) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inTransaction = db.None
}

// flush stores the heartbeats of the runs that a transaction touches. Call flushed after the commit.
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
		l.logMu.Lock() // so that each heartbeat in the log is in dirty, too
		defer l.logMu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, b := range rows {
			if l.dirty[b.Run] == b { // else a later one has arrived
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

// setOwners adds the owners of a committed transaction to the cache.
func (l *leases) setOwners(owners map[tables.AttemptKey]owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, o := range owners {
		l.owners[key.Run] = o
	}
}

// HasUnflushed reports whether there are heartbeats that the rows of their runs do not have.
func (l *leases) HasUnflushed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.dirty) > 0
}

// WithHeartbeat returns a run with the time of its last heartbeat, which its row may not have yet.
func (l *leases) WithHeartbeat(run job.Run) job.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.dirty[run.ID]; ok && b.Attempt == run.Attempt {
		at := b.At
		run.LastHeartbeatAt = &at
	}
	return run
}

// touched returns the runs of a group.
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

// CloseHeartbeatLog stores the heartbeats that the database does not have, and closes the log.
func (s *Intake) CloseHeartbeatLog() error {
	if s.leases == nil {
		return nil
	}
	return errors.Join(s.FlushHeartbeats(context.Background()), s.leases.log.Close())
}
