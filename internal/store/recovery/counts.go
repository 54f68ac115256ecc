package recovery

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// wrongCounts selects the jobs and states of which the table of counts has another number of runs than
// there are, or fewer ends than there are runs that have ended. It is one statement, so that runs which change meanwhile are seen in both tables alike.
const wrongCounts = `SELECT job, state, SUM(n) AS counted, SUM(ended) AS ended, SUM(stored) AS runs,
		CASE WHEN state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost') THEN SUM(stored) ELSE 0 END AS least FROM (
		SELECT job, state, n, ended, 0 AS stored FROM run_counts
		UNION ALL SELECT job, state, 0, 0, COUNT(*) FROM runs GROUP BY job, state) AS both_tables
	GROUP BY job, state HAVING SUM(n) <> SUM(stored)
		OR state IN ('succeeded', 'failed', 'canceled', 'timed_out', 'lost') AND SUM(ended) < SUM(stored)`

// counts compares the table of counts with the runs. A repair adds what is missing.
func (c *checker) counts(ctx context.Context) error {
	rows, err := c.store.Reader.QueryContext(ctx, wrongCounts+` ORDER BY job, state`)
	if err != nil {
		return fmt.Errorf("count the runs: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var found []Finding
	for rows.Next() {
		var name, state string
		var counted, ended, runs, least int64
		if err := rows.Scan(&name, &state, &counted, &ended, &runs, &least); err != nil {
			return fmt.Errorf("count the runs: %w", err)
		}
		what := fmt.Sprintf("job %s has %d runs in the state %s, and the table of counts says %d", job.Quote(name), runs, state, counted)
		if counted == runs {
			what = fmt.Sprintf("job %s has %d runs that ended %s, and the table of counts says that %d have ever", job.Quote(name), runs, state, ended)
		}
		found = append(found, Finding{What: what})
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("count the runs: %w", err)
	}
	if c.repair && len(found) > 0 {
		err := c.store.Write(ctx, db.None, func(t *db.Tx) error { return correctCounts(ctx, t) })
		if err != nil {
			return fmt.Errorf("correct the counts of runs: %w", err)
		}
	}
	for _, f := range found {
		if c.repair {
			f.Repaired = "the runs were counted again"
		}
		c.found(f)
	}
	return nil
}

// correctCounts adds the differences to the table of counts. With PostgreSQL its rows are changes that
// are added up; other transactions may add theirs at the same time.
func correctCounts(ctx context.Context, t *db.Tx) error {
	statement := `INSERT INTO run_counts (job, state, n, ended)
		SELECT job, state, runs - counted, CASE WHEN least > ended THEN least - ended ELSE 0 END FROM (` + wrongCounts + `) AS wrong WHERE true`
	if !t.Dialect.Postgres {
		statement += ` ON CONFLICT (job, state) DO UPDATE SET n = n + excluded.n, ended = ended + excluded.ended`
	}
	_, err := t.ExecContext(ctx, statement)
	return err
}
