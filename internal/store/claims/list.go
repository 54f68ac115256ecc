package claims

import (
	"context"
	"database/sql"
	"fmt"

	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// ListWorkers returns all workers that are known, in the order of their names.
func (s *Claims) ListWorkers(ctx context.Context) ([]job.WorkerInfo, error) {
	claimed, active, err := s.countAll(ctx)
	if err != nil {
		return nil, err
	}
	now, all := s.Now(), []job.WorkerInfo{}
	withheld, err := readWithheld(ctx, s.Reader, now, endsOfAll)
	if err != nil {
		return nil, err
	}
	rows, err := s.readWorkers(ctx, s.Reader, ` ORDER BY name`)
	if err != nil {
		return nil, err
	}
	for _, w := range rows {
		d := w.doc
		info := job.WorkerInfo{
			Name: w.name, Host: w.host, Version: d.Version, Labels: d.Labels, Allow: d.Allow, Commands: d.Commands, Slots: d.Slots,
			Claimed: claimed[w.name], Active: active[w.name], FirstAt: w.firstAt, LastAt: w.askedAt,
			Live: !w.leaving && now.Before(w.leaseUntil), Drain: w.drain, Withheld: shownWithheld(withheld[w.name]),
			FreeCPUs: d.FreeCPUs,
		}
		if info.Labels == nil {
			info.Labels = map[string]string{}
		}
		if d.FreeMemoryBytes > 0 {
			info.FreeMemoryBytes = &d.FreeMemoryBytes
		}
		all = append(all, info)
	}
	return all, nil
}

// LiveWorkers returns the workers that live and are not drained, with the slots that they have free by what
// the server knows.
func (s *Claims) LiveWorkers(ctx context.Context) ([]queue.Worker, error) {
	claimed, active, err := s.countAll(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	live, err := s.readLive(ctx, s.Reader, now)
	if err != nil {
		return nil, err
	}
	withheld, err := readWithheld(ctx, s.Reader, now, endsOfAll)
	if err != nil {
		return nil, err
	}
	all := make([]queue.Worker, 0, len(live))
	for name, w := range live {
		w.Withheld = withheld[name]
		w.Free = queue.Room(w.Slots, w.Slots, claimed[name]+active[name])
		all = append(all, w)
	}
	return all, nil
}

// countAll returns the claims and the active attempts of all workers, by their names.
func (s *Claims) countAll(ctx context.Context) (claimed, active map[string]int, err error) {
	if claimed, err = s.countBy(ctx, `SELECT worker, COUNT(*) FROM claims GROUP BY worker`); err != nil {
		return nil, nil, err
	}
	active, err = s.countBy(ctx, `SELECT p.worker, COUNT(*) FROM permits p JOIN runs r ON r.id = p.run_id AND r.attempt = p.attempt
		WHERE p.active = 1 AND r.leased = 1 GROUP BY p.worker`)
	return claimed, active, err
}

// countBy runs a query whose rows are a name and a number.
func (s *Claims) countBy(ctx context.Context, query string) (map[string]int, error) {
	rows, err := s.Reader.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("count the runs of workers: %w", err)
	}
	return scanCounts(rows)
}

// scanCounts reads rows that are a name and a number, and closes them.
func scanCounts(rows *sql.Rows) (map[string]int, error) {
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	counts := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			return nil, fmt.Errorf("count the runs of workers: %w", err)
		}
		counts[name] = n
	}
	return counts, rows.Err()
}
