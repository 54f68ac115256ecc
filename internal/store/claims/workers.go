package claims

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

const (
	// pollsKept is how many answered requests of a worker are remembered.
	pollsKept = 8
	// forgetWorkersAfter is the time after which a worker that does not ask any more is forgotten.
	forgetWorkersAfter = 30 * 24 * time.Hour
)

// workerDoc is what a worker reports that nothing is searched by.
type workerDoc struct {
	Server   string            `json:"server,omitempty"` // the process of the server that wrote the row
	Version  string            `json:"version"`
	Specs    []int             `json:"specs"`
	Slots    int               `json:"slots"`
	Free     int               `json:"free"`
	Labels   map[string]string `json:"labels"`
	Allow    []string          `json:"allow,omitempty"`
	Commands bool              `json:"commands,omitempty"`

	MemoryBytes     int64    `json:"memory_bytes,omitempty"`
	FreeMemoryBytes int64    `json:"free_memory_bytes,omitempty"`
	FreeCPUs        *float64 `json:"free_cpus,omitempty"`
}

// workerRow is a row of workers.
type workerRow struct {
	name, id, host               string
	doc                          workerDoc
	polls                        []string
	firstAt, askedAt, leaseUntil time.Time
	leaving                      bool
	drain                        *job.Drain
}

// drainText says for a person why a worker gets no more runs.
func drainText(d *job.Drain) string {
	text := "drained by " + d.By
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

const workerColumns = `name, id, host, doc, polls, first_at, asked_at, lease_until, leaving, drained_at, drained_by, drained_why, drain_deadline`

func scanWorker(from db.Scanner) (workerRow, error) {
	var w workerRow
	var d job.Drain
	var doc, polls []byte
	var first, asked, lease, leaving int64
	var drained, deadline sql.NullInt64
	err := from.Scan(&w.name, &w.id, &w.host, &doc, &polls, &first, &asked, &lease, &leaving, &drained, &d.By, &d.Reason, &deadline)
	if err != nil {
		return w, err
	}
	if err := errors.Join(json.Unmarshal(doc, &w.doc), json.Unmarshal(polls, &w.polls)); err != nil {
		return w, fmt.Errorf("decode worker %s: %w", job.Quote(w.name), err)
	}
	w.firstAt, w.askedAt, w.leaseUntil, w.leaving = db.FromMicros(first), db.FromMicros(asked), db.FromMicros(lease), leaving == 1
	if drained.Valid {
		d.At, d.StopBy = db.FromMicros(drained.Int64), db.FromNullableMicros(deadline)
		w.drain = &d
	}
	return w, nil
}

// lockWorkers reads the workers of requests, by their names, and locks their rows, in an order that all servers have. It
// leaves out those that are not known.
func lockWorkers(ctx context.Context, t *db.Tx, all []*ask) (map[string]workerRow, error) {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.worker
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: names})
	rows, err := t.QueryContext(ctx, `SELECT `+workerColumns+` FROM workers WHERE name IN (SELECT c0 FROM `+table+`) ORDER BY name`+t.Dialect.Lock, args...)
	if err != nil {
		return nil, fmt.Errorf("read %d workers: %w", len(all), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	known := make(map[string]workerRow, len(all))
	for rows.Next() {
		w, err := scanWorker(rows)
		if err != nil {
			return nil, fmt.Errorf("read %d workers: %w", len(all), err)
		}
		known[w.name] = w
	}
	return known, rows.Err()
}

// docOf returns what a request says.
func (s *Claims) docOf(r job.ClaimRequest) workerDoc {
	return workerDoc{
		Server: s.server, Version: r.Version, Specs: r.Specs, Slots: r.Slots, Free: r.Free, Labels: r.Labels, Allow: r.Allow, Commands: r.Commands,
		MemoryBytes: r.MemoryBytes, FreeMemoryBytes: r.FreeMemoryBytes, FreeCPUs: r.FreeCPUs,
	}
}

// leaseOf returns until when a worker that asks at a time has its name.
func leaseOf(r job.ClaimRequest, now time.Time) time.Time {
	if r.Leaving {
		return now // the next worker may have the name at once
	}
	return queue.WorkerLease(now, job.Milliseconds(r.WaitMS, 0, time.Minute))
}

// arrive records that a worker asks, and returns its row; rows are those that are known, and locked. It writes only if
// something has changed. The error may be *queue.NameTakenError.
func (s *Claims) arrive(ctx context.Context, t *db.Tx, rows map[string]workerRow, name string, r job.ClaimRequest, now time.Time) (workerRow, error) {
	w, known := rows[name]
	if has := s.exact(w); !queue.MayHaveName(has.id, has.leaseUntil, r.WorkerID, now) {
		return w, &queue.NameTakenError{Worker: name, Host: has.host, Until: has.leaseUntil}
	}
	if known && s.isKept(w, r, now) {
		return w, nil
	}
	doc := s.docOf(r)
	text, err := json.Marshal(doc)
	if err != nil {
		return w, fmt.Errorf("encode worker %s: %w", job.Quote(name), err)
	}
	lease := leaseOf(r, now)
	until := lease
	if !r.Leaving {
		until = lease.Add(queue.LeaseAhead)
	}
	query := `UPDATE workers SET id = $2, host = $3, doc = $4, asked_at = $5, lease_until = $6, leaving = $7 WHERE name = $1`
	if !known {
		query = `INSERT INTO workers (name, id, host, doc, asked_at, lease_until, leaving, first_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $5) ON CONFLICT DO NOTHING`
	}
	err = t.Queue(ctx, db.Statement{
		Query: query, What: "store worker " + job.Quote(name), One: true,
		Args: []any{name, r.WorkerID, r.Host, string(text), db.Micros(now), db.Micros(until), db.BoolToInt(r.Leaving)},
	})
	if err != nil {
		return w, err
	}
	t.OnCommit(func() {
		s.leases.set(name, keptLease{id: r.WorkerID, askedAt: now, leaseUntil: lease, written: now, doc: doc})
	})
	w.name, w.id, w.host, w.doc, w.askedAt, w.leaseUntil, w.leaving = name, r.WorkerID, r.Host, doc, now, until, r.Leaving
	return w, nil
}

// equals reports whether a worker says the same again, but for what its host has free.
func (d workerDoc) equals(other workerDoc) bool {
	other.FreeMemoryBytes, other.FreeCPUs = d.FreeMemoryBytes, d.FreeCPUs
	encoded, err := json.Marshal(other)
	own, ownErr := json.Marshal(d)
	return err == nil && ownErr == nil && string(encoded) == string(own)
}

// recordPoll records that a request of a worker was answered with claims.
func (w workerRow) recordPoll(ctx context.Context, t *db.Tx, poll string) error {
	polls := append(w.polls, poll)
	text, err := json.Marshal(polls[max(0, len(polls)-pollsKept):])
	if err != nil {
		return fmt.Errorf("encode the requests of worker %s: %w", job.Quote(w.name), err)
	}
	return t.Queue(ctx, db.Statement{
		Query: `UPDATE workers SET polls = $2 WHERE name = $1`, Args: []any{w.name, string(text)}, What: "store the request of worker " + job.Quote(w.name),
	})
}

func noWorker(name string) error { return &query.NotFoundError{What: "worker " + job.Quote(name)} }

// DrainWorker gives a worker no more runs, and takes its claims that have no permit back. Its attempts go
// on; with a deadline they are asked to stop then. Draining again changes reason and deadline. The error
// is *query.NotFoundError for an unknown worker.
func (s *Claims) DrainWorker(ctx context.Context, name string, d job.Drain) error {
	d.By, d.Reason = index.CleanText(d.By, 200), index.CleanText(d.Reason, 1000)
	err := s.changeWorker(ctx, name, `UPDATE workers SET drained_at = $2, drained_by = $3, drained_why = $4, drain_deadline = $5 WHERE name = $1`,
		name, db.Micros(d.At), d.By, d.Reason, db.NullableMicros(d.StopBy))
	if err != nil {
		return err
	}
	// From here on the worker gets no claims.
	ids, err := s.ReadTexts(ctx, `SELECT id FROM claims WHERE worker = $1 ORDER BY run_id`, name)
	if err != nil {
		return fmt.Errorf("read the claims of worker %s: %w", job.Quote(name), err)
	}
	for _, id := range ids {
		if _, err := s.end(ctx, ending{claim: id, reason: "it is " + drainText(&d), withdrawn: true, uncounted: true}); err != nil {
			return err
		}
	}
	return nil
}

// ResumeWorker ends the drain of a worker.
func (s *Claims) ResumeWorker(ctx context.Context, name string) error {
	return s.changeWorker(ctx, name, `UPDATE workers SET drained_at = NULL, drained_by = '', drained_why = '', drain_deadline = NULL WHERE name = $1`, name)
}

func (s *Claims) changeWorker(ctx context.Context, name, query string, args ...any) error {
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		res, err := t.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, noWorker(name))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("change worker %s: %w", job.Quote(name), err)
	}
	return nil
}

// forgetWorkers deletes workers that have not asked for a long time.
func (s *Claims) forgetWorkers(ctx context.Context, now time.Time) error {
	return s.Expire(ctx, db.ExpiryRule{Table: "workers", Key: "name", At: "asked_at", After: forgetWorkersAfter, Batch: 100}, now)
}

// liveWorkers caches the workers that live, because each request of a worker needs all of them.
type liveWorkers struct {
	mu   sync.Mutex
	read time.Time
	all  map[string]queue.Worker
}

// liveWorkersAge is how old the cache may be.
const liveWorkersAge = time.Second

// othersOf returns the workers besides one that live and are not drained.
func (s *Claims) othersOf(ctx context.Context, t *db.Tx, name string, now time.Time) (others []queue.Worker, err error) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	if age := now.Sub(s.live.read); age < 0 || age > liveWorkersAge {
		if s.live.all, err = s.readLive(ctx, t, now); err != nil {
			return nil, err
		}
		s.live.read = now
	}
	for other, w := range s.live.all {
		if other != name {
			others = append(others, w)
		}
	}
	return others, nil
}

// KnownWorkers returns the workers that live or have lived.
func (s *Claims) KnownWorkers(ctx context.Context) (all []queue.KnownWorker, err error) {
	known, err := s.readWorkers(ctx, s.Reader, "")
	for _, w := range known {
		all = append(all, queue.KnownWorker{Worker: w.asWorker(), LeaseEnd: w.leaseUntil, Drained: w.drain != nil})
	}
	return all, err
}

func (w workerRow) asWorker() queue.Worker {
	d := w.doc
	return queue.Worker{Host: w.host, Labels: d.Labels, Allow: d.Allow, Commands: d.Commands, Specs: d.Specs, Memory: d.MemoryBytes, Slots: d.Slots, Free: d.Free}
}

func (s *Claims) readLive(ctx context.Context, from db.Querier, now time.Time) (map[string]queue.Worker, error) {
	rows, err := s.readWorkers(ctx, from, ` WHERE lease_until > $1 AND lease_until <= $2 AND drained_at IS NULL AND leaving = 0`,
		db.Micros(now), db.Micros(queue.LatestLeaseEnd(now)))
	all := map[string]queue.Worker{}
	for _, w := range rows {
		if now.Before(w.leaseUntil) {
			all[w.name] = w.asWorker()
		}
	}
	return all, err
}

// readWorkers reads workers, with what is only in memory. which is the end of the query, with its arguments.
func (s *Claims) readWorkers(ctx context.Context, from db.Querier, which string, args ...any) (all []workerRow, err error) {
	rows, err := from.QueryContext(ctx, `SELECT `+workerColumns+` FROM workers`+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read workers: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		w, err := scanWorker(rows)
		if err != nil {
			return nil, fmt.Errorf("read workers: %w", err)
		}
		all = append(all, s.exact(w))
	}
	return all, rows.Err()
}
