package claims

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
)

// Claim answers one request of a worker for runs, and does not wait for any. The same request again has
// the same answer while its claims last. It extends the claims that the worker names as starting. The
// error is *job.InvalidError, *queue.NameTakenError or one of the database.
func (s *Claims) Claim(ctx context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error) {
	if err := queue.CheckClaim(worker, r); err != nil {
		return job.ClaimReply{}, err
	}
	if reply, done, err := s.idle(ctx, worker, r); err != nil || done {
		return reply, err
	}
	var reply job.ClaimReply
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		now := db.FromMicros(db.Micros(s.Now()))
		w, err := s.arrive(ctx, t, worker, r, now)
		if err != nil {
			return err
		}
		reply = s.replyTo(w, r, now)
		if err := extend(ctx, t, worker, r.Starting, now); err != nil {
			return err
		}
		if slices.Contains(w.polls, r.ClaimID) {
			reply.Claims, err = s.repeat(ctx, t, worker, r.ClaimID, now)
			return err
		}
		if s.relaxed || r.Leaving || w.drain != nil || !s.CopiedAt().IsZero() {
			return nil
		}
		reply.Claims, err = s.give(ctx, t, w, r, now)
		return err
	})
	if err != nil {
		return job.ClaimReply{}, fmt.Errorf("give runs to worker %s: %w", job.Quote(worker), err)
	}
	return reply, nil
}

// replyTo returns the answer to a request of a worker without claims.
func (s *Claims) replyTo(w workerRow, r job.ClaimRequest, now time.Time) job.ClaimReply {
	reply := job.ClaimReply{ClaimID: r.ClaimID, Worker: w.name, Server: s.Installation(), Claims: []job.Claim{}, Now: now}
	if d := w.drain; d != nil {
		reply.Draining, reply.StopBy = drainText(d), d.StopBy
	}
	return reply
}

// extend makes the claims of a worker whose agents live last longer.
func extend(ctx context.Context, t *db.Tx, worker string, starting []string, now time.Time) error {
	if len(starting) == 0 {
		return nil
	}
	table, args := t.Dialect.Table(3, db.Column{Texts: starting})
	_, err := t.ExecContext(ctx, `UPDATE claims SET until = $1 WHERE worker = $2 AND id IN (SELECT c0 FROM `+table+`)`,
		append([]any{db.Micros(now.Add(queue.ClaimTime)), worker}, args...)...)
	if err != nil {
		return fmt.Errorf("extend claims: %w", err)
	}
	return nil
}

// repeat returns the claims that a request of a worker was answered with, and that last.
func (s *Claims) repeat(ctx context.Context, t *db.Tx, worker, poll string, now time.Time) ([]job.Claim, error) {
	rows, err := t.QueryContext(ctx, `SELECT id, until, doc FROM claims WHERE worker = $1 AND poll = $2 ORDER BY id`, worker, poll)
	if err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	claims := []job.Claim{}
	for rows.Next() {
		var id string
		var until int64
		var doc []byte
		if err := rows.Scan(&id, &until, &doc); err != nil {
			return nil, fmt.Errorf("read claims: %w", err)
		}
		var c job.Claim
		if err := json.Unmarshal(doc, &c); err != nil {
			return nil, fmt.Errorf("decode claim %s: %w", id, err)
		}
		left := db.FromMicros(until).Sub(now)
		if left <= 0 {
			continue
		}
		c.Token, c.LeftMS = access.ClaimToken(s.key, id), left.Milliseconds()
		claims = append(claims, c)
	}
	return claims, rows.Err()
}

// give takes runs from the queue for a worker that has room.
func (s *Claims) give(ctx context.Context, t *db.Tx, w workerRow, r job.ClaimRequest, now time.Time) ([]job.Claim, error) {
	has, err := countWork(ctx, t, w.name)
	if err != nil {
		return nil, err
	}
	claims := []job.Claim{}
	room := queue.Room(r.Slots, r.Free, has)
	if room == 0 {
		return claims, nil
	}
	withheld, err := withheldWork(ctx, t, w.name, now)
	if err != nil {
		return nil, err
	}
	others, err := s.othersOf(ctx, t, w.name, now)
	if err != nil {
		return nil, err
	}
	taken, err := storequeue.Take(ctx, t, storequeue.Want{
		Poll: r.ClaimID, N: min(room, queue.MostClaims), Others: others, Withheld: withheld,
		Worker: queue.Worker{Host: r.Host, Labels: r.Labels, Allow: r.Allow, Commands: r.Commands, Specs: r.Specs, Memory: r.MemoryBytes, Slots: r.Slots, Free: r.Free},
	})
	if err != nil || len(taken) == 0 {
		return claims, err
	}
	for _, one := range taken {
		c, err := s.insert(ctx, t, w.name, r.ClaimID, one, now)
		if err != nil {
			return nil, err
		}
		claims = append(claims, c)
	}
	return claims, w.recordPoll(ctx, t, r.ClaimID)
}

// insert stores the claim of a run, and returns it with its token.
func (s *Claims) insert(ctx context.Context, t *db.Tx, worker, poll string, one storequeue.Entry, now time.Time) (job.Claim, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return job.Claim{}, fmt.Errorf("make the id of a claim: %w", err)
	}
	c := job.Claim{
		Claim: id.String(), Run: one.Run, Attempt: one.Attempt, Job: one.Job, Definition: one.Definition,
		Parameters: one.Parameters, Spec: one.Spec,
	}
	doc, err := json.Marshal(c)
	if err != nil {
		return job.Claim{}, fmt.Errorf("encode the claim of run %s: %w", one.Run, err)
	}
	avoided, err := json.Marshal(one.Avoid)
	if err != nil {
		return job.Claim{}, fmt.Errorf("encode the claim of run %s: %w", one.Run, err)
	}
	err = t.Queue(ctx, db.Statement{
		Query: `INSERT INTO claims (id, run_id, attempt, worker, poll, work, given_at, until, avoided, doc)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		Args: []any{c.Claim, one.Run, one.Attempt, worker, poll, queue.WorkOf(one.Definition, one.Job), db.Micros(now), db.Micros(now.Add(queue.ClaimTime)), string(avoided), string(doc)},
		What: "store the claim of run " + one.Run, One: true,
	})
	if err != nil {
		return job.Claim{}, err
	}
	c.Token, c.LeftMS = access.ClaimToken(s.key, c.Claim), queue.ClaimTime.Milliseconds()
	return c, nil
}

// countWork returns how many claims and active attempts a worker has.
func countWork(ctx context.Context, t *db.Tx, worker string) (int, error) {
	var n int
	err := t.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM claims WHERE worker = $1)
		+ (SELECT COUNT(*) FROM permits p JOIN runs r ON r.id = p.run_id AND r.attempt = p.attempt WHERE p.worker = $1 AND p.active = 1 AND r.leased = 1)`, worker).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the runs of worker %s: %w", job.Quote(worker), err)
	}
	return n, nil
}
