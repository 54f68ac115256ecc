package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// Ingest stores a group of appends and heartbeats in one transaction and returns when they are durable.
// The results are in the order of the arguments. An append that is refused has an error of its own and
// does not affect the others. If Ingest returns an error, nothing of the group was stored.
//
// The Run of an Appended is zero until the attempt's identity has arrived.
func (s *Intake) Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error) {
	var appended []index.Appended
	var results []lease.BeatResult
	var unreadable map[string]*unreadableRow
	err := s.WriteFirst(ctx, touched(appends, beats), func(t *db.Tx) (err error) {
		w := s.journals.WriteBlocks(t)
		if len(appends) > 0 {
			w.Begin()
			defer w.End()
		}
		g := NewGroup(t, w)
		g.submissions, g.expectations = s.submissions, s.expectations
		unreadable = g.unreadable
		if appended, err = g.appends(ctx, appends); err != nil {
			return err
		}
		if results, err = g.beats(ctx, beats); err != nil {
			return err
		}
		if err := g.Save(ctx); err != nil {
			return err
		}
		g.collectOwners()
		if s.leases != nil {
			t.OnCommit(func() { s.leases.setOwners(g.owners) })
		}
		if err := s.journals.CountBytes(ctx, t, w.Added); err != nil {
			return err
		}
		return w.Write()
	})
	if err != nil {
		return nil, nil, fmt.Errorf("store %d appends and %d heartbeats: %w", len(appends), len(beats), err)
	}
	s.noteUnreadable(ctx, unreadable, appends, appended)
	var bytes int
	for _, a := range appends {
		bytes += len(a.Data)
	}
	if bytes >= busyGroupBytes {
		s.busy.Store(s.Now().UnixNano())
	}
	return appended, results, nil
}

// appendOrder returns the indexes of appends sorted by run, so that all servers lock rows in the same
// order. Appends to one run keep their order.
func appendOrder(appends []index.Append) []int {
	order := make([]int, len(appends))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return appends[order[a]].Run < appends[order[b]].Run })
	return order
}

// Intake stores appends and heartbeats.
type Intake struct {
	*db.DB
	*troubled.Items
	journals *blocks.Journals
	// submissions are those of the store; nil for one without a queue.
	submissions Submissions
	// expectations may be nil.
	expectations Expectations
	leases       *leases      // for a data directory that no other process uses; else nil
	busy         atomic.Int64 // when the last large group arrived, in nanoseconds since 1970
}

// New returns the intake of a database. For a data directory, call OpenHeartbeatLog before its use. q are the
// submitted runs; nil for a store without a queue.
func New(d *db.DB, items *troubled.Items, j *blocks.Journals, q Submissions) *Intake {
	return &Intake{DB: d, Items: items, journals: j, submissions: q}
}

// BusyAt returns when the last large group of appends arrived.
func (s *Intake) BusyAt() time.Time { return time.Unix(0, s.busy.Load()) }

// busyGroupBytes is the size from which a group of appends counts as large.
const busyGroupBytes = 512 << 10

// Group is a transaction of Ingest: the rows that it has locked, and which of them have changed.
type Group struct {
	Tx            *db.Tx
	Runs          map[string]*tables.RunRow
	attempts      map[tables.AttemptKey]*tables.AttemptRow
	DirtyRuns     map[string]bool
	beatRuns      map[string]bool // of which only the lease has changed
	dirtyAttempts map[tables.AttemptKey]bool
	unreadable    map[string]*unreadableRow // by run; appends and heartbeats of it are refused
	deleted       map[string]*query.DeletedRunError
	Blocks        *blocks.Writer
	owners        map[tables.AttemptKey]owner // of active runs of the group
	// submissions is nil where the appends were admitted before, as those of a journal that is rebuilt.
	submissions  Submissions
	expectations Expectations                 // nil for none
	claims       map[string]queue.StoredClaim // of the questions for permits that are not answered, by run
	figures      map[string]figures           // by job
}

// NewGroup returns an empty group. w is nil for one that only renews leases.
func NewGroup(t *db.Tx, w *blocks.Writer) *Group {
	return &Group{
		Tx: t, Blocks: w, Runs: map[string]*tables.RunRow{}, attempts: map[tables.AttemptKey]*tables.AttemptRow{},
		DirtyRuns: map[string]bool{}, dirtyAttempts: map[tables.AttemptKey]bool{}, beatRuns: map[string]bool{},
		unreadable: map[string]*unreadableRow{}, figures: map[string]figures{},
	}
}

// appends applies the appends of the group.
func (g *Group) appends(ctx context.Context, appends []index.Append) ([]index.Appended, error) {
	if err := g.load(ctx, appends); err != nil {
		return nil, err
	}
	out := make([]index.Appended, len(appends))
	for _, i := range appendOrder(appends) {
		one, err := g.append(ctx, appends[i])
		if err != nil {
			return nil, err
		}
		out[i] = one
	}
	return out, nil
}

// append applies one append. Its error is one of the database, which ends the group.
func (g *Group) append(ctx context.Context, a index.Append) (index.Appended, error) {
	if err := index.CheckAddress(a.Run, a.Attempt); err != nil {
		return index.Appended{Err: err}, nil
	}
	if err := g.refused(a.Run); err != nil {
		return index.Appended{Err: err}, nil
	}
	key := tables.AttemptKey{Run: a.Run, Attempt: a.Attempt}
	attempt, ok := g.attempts[key]
	if !ok {
		attempt = &tables.AttemptRow{AttemptDoc: tables.AttemptDoc{State: index.NewState(a.Run, a.Attempt)}}
		g.attempts[key] = attempt
	}
	if done, answered, err := g.submitted(ctx, a, key, attempt); answered || err != nil {
		return done, err
	}
	size := attempt.Durable()
	if err := g.admit(a, key, attempt); err != nil || len(a.Data) == 0 && a.Writer > 0 {
		return index.Appended{Size: size, Err: err}, nil
	}
	replacesTail := len(attempt.Tail) > 0 && a.Offset == attempt.Size
	if a.Offset != size && !replacesTail {
		return index.Appended{Size: size, Err: &index.OffsetError{Offset: a.Offset, Size: size}}, nil
	}
	data := a.Data
	if len(attempt.Tail) > 0 && !replacesTail {
		data = slices.Concat(attempt.Tail, a.Data)
	}
	folded, blocks, err := foldParts(attempt.State, data)
	if err != nil {
		return index.Appended{Size: size, Err: err}, nil
	}
	if replacesTail && folded.Head.Size == 0 {
		// Only a whole record replaces a torn one, whose rest was lost with the agent's host.
		return index.Appended{Size: size, Err: &index.OffsetError{Offset: a.Offset, Size: size}}, nil
	}
	out := index.Appended{Block: folded.Head}
	if folded.State.Known() {
		known := g.Runs[a.Run] != nil
		out.Run, out.Events, err = g.ApplyAppend(ctx, a, attempt, &folded)
		var refused *index.RefusedError
		var early *index.TooEarlyError
		var many *index.TooManyJobsError
		if errors.As(err, &refused) || errors.As(err, &early) || errors.As(err, &many) {
			return index.Appended{Size: size, Err: err}, nil
		}
		if err != nil {
			return index.Appended{}, err
		}
		out.NewJob = !known && out.Run.Number == 1
	}
	stored := data[:len(data)-folded.Left]
	attempt.Tail, attempt.At = slices.Clone(stored[len(stored)-folded.Tail:]), a.At
	if err := g.StoreAppend(ctx, key, attempt, &folded, blocks); err != nil {
		return index.Appended{}, err
	}
	out.Size = attempt.Durable()
	return out, nil
}

// admit refuses an append unless it comes from the journal's writer, or makes a later process the
// writer. Appends of an earlier writer that are still on their way could contradict those that follow.
func (g *Group) admit(a index.Append, key tables.AttemptKey, attempt *tables.AttemptRow) error {
	takes := len(a.Data) == 0 && a.Writer > 0
	if takes && a.Writer <= attempt.Writer || len(a.Data) > 0 && a.Writer != attempt.Writer {
		return &index.WriterError{Sent: a.Writer, Writer: attempt.Writer}
	}
	if takes {
		attempt.Writer, attempt.At = a.Writer, a.At
		g.dirtyAttempts[key] = true
		if row := g.Runs[a.Run]; row != nil && row.Run.Attempt == a.Attempt && row.Run.State.Active() {
			row.Backlog = row.Backlog || isBacklog(&row.Run, row.ReportedAt, a.At)
			g.DirtyRuns[a.Run] = true
		}
	}
	return nil
}

// ApplyAppend applies an append to its run, which it creates if it is missing.
func (g *Group) ApplyAppend(ctx context.Context, a index.Append, attempt *tables.AttemptRow, f *index.FoldResult) (job.Run, []job.RunEvent, error) {
	now := db.FromMicros(db.Micros(a.At))
	row, known := g.Runs[a.Run]
	if !known {
		if err := g.refuseNewJob(ctx, a, f.State.View.Job); err != nil {
			return job.Run{}, nil, err
		}
		fresh := NewRun(&f.State, a.ClockOffset, now)
		row = &fresh
	}
	applied, err := applyAppend(*row, &attempt.State, attempt.Writer > 0, f, now)
	if err != nil {
		return job.Run{}, nil, err
	}
	if !applied.owner {
		return row.Run, nil, nil
	}
	if err := g.follow(ctx, &row.Run, &applied, f.State.Ended, now); err != nil {
		return job.Run{}, nil, err
	}
	if !known {
		if err := g.insertRun(ctx, a.Wire, &applied.row); err != nil {
			return job.Run{}, nil, err
		}
	}
	if !known || applied.begins {
		if err := g.noteStart(ctx, &applied.row.Run, f, now); err != nil {
			return job.Run{}, nil, err
		}
	}
	if applied.identified && !(known && maps.Equal(row.Run.Labels, applied.row.Run.Labels)) {
		if err := tables.SetLabels(ctx, g.Tx, &applied.row.Run); err != nil {
			return job.Run{}, nil, err
		}
	}
	events := index.WithNotes(&applied.row.Run, applied.events, f.Notes)
	if err := tables.QueueEvents(ctx, g.Tx, events); err != nil {
		return job.Run{}, nil, err
	}
	if err := g.afterAppend(ctx, row.Run.Status, &applied, f, now); err != nil {
		return job.Run{}, nil, err
	}
	if known && applied.begins && a.Attempt > 1 { // a loss that was not notified yet is withdrawn
		if _, err := outbox.Withdraw(ctx, g.Tx, a.Run, a.Attempt-1, fmt.Sprintf("attempt %d began", a.Attempt), now); err != nil {
			return job.Run{}, nil, err
		}
	}
	if f.Head.Size > 0 {
		applied.row.Backlog = isBacklog(&applied.row.Run, job.ServerTime(f.Head.LastAt, a.ClockOffset, now), now)
	}
	if err := g.enqueueChange(ctx, &applied.row, applied.events, outbox.EndTime(&applied.row.Run, a.ClockOffset, now), now); err != nil {
		return job.Run{}, nil, err
	}
	applied.row.Run = tables.WithCut(applied.row.Run, attempt.Cut)
	g.Runs[a.Run] = &applied.row
	g.DirtyRuns[a.Run] = true
	return applied.row.Run, events, nil
}

// noteStart stores when the job of a run that starts is expected, if its agent says so, and that it started.
func (g *Group) noteStart(ctx context.Context, run *job.Run, f *index.FoldResult, now time.Time) error {
	if err := g.expect(ctx, run.Job, f.State.Due, now); err != nil {
		return err
	}
	return tables.NoteStart(ctx, g.Tx, run.Job, run.StartAt, now)
}

// insertRun creates a run, which w identifies on a wire unless it is nil.
func (g *Group) insertRun(ctx context.Context, w *index.Wire, row *tables.RunRow) error {
	if err := tables.InsertRun(ctx, g.Tx, row); err != nil || w == nil {
		return err
	}
	return tables.SetWireRun(ctx, g.Tx, &row.Run, *w)
}

// refuseNewJob returns *index.TooManyJobsError if the append would begin a new job and may not.
func (g *Group) refuseNewJob(ctx context.Context, a index.Append, name string) error {
	if !a.KnownJobsOnly {
		return nil
	}
	known, err := tables.JobExists(ctx, g.Tx, name)
	if err == nil && !known {
		return &index.TooManyJobsError{Job: name}
	}
	return err
}

// StoreAppend stores the blocks of an append and the new state of its attempt.
func (g *Group) StoreAppend(ctx context.Context, key tables.AttemptKey, attempt *tables.AttemptRow, f *index.FoldResult, blocks []blocks.Block) error {
	attempt.State = f.State
	g.dirtyAttempts[key] = true
	var stored tables.Tiers
	isNew := len(blocks) > 0 && !attempt.Stored
	if isNew { // blocks refer to it
		ahead := *attempt
		for _, b := range blocks {
			ahead.Tiers.Add(b.Head.Size)
		}
		stored = ahead.Tiers
		if err := g.SaveAttempt(ctx, key, &ahead); err != nil {
			return err
		}
		attempt.Stored = true
	}
	for _, b := range blocks {
		if err := g.Blocks.InsertBlock(ctx, key, attempt, b); err != nil {
			return err
		}
	}
	if isNew && attempt.Tiers == stored {
		delete(g.dirtyAttempts, key)
	}
	return nil
}

// collectOwners adds the owners of the active runs of the group to owners. Their next heartbeats need
// no transaction.
func (g *Group) collectOwners() {
	for id, row := range g.Runs {
		if run := &row.Run; run.EndedAt == nil && run.State != job.Lost && run.State != job.Retrying && run.SuspendedAt == nil {
			key := tables.AttemptKey{Run: id, Attempt: run.Attempt}
			o := owner{attempt: run.Attempt, cancel: run.Cancel}
			if attempt := g.attempts[key]; attempt != nil {
				o.incarnation = attempt.State.Incarnation
			}
			g.owners[key] = o
		}
	}
}

// SaveAttempt stores an attempt that the group has locked, or that is new.
func (g *Group) SaveAttempt(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	return tables.SaveAttempt(ctx, g.Tx, key, row, g.Blocks.Journals.RunLog)
}

// Save stores the rows that have changed.
func (g *Group) Save(ctx context.Context) error {
	for key := range g.dirtyAttempts {
		if err := g.SaveAttempt(ctx, key, g.attempts[key]); err != nil {
			return err
		}
	}
	for id := range g.DirtyRuns {
		if err := tables.UpdateRun(ctx, g.Tx, g.Runs[id]); err != nil {
			return err
		}
	}
	for id := range g.beatRuns {
		if g.DirtyRuns[id] {
			continue
		}
		if err := updateLease(ctx, g.Tx, g.Runs[id]); err != nil {
			return err
		}
	}
	return g.saveFigures(ctx)
}
