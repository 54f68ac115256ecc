// Package retention has the limits of retention as rows: which are in force, which wait, and what they would delete.
package retention

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/store/db"
)

// Policies returns all policies and their common version, none if that is the version seen.
type Policies func(ctx context.Context, seen string) ([]policy.Stored, string, error)

// forgetsAfter is how long a server has run before it forgets limits that no server uses.
const forgetsAfter = time.Hour

// Retention has the limits of retention of one database.
type Retention struct {
	*db.DB
	policies Policies
	// What follows is of Follow, which one goroutine calls.
	begun      time.Duration // by SinceBoot
	version    string
	jobs       keep.Limits
	unreadable map[string]bool // jobs
}

// New returns the limits of an open database.
func New(d *db.DB, policies Policies) *Retention {
	return &Retention{DB: d, policies: policies, begun: d.SinceBoot()}
}

// Server returns the limits that a server was started with.
func Server(age time.Duration, runs int) keep.Limits {
	return keep.Limits{{Rule: keep.Days}: age.Microseconds(), {Rule: keep.Runs}: int64(runs)}
}

// Follow checks the limits that a server and the policies want, stores which of them are in force and which wait, and returns those
// to use: two of the server, and those of jobs that have their own. atOnce lets none wait.
func (s *Retention) Follow(ctx context.Context, now time.Time, server keep.Limits, atOnce bool) (keep.Limits, error) {
	if err := s.readPolicies(ctx); err != nil {
		return nil, err
	}
	table, err := s.table(ctx)
	if err != nil {
		return nil, err
	}
	jobs := s.jobsOf(table)
	check := keep.Check{
		Now: now, Wanted: table.Wanted(server, jobs), AtOnce: atOnce,
		Alone: !s.Dialect.Postgres, Forgets: s.SinceBoot()-s.begun >= forgetsAfter,
	}
	if check.Counts, err = s.counts(ctx, now, table, check.Wanted); err != nil {
		return nil, err
	}
	change := table.Decide(check)
	change.Forget = append(change.Forget, table.Ended(jobs, change)...)
	if err := s.store(ctx, change); err != nil {
		return nil, err
	}
	for _, r := range change.Begun {
		s.Log.Warn("a setting of retention waits, because it would delete many runs at once; --keep-now applies it now",
			"setting", settingName(r.Setting), "keeps", r.Text(r.Limit), "until_then", r.Text(change.Limits[r.Setting]), "runs", r.Runs, "of", r.Of, "waits", r.Left())
	}
	for _, r := range change.Applied {
		s.Log.Info("a setting of retention that waited applies now", "setting", settingName(r.Setting), "keeps", r.Text(r.Limit))
	}
	return change.Limits, nil
}

// settingName names a setting in the log, as in "keep.runs of job train".
func settingName(s keep.Setting) string {
	if s.Job == "" {
		return s.Name()
	}
	return s.Name() + " of job " + s.Job
}

// readPolicies reads the limits of policies again if one was set or deleted.
func (s *Retention) readPolicies(ctx context.Context) error {
	all, version, err := s.policies(ctx, s.version)
	if err != nil || version == s.version {
		return err
	}
	s.jobs, s.unreadable = keep.Limits{}, map[string]bool{}
	for _, stored := range all {
		p, err := policy.Parse([]byte(stored.YAML))
		if err != nil {
			s.unreadable[stored.Job] = true // which the monitor reports
			continue
		}
		p.Keep.AddTo(s.jobs, stored.Job)
	}
	s.version = version
	return nil
}

// jobsOf returns the limits that jobs want. One whose policy cannot be read keeps those that it has.
func (s *Retention) jobsOf(table keep.Table) keep.Limits {
	jobs := keep.Limits{}
	for setting, limit := range s.jobs {
		jobs[setting] = limit
	}
	for _, r := range table {
		if s.unreadable[r.Job] {
			jobs[r.Setting] = table.InForce(r.Setting)
		}
	}
	return jobs
}

// EndedStates are the states of runs that have ended.
const EndedStates = `('succeeded', 'failed', 'canceled', 'timed_out', 'lost')`

const columns = `job, rule, most, in_force, seen_at, used_at, waited, runs, of_runs`

// table reads all limits.
func (s *Retention) table(ctx context.Context) (keep.Table, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+columns+` FROM keep_limits ORDER BY job, rule, most`)
	if err != nil {
		return nil, fmt.Errorf("read the limits of retention: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var out keep.Table
	for rows.Next() {
		var r keep.Row
		var seen, used, waited int64
		if err := rows.Scan(&r.Job, &r.Rule, &r.Limit, &r.InForce, &seen, &used, &waited, &r.Runs, &r.Of); err != nil {
			return nil, fmt.Errorf("read the limits of retention: %w", err)
		}
		r.SeenAt, r.UsedAt, r.Waited = db.FromMicros(seen), db.FromMicros(used), time.Duration(waited)*time.Microsecond
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the limits of retention: %w", err)
	}
	return out, nil
}

// PendingLimits returns the limits that wait, those of other servers on the database included.
func (s *Retention) PendingLimits(ctx context.Context) ([]keep.Pending, error) {
	table, err := s.table(ctx)
	if err != nil {
		return nil, err
	}
	return table.Pending(), nil
}

// store stores a change. Another server may have stored the same row meanwhile: what has waited longer, or is in force, stays.
func (s *Retention) store(ctx context.Context, c keep.Change) error {
	if len(c.Store)+len(c.Forget) == 0 {
		return nil
	}
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		for _, r := range c.Forget {
			if _, err := t.ExecContext(ctx, `DELETE FROM keep_limits WHERE job = $1 AND rule = $2 AND most = $3`, r.Job, r.Rule, r.Limit); err != nil {
				return err
			}
		}
		for _, r := range c.Store {
			inForce := 0
			if r.InForce {
				inForce = 1
			}
			_, err := t.ExecContext(ctx, `INSERT INTO keep_limits (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
				ON CONFLICT (job, rule, most) DO UPDATE SET used_at = excluded.used_at,
					in_force = CASE WHEN excluded.in_force > keep_limits.in_force THEN excluded.in_force ELSE keep_limits.in_force END,
					waited = CASE WHEN excluded.waited > keep_limits.waited THEN excluded.waited ELSE keep_limits.waited END`,
				r.Job, string(r.Rule), r.Limit, inForce, db.Micros(r.SeenAt), db.Micros(r.UsedAt), r.Waited.Microseconds(), r.Runs, r.Of)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store the limits of retention: %w", err)
	}
	return nil
}

// Own is the condition on runs whose job has a limit of its own, by a rule.
func Own(rule keep.Rule) string {
	return ` EXISTS (SELECT 1 FROM keep_limits k WHERE k.job = runs.job AND k.rule = '` + string(rule) + `')`
}

// counts returns how many runs the limits would delete that matter.
func (s *Retention) counts(ctx context.Context, now time.Time, table keep.Table, wanted keep.Limits) (map[keep.Setting]keep.Count, error) {
	out := map[keep.Setting]keep.Count{}
	for _, setting := range table.Unseen(wanted) {
		n, err := s.count(ctx, now, setting, wanted[setting])
		for _, other := range wanted.Sorted() {
			if err != nil || setting.Job != "" || other.Job == "" || other.Rule != setting.Rule || table.Has(other) {
				continue
			}
			// The job has a limit of its own from now on, of which no row says so yet.
			var own keep.Count
			own, err = s.count(ctx, now, other, wanted[setting])
			n.Runs -= own.Runs
		}
		if err != nil {
			return nil, fmt.Errorf("count the runs that %s of %s would delete: %w", setting.Name(), setting.Text(wanted[setting]), err)
		}
		out[setting] = n
	}
	return out, nil
}

// count returns how many runs a limit would delete.
func (s *Retention) count(ctx context.Context, now time.Time, setting keep.Setting, limit int64) (n keep.Count, err error) {
	query := `SELECT COALESCE(SUM(n), 0) FROM run_counts WHERE state IN ` + EndedStates
	if err = s.Reader.QueryRowContext(ctx, query).Scan(&n.Of); err != nil {
		return n, err
	}
	jobs, args := ` NOT`+Own(setting.Rule), []any{limit}
	if setting.Job != "" {
		jobs, args = ` job = $2`, append(args, setting.Job)
	}
	if setting.Rule == keep.Runs {
		query = `SELECT COALESCE(SUM(more), 0) FROM (SELECT SUM(n) - $1 AS more FROM run_counts AS runs WHERE state IN ` + EndedStates + ` AND` + jobs + `
			GROUP BY job HAVING SUM(n) > $1) AS jobs`
	} else {
		args[0] = db.Micros(now) - limit
		query = `SELECT COUNT(*) FROM runs WHERE start_at < $1 AND created_at < $1 AND (state IN ` + EndedStates + `) IS TRUE
			AND (ended_at < $1 OR reported_at < $1) AND` + jobs
	}
	return n, s.Reader.QueryRowContext(ctx, query, args...).Scan(&n.Runs)
}
