package intake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// Submissions are the submitted runs. All methods are part of a transaction that has locked the run.
type Submissions interface {
	// ReadClaims returns what is stored about questions for permits, in their order. Until they are answered the transaction
	// changes nothing of their runs.
	ReadClaims(ctx context.Context, t *db.Tx, asks []index.Append) ([]queue.StoredClaim, error)
	// Permit answers a process that asks to start an attempt; row is nil for an unknown run. begun says that
	// the journal of the attempt has more than what the process sends. After a first grant the run is out of
	// the queue, and the caller stores the beginning of the journal. token is that of the attempt.
	Permit(ctx context.Context, t *db.Tx, row *tables.RunRow, run string, attempt int, p index.PermitRequest, claim queue.StoredClaim, begun bool, now time.Time) (g queue.Grant, token string, err error)
	// PermitOf returns the incarnation of the process that has the permit to start an attempt; empty if none
	// has.
	PermitOf(ctx context.Context, t *db.Tx, run string, attempt int) (incarnation string, err error)
	// Recall gives the attempt of a process the permit back that the database has lost, and takes the run off
	// the queue. recalled is false if another process has the permit.
	Recall(ctx context.Context, t *db.Tx, row *tables.RunRow, attempt int, incarnation string, now time.Time) (recalled bool, err error)
	// BeganBeforeRestore reports whether an attempt had its permit before the database was restored.
	BeganBeforeRestore(ctx context.Context, t *db.Tx, run string, attempt int) (bool, error)
	// AfterEnd does what follows the end of the attempt that a run shows: it frees the place that the run has in
	// its group, or holds it while the attempt may live, and if another attempt follows, it adds that to the queue,
	// moves the run to retrying and returns the event. final says that the attempt cannot report again.
	AfterEnd(ctx context.Context, t *db.Tx, row *tables.RunRow, final bool, now time.Time) (*job.RunEvent, error)
	// AfterReturn does what follows when an attempt that was lost reports again: the attempt that was to follow
	// leaves the queue, and the run has its place again.
	AfterReturn(ctx context.Context, t *db.Tx, run string) error
	// AfterLoss frees the place that a run has for an attempt that was lost: that has ended for certain.
	AfterLoss(ctx context.Context, t *db.Tx, run string) error
}

// isSubmitted reports whether a run was submitted, in a store that has a queue.
func (g *Group) isSubmitted(row *tables.RunRow) bool {
	return g.submissions != nil && row != nil && row.Run.Submitted != nil
}

// submitted applies an append as far as it is about a submitted run: answered says that it is done.
func (g *Group) submitted(ctx context.Context, a index.Append, key tables.AttemptKey, attempt *tables.AttemptRow) (done index.Appended, answered bool, err error) {
	if a.Permit != nil {
		done, err = g.permit(ctx, a, key, attempt)
		return done, true, err
	}
	refused, err := g.admitSubmitted(ctx, a, attempt)
	if err == nil && refused == nil && a.Incarnation != "" && attempt.State.Ended {
		return afterWhole(a, attempt), true, nil
	}
	return index.Appended{Err: refused}, refused != nil, err
}

// afterWhole answers an append to a journal that is whole, by the token of its attempt. The last append again, whose
// answer was lost, is answered as before.
func afterWhole(a index.Append, attempt *tables.AttemptRow) index.Appended {
	size := attempt.Durable()
	if len(a.Data) > 0 && a.Writer == attempt.Writer && a.Offset+int64(len(a.Data)) == size {
		return index.Appended{Size: size}
	}
	return index.Appended{Size: size, Err: &index.WholeError{Run: a.Run, Attempt: a.Attempt, Size: size}}
}

// WholeSize returns the size of the journal of an attempt if it is whole: then the token of the attempt is not valid
// any more. It returns 0 for a journal that is not whole, or not there.
func (s *Intake) WholeSize(ctx context.Context, run string, attempt int) (int64, error) {
	_, row, err := tables.ScanAttempt(s.Reader.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, run, attempt))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read attempt %d of run %s: %w", attempt, run, err)
	case !row.State.Ended:
		return 0, nil
	}
	return row.Durable(), nil
}

// admitSubmitted refuses an append to an attempt of a submitted run that no process has the permit to
// start, or from somebody whose token is not that of the attempt.
func (g *Group) admitSubmitted(ctx context.Context, a index.Append, attempt *tables.AttemptRow) (refused, err error) {
	row := g.Runs[a.Run]
	if !g.isSubmitted(row) {
		return nil, nil
	}
	other := &index.SubmittedError{Run: a.Run}
	if a.ByAgent {
		return other, nil
	}
	if attempt.Stored {
		if wrote := attempt.State.Incarnation; wrote != "" && a.Incarnation != "" && wrote != a.Incarnation {
			return other, nil
		}
		return nil, nil
	}
	now := db.FromMicros(db.Micros(a.At))
	events, err := g.recall(ctx, row, a.Attempt, a.Incarnation, now)
	if isTooEarly(err) {
		return err, nil
	}
	if err != nil {
		return nil, err
	}
	if len(events) > 0 {
		if err := tables.InsertEvents(ctx, g.Tx, events); err != nil {
			return nil, err
		}
		if err := outbox.EnqueueChange(ctx, g.Tx, row, events, time.Time{}, now); err != nil {
			return nil, err
		}
	}
	permitted, err := g.submissions.PermitOf(ctx, g.Tx, a.Run, a.Attempt)
	if err != nil || permitted != "" && (a.Incarnation == "" || a.Incarnation == permitted) {
		return nil, err
	}
	return other, nil
}

// recall makes a run show an attempt of which it knows nothing, and whose process reports with its token: it had the
// permit, and the database was restored from a copy that does not have it. It returns the events, which the caller
// stores; none if nothing changed. The error is *index.TooEarlyError while another attempt of the run is active.
func (g *Group) recall(ctx context.Context, row *tables.RunRow, attempt int, incarnation string, now time.Time) ([]job.RunEvent, error) {
	if !g.isSubmitted(row) || incarnation == "" || attempt <= row.Run.Attempt {
		return nil, nil
	}
	run, events, err := g.allowRecall(ctx, row.Run, attempt, now)
	var refused *index.RefusedError
	switch {
	case errors.As(err, &refused):
		return nil, nil
	case err != nil:
		return nil, err
	}
	recalled, err := g.submissions.Recall(ctx, g.Tx, row, attempt, incarnation, now)
	if err != nil || !recalled {
		return nil, err
	}
	if _, err := outbox.Withdraw(ctx, g.Tx, run.ID, attempt-1, fmt.Sprintf("attempt %d began", attempt), now); err != nil {
		return nil, err
	}
	run.Attempt, run.Cancel = attempt, nil
	evidence := fmt.Sprintf("The process of attempt %d reported. The database, which was restored, did not have its start.", attempt)
	run, event, err := index.Move(run, job.Event{Kind: job.AttemptStarted}, now, index.ServerClock, evidence)
	if err != nil {
		return nil, fmt.Errorf("begin attempt %d of run %s again: %w", attempt, run.ID, err)
	}
	if event != nil {
		events = append(events, *event)
	}
	view := index.NewState(run.ID, attempt).View // until its journal arrives
	view.Args, view.Command, view.Dir, view.Labels = run.Args, run.Command, run.Dir, run.Labels
	run.Outcome = nil
	row.Run, row.WhenLost = tables.WithAttempt(run, &view), nil
	row.Lease = FirstLease(row.Period)
	row.ReportedAt, row.ExpiresAt = now, now.Add(row.Lease)
	g.DirtyRuns[run.ID] = true
	return events, nil
}

// allowRecall is allowAttempt for an attempt that had its permit in a database that is lost. No attempt gets a permit
// before the one before it has ended or was called lost: where the run shows one as active since before the database was
// restored, its end was lost with that database, and it is called lost now.
func (g *Group) allowRecall(ctx context.Context, run job.Run, attempt int, now time.Time) (job.Run, []job.RunEvent, error) {
	allowed, events, err := allowAttempt(run, attempt, now)
	if !isTooEarly(err) {
		return allowed, events, err
	}
	early := err
	began, err := g.submissions.BeganBeforeRestore(ctx, g.Tx, run.ID, run.Attempt)
	switch {
	case err != nil:
		return run, nil, err
	case !began:
		return run, nil, early
	}
	evidence := fmt.Sprintf("Attempt %d began, so attempt %d has ended or was called lost. The database, which was restored, does not have its end.", attempt, run.Attempt)
	run, event, err := index.Move(run, job.Event{Kind: job.LeaseExpired}, now, index.ServerClock, evidence)
	if err != nil {
		return run, nil, fmt.Errorf("call attempt %d of run %s lost: %w", run.Attempt, run.ID, err)
	}
	return run, []job.RunEvent{*event}, nil
}

// permit applies an append that asks for the permit to start its attempt. Its error is one of the
// database, which ends the group.
func (g *Group) permit(ctx context.Context, a index.Append, key tables.AttemptKey, attempt *tables.AttemptRow) (index.Appended, error) {
	out := index.Appended{Size: attempt.Durable()}
	row := g.Runs[a.Run]
	if g.submissions == nil {
		row = nil
	}
	folded, blocks, err := foldParts(index.NewState(a.Run, a.Attempt), a.Data)
	switch {
	case err != nil:
		out.Err = err
		return out, nil
	case a.Offset != 0 || !folded.State.Known() || folded.Tail+folded.Left > 0:
		out.Err = &index.RefusedError{Why: "the question for the permit to start an attempt must have the journal up to its whole identity, and nothing else"}
		return out, nil
	case row != nil && folded.State.View.Job != row.Run.Job:
		out.Err = &index.RefusedError{Why: fmt.Sprintf("run %s belongs to job %s, not to %s", a.Run, job.Quote(row.Run.Job), job.Quote(folded.State.View.Job))}
		return out, nil
	case row == nil:
		unknown := queue.Ask{}.Answer()
		out.Permit, out.Refusal = &job.Permit{Answer: job.PermitRefused, Why: unknown.Why}, string(unknown.Code)
		return out, nil
	}
	now := db.FromMicros(db.Micros(a.At))
	claim, err := g.claimOf(ctx, a)
	if err != nil {
		return index.Appended{}, err
	}
	grant, token, err := g.submissions.Permit(ctx, g.Tx, row, a.Run, a.Attempt, *a.Permit, claim, out.Size > int64(len(a.Data)), now)
	switch {
	case err != nil:
		return index.Appended{}, err
	case !grant.Granted:
		out.Permit, out.Refusal = &job.Permit{Answer: job.PermitRefused, Why: grant.Why}, string(grant.Code)
		return out, nil
	case grant.First && out.Size > 0:
		return index.Appended{}, fmt.Errorf("attempt %d of run %s has a journal, and had no permit", a.Attempt, a.Run)
	case grant.First:
		attempt.At = a.At
		if out.Run, out.Events, err = g.ApplyAppend(ctx, a, attempt, &folded); err != nil {
			return index.Appended{}, err
		}
		out.Block = folded.Head
		if err := g.StoreAppend(ctx, key, attempt, &folded, blocks); err != nil {
			return index.Appended{}, err
		}
		out.Size = attempt.Durable()
	default:
		if err := g.repeatPermit(ctx, row, attempt, grant, now); err != nil {
			return index.Appended{}, err
		}
		out.Run = row.Run
	}
	out.Permit = &job.Permit{Answer: job.PermitGranted, LeaseMS: g.Runs[a.Run].Lease.Milliseconds(), AttemptToken: token}
	return out, nil
}

// claimOf returns what is stored about a question for a permit.
func (g *Group) claimOf(ctx context.Context, a index.Append) (queue.StoredClaim, error) {
	if claim, known := g.claims[a.Run]; known {
		delete(g.claims, a.Run)
		return claim, nil
	}
	claim, err := g.submissions.ReadClaims(ctx, g.Tx, []index.Append{a})
	if err != nil {
		return queue.StoredClaim{}, err
	}
	return claim[0], nil
}

// loadAsks reads at once what is stored about the questions for permits of the group, and what is usual for their jobs. A run
// of which the group has more is read when it is its turn: what comes before may change it.
func (g *Group) loadAsks(ctx context.Context, appends []index.Append) error {
	if g.submissions == nil {
		return nil
	}
	times := map[string]int{}
	for _, a := range appends {
		times[a.Run]++
	}
	var asks []index.Append
	jobs := map[string]bool{}
	for _, a := range appends {
		if row := g.Runs[a.Run]; a.Permit != nil && row != nil && times[a.Run] == 1 {
			asks = append(asks, a)
			jobs[row.Run.Job] = true
		}
	}
	if len(asks) == 0 {
		return nil
	}
	claim, err := g.submissions.ReadClaims(ctx, g.Tx, asks)
	if err != nil {
		return err
	}
	g.claims = make(map[string]queue.StoredClaim, len(asks))
	for i, a := range asks {
		g.claims[a.Run] = claim[i]
	}
	return g.loadFigures(ctx, slices.Sorted(maps.Keys(jobs)))
}

// repeatPermit renews the lease of an attempt whose process asks for its permit again.
func (g *Group) repeatPermit(ctx context.Context, row *tables.RunRow, attempt *tables.AttemptRow, grant queue.Grant, now time.Time) error {
	row.Lease = max(row.Lease, FirstLease(row.Period))
	row.ReportedAt = db.Latest(row.ReportedAt, now)
	row.ExpiresAt = db.Latest(row.ExpiresAt, now.Add(row.Lease))
	g.DirtyRuns[row.Run.ID] = true
	if !grant.Revives {
		return nil
	}
	if err := g.submissions.AfterReturn(ctx, g.Tx, row.Run.ID); err != nil {
		return err
	}
	row.WhenLost = diagnosisWhenLost(row)
	run, events := revive(row.Run, &attempt.State, now, "Its process asked for the permit to start again.")
	row.Run = tables.WithCut(tables.WithAttempt(run, &attempt.View), attempt.Cut)
	if err := tables.InsertEvents(ctx, g.Tx, events); err != nil {
		return err
	}
	return outbox.EnqueueChange(ctx, g.Tx, row, events, time.Time{}, now)
}

// follow does for a submitted run what follows the append that has changed it. before is the run before
// the append.
func (g *Group) follow(ctx context.Context, before *job.Run, e *effect, ended bool, now time.Time) error {
	run := &e.row.Run
	if !g.isSubmitted(&e.row) {
		return nil
	}
	if ended && run.Submitted.Group != "" {
		if err := g.submissions.AfterLoss(ctx, g.Tx, run.ID); err != nil {
			return err
		}
	}
	if len(e.events) == 0 {
		return nil
	}
	waited := before.State == job.Retrying && !e.begins
	if waited && run.State == job.Lost { // that it was lost is why it waits
		run.State, e.events = job.Retrying, nil
		return nil
	}
	if waited && run.State != job.Retrying || before.State == job.Lost && run.State != job.Lost {
		if err := g.submissions.AfterReturn(ctx, g.Tx, run.ID); err != nil {
			return err
		}
	}
	if !run.State.Terminal() {
		return nil
	}
	event, err := g.submissions.AfterEnd(ctx, g.Tx, &e.row, ended, now)
	if err != nil || event == nil {
		return err
	}
	// The end and what follows are one change, so that nobody is notified of a failure that is tried again.
	last := &e.events[len(e.events)-1]
	if _, err := job.Next(job.State(last.From), job.Event{Kind: job.Ended, State: job.Retrying}, now); err != nil || last.Rule != string(job.Ended) {
		e.events = append(e.events, *event)
		return nil
	}
	last.To, last.Evidence = event.To, last.Evidence+" "+event.Evidence
	return nil
}

// afterReturn does what follows when the attempt of a submitted run reports again that was lost.
func (g *Group) afterReturn(ctx context.Context, row *tables.RunRow) error {
	if !g.isSubmitted(row) {
		return nil
	}
	return g.submissions.AfterReturn(ctx, g.Tx, row.Run.ID)
}
