package recovery

import (
	"context"
	"encoding/json"
	"fmt"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/journal"
)

// permits proves for every stored attempt of a submitted run that exactly one process had the permit to start
// it, and that this is the one that wrote its journal.
func (c *checker) permits(ctx context.Context) error {
	for _, q := range []struct{ query, what string }{
		{
			`SELECT a.run_id, a.attempt FROM attempts a JOIN submissions s ON s.run_id = a.run_id
			WHERE NOT EXISTS (SELECT 1 FROM permits p WHERE p.run_id = a.run_id AND p.attempt = a.attempt) ORDER BY 1, 2`,
			"the attempt of a submitted run has a journal, and no process had the permit to start it",
		},
		{
			`SELECT p.run_id, p.attempt FROM permits p
			WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run_id = p.run_id AND a.attempt = p.attempt) ORDER BY 1, 2`,
			"a process had the permit to start the attempt, and its journal is missing",
		},
		{
			`SELECT p.run_id, p.attempt FROM permits p JOIN runs r ON r.id = p.run_id WHERE p.attempt > r.attempt ORDER BY 1, 2`,
			"a process had the permit to start the attempt, and the run does not show it",
		},
		{
			`SELECT run_id, attempt FROM permits WHERE claim IN (SELECT claim FROM permits WHERE claim <> '' GROUP BY claim HAVING COUNT(*) > 1)
			OR incarnation IN (SELECT incarnation FROM permits GROUP BY incarnation HAVING COUNT(*) > 1) ORDER BY 1, 2`,
			"one claim or one process had the permits to start several attempts",
		},
	} {
		keys, err := readKeys(ctx, c.store.Reader, q.query)
		if err != nil {
			return fmt.Errorf("check the permits of attempts: %w", err)
		}
		for _, key := range keys {
			c.found(Finding{Run: key.Run, Attempt: key.Attempt, What: q.what})
		}
	}
	return c.permitted(ctx)
}

// permitted compares the process that had the permit of each attempt with the one that its journal names.
func (c *checker) permitted(ctx context.Context) error {
	for last := (tables.AttemptKey{}); ; {
		keys, err := readKeys(ctx, c.store.Reader, `SELECT run_id, attempt FROM permits WHERE (run_id, attempt) > ($1, CAST($2 AS BIGINT)) ORDER BY run_id, attempt LIMIT 200`, last.Run, last.Attempt)
		if err != nil {
			return fmt.Errorf("list the permits of attempts: %w", err)
		}
		if len(keys) == 0 {
			return nil
		}
		for _, key := range keys {
			if err := c.permittedOne(ctx, key); err != nil {
				return fmt.Errorf("check the permit of attempt %d of run %s: %w", key.Attempt, key.Run, err)
			}
		}
		last = keys[len(keys)-1]
	}
}

func (c *checker) permittedOne(ctx context.Context, key tables.AttemptKey) error {
	heads, err := c.store.Blocks(ctx, key.Run, key.Attempt, 0, 1)
	if err != nil || len(heads) == 0 || heads[0].Start != journal.HeaderSize {
		return err // without its beginning there is nothing to compare; another check reports that
	}
	data, err := c.store.BlockData(ctx, key.Run, key.Attempt, heads[0].Start)
	if err != nil {
		return nil //nolint:nilerr // bytes that cannot be read are reported by the check of the journal
	}
	record, size, err := journal.Next(data, journal.HeaderSize)
	var identity journal.Attempt
	if err != nil || size == 0 || json.Unmarshal(record.Payload, &identity) != nil {
		return nil //nolint:nilerr // as above
	}
	permitted, err := c.store.ReadTexts(ctx, `SELECT incarnation FROM permits WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt)
	if err != nil || len(permitted) == 0 || permitted[0] == identity.Incarnation { // none: deleted meanwhile
		return err
	}
	c.found(Finding{Run: key.Run, Attempt: key.Attempt, What: "another process than the one that had the permit to start the attempt wrote its journal"})
	return nil
}

// readKeys runs a query whose rows are attempts.
func readKeys(ctx context.Context, from db.Querier, query string, args ...any) (keys []tables.AttemptKey, err error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var key tables.AttemptKey
		if err := rows.Scan(&key.Run, &key.Attempt); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}
