package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/band"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// explainer reads what runs wait for. It reads what several have in common once.
type explainer struct {
	*Queue
	groups    map[string]*rules.Group
	selectors map[int64]rules.Selector
	usual     map[string]time.Duration
	workers   []rules.Worker
	asked     bool
}

func (s *Queue) explainer() *explainer {
	return &explainer{Queue: s, groups: map[string]*rules.Group{}, selectors: map[int64]rules.Selector{}, usual: map[string]time.Duration{}}
}

// UseWorkers sets what returns the workers that live, for explanations.
func (s *Queue) UseWorkers(live func(ctx context.Context) ([]rules.Worker, error)) { s.workers = live }

// facts reads what a run waits for.
func (x *explainer) facts(ctx context.Context, w waitingRow) (f rules.Facts, err error) {
	f.Held, f.NotBefore = w.held, db.FromNullableMicros(w.notBefore)
	if f.After, err = x.needs(ctx, w.run); err != nil {
		return f, err
	}
	if f.Paused, err = x.pause(ctx, w); err != nil {
		return f, err
	}
	if f.Group, err = x.group(ctx, w.group); err != nil {
		return f, err
	}
	if f.Usual, err = x.usualOf(ctx, w.job); err != nil {
		return f, err
	}
	if f.Selector, err = x.selectorOf(ctx, w.selector); err != nil {
		return f, err
	}
	if f.Ahead, err = x.ahead(ctx, w); err != nil {
		return f, err
	}
	f.Supply, err = x.supply(ctx, f.Selector, w)
	return f, err
}

// mostAhead is up to how many runs are counted that come first.
const mostAhead = 1000

// ahead counts the runs that come before one: those that are ready, and of a group that is full those that
// wait for a place.
func (x *explainer) ahead(ctx context.Context, w waitingRow) (n int64, err error) {
	statement := `SELECT COUNT(*) FROM (SELECT 1 FROM queue_ready WHERE selector = $1 AND (rank, run_id) < (CAST($2 AS BIGINT), $3) LIMIT $4) AS before`
	args := []any{w.selector, w.rank, w.run, mostAhead}
	switch w.gate {
	case ready:
	case string(rules.Full):
		statement = `SELECT COUNT(*) FROM (SELECT 1 FROM queue_entries WHERE gate = 'group' AND selector = $1 AND (rank, run_id) < (CAST($2 AS BIGINT), $3) AND group_name = $5 LIMIT $4) AS before`
		args = append(args, w.group)
	default:
		return 0, nil
	}
	if err := x.Reader.QueryRowContext(ctx, statement, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count what comes before run %s: %w", w.run, err)
	}
	return n, nil
}

// supply counts the workers for a run; nil if they are not known.
func (x *explainer) supply(ctx context.Context, s rules.Selector, w waitingRow) (*rules.Supply, error) {
	if x.Queue.workers == nil {
		return nil, nil
	}
	if !x.asked {
		all, err := x.Queue.workers(ctx)
		if err != nil {
			return nil, err
		}
		x.workers, x.asked = all, true
	}
	n := rules.SupplyFor(x.workers, s, w.job, rules.WorkOf(w.definition, w.job))
	return &n, nil
}

func (x *explainer) pause(ctx context.Context, w waitingRow) (*rules.Pause, error) {
	if w.definition == "" {
		return nil, nil
	}
	var p rules.Pause
	err := x.Reader.QueryRowContext(ctx, `SELECT paused_by, paused_why FROM definitions WHERE job = $1 AND paused_at IS NOT NULL`, w.job).Scan(&p.By, &p.Why)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether job %s is paused: %w", job.Quote(w.job), err)
	}
	return &p, nil
}

// needs returns the runs that one waits for.
func (x *explainer) needs(ctx context.Context, run string) ([]rules.Needed, error) {
	return x.readNeeded(ctx, `SELECT COALESCE(r.job, ''), COALESCE(r.number, 0), COALESCE(r.state, ''), a.how, r.started_at, NULL
		FROM queue_after a LEFT JOIN runs r ON r.id = a.needs WHERE a.run_id = $1 ORDER BY a.needs`, run)
}

// mostHolders is how many runs an explanation names that have the places of a group.
const mostHolders = 3

// group reads the limit and the use of a group; nil for one without a limit.
func (x *explainer) group(ctx context.Context, name string) (*rules.Group, error) {
	if name == "" {
		return nil, nil
	}
	if g, known := x.groups[name]; known {
		return g, nil
	}
	g := &rules.Group{Name: name}
	err := x.Reader.QueryRowContext(ctx, `SELECT run_limit, (SELECT COUNT(*) FROM queue_places WHERE group_name = $1) FROM queue_groups WHERE name = $1`, name).Scan(&g.Limit, &g.Active)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		g = nil
	case err != nil:
		return nil, fmt.Errorf("read group %s: %w", job.Quote(name), err)
	default:
		if g.Holders, err = x.readNeeded(ctx, `SELECT r.job, r.number, r.state, '', r.started_at, p.until FROM queue_places p JOIN runs r ON r.id = p.run_id
			WHERE p.group_name = $1 ORDER BY p.taken_at, p.run_id LIMIT $2`, name, mostHolders); err != nil {
			return nil, err
		}
	}
	x.groups[name] = g
	return g, nil
}

func (x *explainer) readNeeded(ctx context.Context, statement string, args ...any) (all []rules.Needed, err error) {
	var started, held []sql.NullInt64
	var jobs []string
	err = func() error {
		rows, err := x.Reader.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // rows.Err below reports any error
		for rows.Next() {
			var n rules.Needed
			var at, until sql.NullInt64
			var name string
			var number int64
			if err := rows.Scan(&name, &number, &n.State, &n.When, &at, &until); err != nil {
				return err
			}
			n.Name = fmt.Sprintf("%s#%d", name, number)
			all, started, held, jobs = append(all, n), append(started, at), append(held, until), append(jobs, name)
		}
		return rows.Err()
	}()
	if err != nil {
		return nil, fmt.Errorf("read the runs that others wait for: %w", err)
	}
	for i := range all {
		usual, err := x.usualOf(ctx, jobs[i])
		if err != nil {
			return nil, err
		}
		all[i].EndsAbout, all[i].HeldUntil = endsAbout(started[i], usual), db.FromNullableMicros(held[i])
		if all[i].HeldUntil != nil {
			all[i].EndsAbout = all[i].HeldUntil
		}
	}
	return all, nil
}

// usualOf returns how long good runs of a job usually take; 0 if that is not known.
func (x *explainer) usualOf(ctx context.Context, name string) (time.Duration, error) {
	if d, known := x.usual[name]; known {
		return d, nil
	}
	var text []byte
	err := x.Reader.QueryRowContext(ctx, `SELECT figures FROM job_bands WHERE job = $1`, name).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read what is usual for job %s: %w", job.Quote(name), err)
	}
	var figures []band.GoodRun
	var usual time.Duration
	if json.Unmarshal(text, &figures) == nil {
		if e := band.Of(figures); e != nil {
			usual = time.Duration(e.DurationSeconds.P50 * float64(time.Second))
		}
	}
	x.usual[name] = usual
	return usual, nil
}
