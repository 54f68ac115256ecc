package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Ingest commits a group of appends and beats in one transaction and returns when they
// are durable. Results stand in the order of the arguments. An append that cannot be
// taken has its own error and does not harm the others. The error of Ingest is for the
// group as a whole: nothing of it was committed.
//
// The Run of an Appended is zero while the attempt's identity has not arrived whole.
func (s *Intake) Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error) {
	var appended []index.Appended
	var results []lease.BeatResult
	var unreadable map[string]*unreadableRow
	err := s.Write(ctx, touched(appends, beats), func(t *db.Tx) (err error) {
		w := s.journals.WriteBlocks(t)
		if len(appends) > 0 {
			w.Begin()
			defer w.End()
		}
		g := NewGroup(t, w)
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
			t.OnCommit(func() { s.leases.learn(g.owners) })
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

// appendOrder sorts appends by run, so that several servers take locks in one order;
// appends to one run keep theirs.
func appendOrder(appends []index.Append) []int {
	order := make([]int, len(appends))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return appends[order[a]].Run < appends[order[b]].Run })
	return order
}

// Intake takes appends and heartbeats.
type Intake struct {
	*db.DB
	*troubled.Items
	journals *blocks.Journals
	leases   *leases      // of a data directory that no other process works in; else nil
	busy     atomic.Int64 // when much arrived last, in nanoseconds since 1970
}

// New makes the intake of a database; of a data directory only with OpenHeartbeatLog.
func New(d *db.DB, items *troubled.Items, j *blocks.Journals) *Intake {
	return &Intake{DB: d, Items: items, journals: j}
}

// BusyAt is when a large group of appends arrived last.
func (s *Intake) BusyAt() time.Time { return time.Unix(0, s.busy.Load()) }

// busyGroupBytes is a group of appends that says that much arrives.
const busyGroupBytes = 512 << 10

// Group is one transaction of Ingest: the rows it has locked, and which have changed.
type Group struct {
	Tx            *db.Tx
	Runs          map[string]*tables.RunRow
	attempts      map[tables.AttemptKey]*tables.AttemptRow
	DirtyRuns     map[string]bool
	beatRuns      map[string]bool // only the lease changed
	dirtyAttempts map[tables.AttemptKey]bool
	unreadable    map[string]*unreadableRow // by run: what is about it is refused
	Blocks        *blocks.Writer
	// owners are owners of active runs that the group has seen or made, with the request to
	// stop that each is to get.
	owners map[tables.AttemptKey]*job.Cancel
}

// NewGroup begins a group of a transaction; one that only renews leases writes no blocks.
func NewGroup(t *db.Tx, w *blocks.Writer) *Group {
	return &Group{
		Tx: t, Blocks: w, Runs: map[string]*tables.RunRow{}, attempts: map[tables.AttemptKey]*tables.AttemptRow{},
		DirtyRuns: map[string]bool{}, dirtyAttempts: map[tables.AttemptKey]bool{}, beatRuns: map[string]bool{},
		unreadable: map[string]*unreadableRow{},
	}
}

// appends takes the appends of the group.
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

// append takes one append. Its error is one of the database, which ends the group.
func (g *Group) append(ctx context.Context, a index.Append) (index.Appended, error) {
	if err := index.CheckAddress(a.Run, a.Attempt); err != nil {
		return index.Appended{Err: err}, nil
	}
	if bad := g.unreadable[a.Run]; bad != nil {
		return index.Appended{Err: bad.err}, nil
	}
	key := tables.AttemptKey{Run: a.Run, Attempt: a.Attempt}
	attempt, ok := g.attempts[key]
	if !ok {
		attempt = &tables.AttemptRow{AttemptDoc: tables.AttemptDoc{State: index.NewState(a.Run, a.Attempt)}}
		g.attempts[key] = attempt
	}
	size := attempt.Durable()
	if err := g.admit(a, key, attempt); err != nil || len(a.Data) == 0 && a.Writer > 0 {
		return index.Appended{Size: size, Err: err}, nil
	}
	instead := len(attempt.Tail) > 0 && a.Offset == attempt.Size
	if a.Offset != size && !instead {
		return index.Appended{Size: size, Err: &index.OffsetError{Offset: a.Offset, Size: size}}, nil
	}
	data := a.Data
	if len(attempt.Tail) > 0 && !instead {
		data = slices.Concat(attempt.Tail, a.Data)
	}
	folded, blocks, err := foldParts(attempt.State, data)
	if err != nil {
		return index.Appended{Size: size, Err: err}, nil
	}
	if instead && folded.Head.Size == 0 {
		// Only a whole record takes the place of a torn one: one whose rest was lost with
		// the agent's host, so that nobody can ever send it.
		return index.Appended{Size: size, Err: &index.OffsetError{Offset: a.Offset, Size: size}}, nil
	}
	out := index.Appended{Block: folded.Head}
	if folded.State.Known() {
		known := g.Runs[a.Run] != nil
		out.Run, out.Events, err = g.ApplyAppend(ctx, a, attempt, &folded)
		var refused *index.RefusedError
		var early *index.NotYetError
		var many *index.TooManyJobsError
		if errors.As(err, &refused) || errors.As(err, &early) || errors.As(err, &many) {
			return index.Appended{Size: size, Err: err}, nil
		}
		if err != nil {
			return index.Appended{}, err
		}
		out.NewJob = !known && out.Run.Number == 1
	}
	taken := data[:len(data)-folded.Left]
	attempt.Tail, attempt.At = slices.Clone(taken[len(taken)-folded.Tail:]), a.At
	if err := g.StoreAppend(ctx, key, attempt, &folded, blocks); err != nil {
		return index.Appended{}, err
	}
	out.Size = attempt.Durable()
	return out, nil
}

// admit lets the journal's writer append, and a later process become the writer. What one that
// died has still on its way comes from an earlier one, and could contradict what follows.
func (g *Group) admit(a index.Append, key tables.AttemptKey, attempt *tables.AttemptRow) error {
	takes := len(a.Data) == 0 && a.Writer > 0
	if takes && a.Writer <= attempt.Writer || len(a.Data) > 0 && a.Writer != attempt.Writer {
		return &index.TakenError{Sent: a.Writer, Writer: attempt.Writer}
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
	if !known {
		if err := tables.InsertRun(ctx, g.Tx, &applied.row); err != nil {
			return job.Run{}, nil, err
		}
	}
	if applied.begins {
		if err := tables.SetLabels(ctx, g.Tx, &applied.row.Run); err != nil {
			return job.Run{}, nil, err
		}
	}
	if err := tables.InsertEvents(ctx, g.Tx, applied.events); err != nil {
		return job.Run{}, nil, err
	}
	if err := afterAppend(ctx, g.Tx, row.Run.Status, &applied, f, now); err != nil {
		return job.Run{}, nil, err
	}
	if known && applied.begins { // a loss that waits is withdrawn: the run goes on
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
	return applied.row.Run, applied.events, nil
}

// canBeginAttempt refuses a job of a new name to who has begun too many.
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

// Store writes what an append brought: its blocks, and the attempt's new state.
func (g *Group) StoreAppend(ctx context.Context, key tables.AttemptKey, attempt *tables.AttemptRow, f *index.FoldResult, blocks []blocks.Block) error {
	attempt.State = f.State
	g.dirtyAttempts[key] = true
	if len(blocks) > 0 && !attempt.Stored { // blocks refer to it
		if err := g.SaveAttempt(ctx, key, attempt); err != nil {
			return err
		}
	}
	for _, b := range blocks {
		if err := g.Blocks.InsertBlock(ctx, key, attempt, b); err != nil {
			return err
		}
	}
	return nil
}

// appendWork bounds the work of one append, in the unit of index.FoldResult: all other appends
// wait for it. Of data that is more than that the beginning is taken, and the reply says how
// far the journal is.
const appendWork = 400_000

// foldParts folds data in parts of about FrameBytes, each of which becomes a block, so that
// no block is larger than what a reader of a few lines should have to read. What it
// returns as folded is the whole.
func foldParts(s index.State, data []byte) (whole index.FoldResult, parts []blocks.Block, err error) {
	whole.State = s
	for rest := data; ; {
		part := rest[:min(len(rest), blocks.FrameBytes)]
		f, err := index.FoldLimited(whole.State, part, appendWork-whole.Work)
		if err == nil && f.Head.Size == 0 && len(part) < len(rest) {
			part = rest[:min(len(rest), blocks.FrameBytes+journal.MaxRecord)] // a record longer than the part
			f, err = index.FoldLimited(whole.State, part, appendWork-whole.Work)
		}
		if err != nil {
			return index.FoldResult{}, nil, err
		}
		if f.Head.Size > 0 {
			samples, err := blocks.EncodeSamples(f.Samples)
			if err != nil {
				return index.FoldResult{}, nil, err
			}
			from := f.Head.Start - whole.State.Size
			parts = append(parts, blocks.Block{Head: f.Head, Samples: samples, Data: part[from : from+f.Head.Size]})
		}
		joinFolded(&whole, &f)
		taken := len(part) - f.Tail - f.Left
		rest = rest[taken:]
		switch {
		case whole.Work >= appendWork:
			whole.Left = len(rest)
			return whole, parts, nil
		case len(rest) == f.Tail || taken == 0:
			whole.Tail = len(rest)
			return whole, parts, nil
		}
	}
}

// joinFolded adds what a further part of an append holds.
func joinFolded(whole, f *index.FoldResult) {
	whole.State = f.State
	whole.Work += f.Work
	whole.Samples = append(whole.Samples, f.Samples...)
	whole.Facts = append(whole.Facts, f.Facts...)
	switch {
	case f.Head.Size == 0:
	case whole.Head.Size == 0:
		whole.Head = f.Head
	default:
		whole.Head = index.JoinHeads(whole.Head, f.Head)
	}
}

// collectOwners notes the owners of the active runs whose rows the group has, as it leaves them: the
// next heartbeat of each needs no transaction.
func (g *Group) collectOwners() {
	for id, row := range g.Runs {
		if run := &row.Run; run.EndedAt == nil && run.State != job.Lost && run.SuspendedAt == nil {
			g.owners[tables.AttemptKey{Run: id, Attempt: run.Attempt}] = run.Cancel
		}
	}
}

// SaveAttempt stores an attempt that the group has locked, or that is new.
func (g *Group) SaveAttempt(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow) error {
	return tables.SaveAttempt(ctx, g.Tx, key, row, g.Blocks.Journals.RunLog)
}

// Save writes the rows that changed.
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
	return nil
}
