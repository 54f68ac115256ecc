package claims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/assign"
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
	reply, err := s.asks.answer(ctx, worker, r, s.answerAll)
	if err != nil {
		return job.ClaimReply{}, fmt.Errorf("give runs to worker %s: %w", job.Quote(worker), err)
	}
	return reply, nil
}

// answerAll answers requests of workers in one transaction. When that fails, one of them may be the cause, so each is tried
// alone.
func (s *Claims) answerAll(ctx context.Context, all []*ask) {
	err := s.answerTogether(ctx, all)
	if err == nil {
		return
	}
	for _, one := range all {
		if len(all) > 1 {
			err = s.answerTogether(ctx, []*ask{one})
		}
		if err != nil {
			one.err = err
		}
	}
}

// answerTogether answers requests of workers in one transaction: what each of them gets may be an error.
func (s *Claims) answerTogether(ctx context.Context, all []*ask) error {
	return s.Write(ctx, db.None, func(t *db.Tx) error {
		now := db.FromMicros(db.Micros(s.Now()))
		known, err := lockWorkers(ctx, t, all)
		if err != nil {
			return err
		}
		var give []*asking
		for _, one := range all {
			one.reply = job.ClaimReply{}
			var w workerRow
			if w, one.err = s.arrive(ctx, t, known, one.worker, one.r, now); one.err != nil {
				var taken *queue.NameTakenError
				if errors.As(one.err, &taken) {
					continue
				}
				return one.err
			}
			one.reply = s.replyTo(w, one.r, now)
			if err := extend(ctx, t, one.worker, one.r.Starting, now); err != nil {
				return err
			}
			switch {
			case slices.Contains(w.polls, one.r.ClaimID):
				if one.reply.Claims, err = s.repeat(ctx, t, one.worker, one.r.ClaimID, now); err != nil {
					return err
				}
			case s.relaxed || one.r.Leaving || w.drain != nil || !s.CopiedAt().IsZero():
			default:
				give = append(give, &asking{one, w})
			}
		}
		return s.give(ctx, t, give, now)
	})
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

// asking is a request that may be answered with runs, and its worker.
type asking struct {
	*ask
	w workerRow
}

// give takes runs from the queue for workers that have room.
func (s *Claims) give(ctx context.Context, t *db.Tx, all []*asking, now time.Time) error {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.worker
	}
	has, err := countWork(ctx, t, names)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(one *asking) bool { return queue.Room(one.r.Slots, one.r.Free, has[one.worker]) == 0 })
	if len(all) == 0 {
		return nil
	}
	withheld, err := withheldWork(ctx, t, names, now)
	if err != nil {
		return err
	}
	wants := make([]assign.Want, len(all))
	for i, one := range all {
		others, err := s.othersOf(ctx, t, one.worker, now)
		if err != nil {
			return err
		}
		r := one.r
		wants[i] = assign.Want{
			Poll: r.ClaimID, N: min(queue.Room(r.Slots, r.Free, has[one.worker]), queue.MostClaims), Others: others, Withheld: withheld[one.worker],
			Worker: queue.Worker{Host: r.Host, Labels: r.Labels, Allow: r.Allow, Commands: r.Commands, Specs: r.Specs, Memory: r.MemoryBytes, Slots: r.Slots, Free: r.Free},
		}
	}
	assigned, err := assign.Runs(ctx, t, wants...)
	if err != nil {
		return err
	}
	for i, one := range all {
		for _, entry := range assigned[i] {
			c, err := s.insert(ctx, t, one.worker, one.r.ClaimID, entry, now)
			if err != nil {
				return err
			}
			one.reply.Claims = append(one.reply.Claims, c)
		}
		if len(assigned[i]) == 0 {
			continue
		}
		if err := one.w.recordPoll(ctx, t, one.r.ClaimID); err != nil {
			return err
		}
	}
	return nil
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

// countWork returns how many claims and active attempts workers have, by their names.
func countWork(ctx context.Context, t *db.Tx, names []string) (map[string]int, error) {
	has := make(map[string]int, len(names))
	if len(names) == 0 {
		return has, nil
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: names})
	rows, err := t.QueryContext(ctx, `SELECT v.c0, (SELECT COUNT(*) FROM claims WHERE worker = v.c0)
		+ (SELECT COUNT(*) FROM permits p JOIN runs r ON r.id = p.run_id AND r.attempt = p.attempt WHERE p.worker = v.c0 AND p.active = 1 AND r.leased = 1) FROM `+table, args...)
	if err != nil {
		return nil, fmt.Errorf("count the runs of workers: %w", err)
	}
	return scanCounts(rows)
}
