package claims

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// permitRow is a row of permits.
type permitRow struct {
	incarnation, claim, worker string
	memory                     int64
	avoided                    []string
}

// readPermit reads the permit of an attempt; zero if there is none.
func readPermit(ctx context.Context, t *db.Tx, run string, attempt int) (permitRow, error) {
	var p permitRow
	var avoided []byte
	err := t.ReadRow(ctx, `SELECT incarnation, claim, worker, memory, avoided FROM permits WHERE run_id = $1 AND attempt = $2`, []any{run, attempt},
		&p.incarnation, &p.claim, &p.worker, &p.memory, &avoided)
	if errors.Is(err, sql.ErrNoRows) {
		return permitRow{}, nil
	}
	if err == nil {
		err = json.Unmarshal(avoided, &p.avoided)
	}
	if err != nil {
		return permitRow{}, fmt.Errorf("read the permit of attempt %d of run %s: %w", attempt, run, err)
	}
	return p, nil
}

// PermitOf returns the incarnation of the process that has the permit to start an attempt; empty if none has.
func (s *Claims) PermitOf(ctx context.Context, t *db.Tx, run string, attempt int) (incarnation string, err error) {
	p, err := readPermit(ctx, t, run, attempt)
	return p.incarnation, err
}

// Permit answers a process that asks to start an attempt of a run. The transaction has locked the run,
// and row is nil if there is none. begun says that the journal of the attempt has more than what the
// process sends. If the answer is a first grant, it takes the claim, the run's place in the queue, and
// stores the permit; the caller stores the beginning of the journal and the change of the run in the same
// transaction. token is the token of the attempt if it is granted.
func (s *Claims) Permit(ctx context.Context, t *db.Tx, row *tables.RunRow, run string, attempt int, p index.PermitRequest, begun bool, now time.Time) (g queue.Grant, token string, err error) {
	a := queue.Ask{Attempt: attempt, Incarnation: p.Incarnation, Begun: begun}
	claim, signed := access.ClaimOf(s.key, p.Claim)
	if !s.CopiedAt().IsZero() {
		return queue.Grant{Code: queue.OnCopy, Why: "the server works with a restored copy of its database, which starts nothing"}, "", nil
	}
	if row == nil || row.Run.Submitted == nil || !signed {
		a.Submitted = row != nil && row.Run.Submitted != nil
		a.State = job.Queued
		a.Latest = attempt - 1
		return a.Answer(), "", nil
	}
	a.Submitted, a.State, a.Latest = true, row.Run.State, row.Run.Attempt
	if row.Run.Cancel != nil {
		a.CanceledBy = row.Run.Cancel.By
	}
	c, err := readClaim(ctx, t, claim, run, attempt)
	if err != nil {
		return queue.Grant{}, "", err
	}
	switch {
	case c.permitted == "":
	case c.permittedBy == claim:
		a.Permitted = c.permitted
	default:
		a.OtherClaim = true
	}
	a.Claimed = c.run == run && c.attempt == attempt
	if g = a.Answer(); !g.Granted {
		return g, "", nil
	}
	if g.First && s.relaxed { // the claim is one of a server before
		return queue.Grant{Code: queue.NotDurable, Why: "the server works with relaxed durability: a permit that it gives could be lost at a power cut, and be given again"}, "", nil
	}
	if g.First {
		if err := s.grant(ctx, t, row, c, p.Incarnation, now); err != nil {
			return queue.Grant{}, "", err
		}
	}
	return g, access.AttemptToken(s.key, run, attempt, p.Incarnation), nil
}

// heldClaim is a claim with what the permit takes over from it, and the permit that the attempt has.
type heldClaim struct {
	claimRow
	avoided, host string
	memory        int64

	permitted, permittedBy string // the incarnation and the claim of the permit; empty for none
}

// readClaim reads a claim, whose run is empty if it has ended, and the permit of an attempt.
func readClaim(ctx context.Context, t *db.Tx, id, run string, attempt int) (c heldClaim, err error) {
	var doc []byte
	err = t.ReadRow(ctx, `SELECT COALESCE(p.incarnation, ''), COALESCE(p.claim, ''), COALESCE(c.id, ''), COALESCE(c.run_id, ''), COALESCE(c.worker, ''), COALESCE(c.work, ''),
		COALESCE(c.attempt, 0), COALESCE(c.avoided, ''), c.doc, COALESCE((SELECT host FROM workers w WHERE w.name = c.worker), '')
		FROM (SELECT 1 AS one) AS one LEFT JOIN permits p ON p.run_id = $1 AND p.attempt = $2 LEFT JOIN claims c ON c.id = $3`, []any{run, attempt, id},
		&c.permitted, &c.permittedBy, &c.id, &c.run, &c.worker, &c.work, &c.attempt, &c.avoided, &doc, &c.host)
	var claim job.Claim
	if err == nil && len(doc) > 0 {
		err = json.Unmarshal(doc, &claim)
	}
	if err != nil {
		return heldClaim{}, fmt.Errorf("read claim %s: %w", id, err)
	}
	c.memory = claim.Spec.MemoryBytes
	return c, nil
}

// grant turns a claim into a permit. That both exist once in the database makes sure that no other
// process gets either: a transaction that loses is run again, and finds the permit.
func (s *Claims) grant(ctx context.Context, t *db.Tx, row *tables.RunRow, c heldClaim, incarnation string, now time.Time) error {
	what := fmt.Sprintf("store the permit of attempt %d of run %s", c.attempt, c.run)
	statements := []db.Statement{
		{Query: `DELETE FROM claims WHERE id = $1`, Args: []any{c.id}, What: what, One: true},
		{
			Query: `INSERT INTO permits (run_id, attempt, incarnation, claim, worker, host, at, memory, avoided)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`, What: what, One: true,
			Args: []any{c.run, c.attempt, incarnation, c.id, c.worker, c.host, db.Micros(now), c.memory, c.avoided},
		},
	}
	if c.attempt > 1 {
		statements = append(statements, db.Statement{Query: `UPDATE permits SET active = 0 WHERE run_id = $1 AND attempt < $2`, Args: []any{c.run, c.attempt}, What: what})
	}
	for _, l := range statements {
		if err := t.Queue(ctx, l); err != nil {
			return err
		}
	}
	submitted := *row.Run.Submitted
	submitted.Worker = c.worker
	row.Run.Submitted = &submitted
	return storequeue.Leave(ctx, t, c.run)
}
