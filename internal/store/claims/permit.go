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
// and row is nil if there is none. claim is what ReadClaims returned for it. begun says that the journal of the
// attempt has more than what the
// process sends. If the answer is a first grant, it takes the claim, the run's place in the queue, and
// stores the permit; the caller stores the beginning of the journal and the change of the run in the same
// transaction. token is the token of the attempt if it is granted.
func (s *Claims) Permit(ctx context.Context, t *db.Tx, row *tables.RunRow, run string, attempt int, p index.PermitRequest, claim queue.StoredClaim, begun bool, now time.Time) (g queue.Grant, token string, err error) {
	a := queue.Ask{Attempt: attempt, Incarnation: p.Incarnation, Begun: begun}
	_, signed := access.ClaimOf(s.key, p.Claim)
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
	switch {
	case claim.Permitted == "":
	case claim.PermittedBy == claim.Claim:
		a.Permitted = claim.Permitted
	default:
		a.OtherClaim = true
	}
	a.Claimed = claim.Run == run && claim.Attempt == attempt
	if g = a.Answer(); !g.Granted {
		return g, "", nil
	}
	if g.First && s.relaxed { // the claim is one of a server before
		return queue.Grant{Code: queue.NotDurable, Why: "the server works with relaxed durability: a permit that it gives could be lost at a power cut, and be given again"}, "", nil
	}
	if g.First {
		if err := s.grant(ctx, t, row, claim, p.Incarnation, now); err != nil {
			return queue.Grant{}, "", err
		}
	}
	return g, access.AttemptToken(s.key, run, attempt, p.Incarnation), nil
}

// ReadClaims returns what is stored about questions for permits, in their order. The transaction has locked the runs, and
// changes nothing of them before they are answered.
func (s *Claims) ReadClaims(ctx context.Context, t *db.Tx, asks []index.Append) ([]queue.StoredClaim, error) {
	all, n := make([]queue.StoredClaim, len(asks)), len(asks)
	runs, claims, attempts, places := make([]string, n), make([]string, n), make([]int64, n), make([]int64, n)
	for i, a := range asks {
		all[i].Claim, _ = access.ClaimOf(s.key, a.Permit.Claim) // none that is not signed
		runs[i], attempts[i], claims[i], places[i] = a.Run, int64(a.Attempt), all[i].Claim, int64(i)
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: runs}, db.Column{Numbers: attempts}, db.Column{Texts: claims}, db.Column{Numbers: places})
	rows, err := t.QueryContext(ctx, `SELECT v.c3, COALESCE(p.incarnation, ''), COALESCE(p.claim, ''), COALESCE(c.run_id, ''), COALESCE(c.worker, ''),
		COALESCE(c.attempt, 0), COALESCE(c.avoided, ''), c.doc, COALESCE((SELECT host FROM workers w WHERE w.name = c.worker), '')
		FROM `+table+` LEFT JOIN permits p ON p.run_id = v.c0 AND p.attempt = v.c1 LEFT JOIN claims c ON c.id = v.c2`, args...)
	if err != nil {
		return nil, fmt.Errorf("read %d claims: %w", n, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var at int
		var h queue.StoredClaim
		var doc []byte
		if err := rows.Scan(&at, &h.Permitted, &h.PermittedBy, &h.Run, &h.Worker, &h.Attempt, &h.Avoided, &doc, &h.Host); err != nil {
			return nil, fmt.Errorf("read %d claims: %w", n, err)
		}
		if h.Memory, err = memoryOf(doc); err != nil {
			return nil, fmt.Errorf("read claim %s: %w", all[at].Claim, err)
		}
		h.Claim = all[at].Claim
		all[at] = h
	}
	return all, rows.Err()
}

// memoryOf returns the limit of memory of a claim, whose document is empty if it has ended.
func memoryOf(doc []byte) (int64, error) {
	var claim job.Claim
	if len(doc) == 0 {
		return 0, nil
	}
	err := json.Unmarshal(doc, &claim)
	return claim.Spec.MemoryBytes, err
}

// grant turns a claim into a permit. That both exist once in the database makes sure that no other
// process gets either: a transaction that loses is run again, and finds the permit.
func (s *Claims) grant(ctx context.Context, t *db.Tx, row *tables.RunRow, h queue.StoredClaim, incarnation string, now time.Time) error {
	what := fmt.Sprintf("store the permit of attempt %d of run %s", h.Attempt, h.Run)
	statements := []db.Statement{
		{Query: `DELETE FROM claims WHERE id = $1`, Args: []any{h.Claim}, What: what, One: true},
		{
			Query: `INSERT INTO permits (run_id, attempt, incarnation, claim, worker, host, at, memory, avoided)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`, What: what, One: true,
			Args: []any{h.Run, h.Attempt, incarnation, h.Claim, h.Worker, h.Host, db.Micros(now), h.Memory, h.Avoided},
		},
	}
	if h.Attempt > 1 {
		statements = append(statements, db.Statement{Query: `UPDATE permits SET active = 0 WHERE run_id = $1 AND attempt < $2`, Args: []any{h.Run, h.Attempt}, What: what})
	}
	for _, l := range statements {
		if err := t.Queue(ctx, l); err != nil {
			return err
		}
	}
	submitted := *row.Run.Submitted
	submitted.Worker = h.Worker
	row.Run.Submitted = &submitted
	return storequeue.Leave(ctx, t, h.Run)
}
