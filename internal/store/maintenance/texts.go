package maintenance

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
)

const (
	// textsBatch is the number of runs that one transaction makes searchable; agents may have to wait
	// for it.
	textsBatch = 100
	// textsDelay is the time for which a submitted run waits before its text is indexed. Its text changes when it starts:
	// the host is part of it. Most start before, and are indexed once.
	textsDelay = 10 * time.Second
	// textsPace is how many times as long as it takes to index a batch indexing pauses, because agents and workers may wait
	// for it. Nobody waits for the index: a search reads the texts of the other runs.
	textsPace = 4
	// maxCountRows is the number of rows with changes of run counts from which they are merged.
	maxCountRows = 2000
)

// newText is a run that is not searchable yet.
type newText struct {
	run   string
	start int64
}

// IndexTexts makes some new runs searchable, and reports whether there may be more. The id of a text is
// made of the start of the run. Several servers index different runs. A failure affects only its run.
func (s *Maintenance) IndexTexts(ctx context.Context) (more bool, err error) {
	now := s.Now()
	found, err := newTexts(s.Reader.QueryContext(ctx, `SELECT id, start_at FROM runs WHERE text_id IS NULL AND search <> '' AND (state <> 'queued' OR start_at <= $3)
		AND`+troubled.NotPaused(troubled.Text, "runs.id", 2)+` ORDER BY start_at DESC, id DESC LIMIT $1`, textsBatch, db.Micros(now), db.Micros(now.Add(-textsDelay))))
	if err == nil {
		err = troubled.Isolate(ctx, s.DB, found, func(some []newText) error { return s.indexSome(ctx, some) },
			func(one newText, err error) { s.RecordFailure(ctx, troubled.Text, one.run, err) })
	}
	if err != nil {
		return false, fmt.Errorf("make the texts of runs searchable: %w", err)
	}
	return len(found) == textsBatch, nil
}

// deleteStaleTexts deletes some texts from the index whose runs have another text now, and reports whether there may be more.
func (s *Maintenance) deleteStaleTexts(ctx context.Context) (more bool, err error) {
	n, err := tables.DeleteStaleTexts(ctx, s.DB, textsBatch)
	return n == textsBatch, err
}

// indexSome makes those of the runs searchable that no other server is indexing.
func (s *Maintenance) indexSome(ctx context.Context, some []newText) error {
	if len(some) == 0 {
		return nil
	}
	err := s.Write(ctx, db.None, func(t *db.Tx) error {
		free, err := lockTexts(ctx, t, some)
		if err != nil || len(free) == 0 {
			return err
		}
		runs := make([]string, len(free))
		for i, one := range free {
			runs[i] = one.run
		}
		ids, err := textIDs(ctx, t, free)
		if err != nil {
			return err
		}
		table, args := t.Dialect.Table(1, db.Column{Texts: runs}, db.Column{Numbers: ids})
		for _, query := range []string{
			`UPDATE runs SET text_id = v.c1 FROM ` + table + ` WHERE runs.id = v.c0`,
			insertTexts(t.Dialect) + ` FROM ` + table + ` JOIN runs ON runs.id = v.c0 ORDER BY v.c1`, // FTS5 is slow if the ids do not ascend
		} {
			if _, err := t.ExecContext(ctx, query, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, one := range some {
		s.ClearFailure(ctx, troubled.Text, one.run)
	}
	return nil
}

// lockTexts locks those of the runs that cannot be searched yet, the newest first.
func lockTexts(ctx context.Context, t *db.Tx, some []newText) ([]newText, error) {
	runs := make([]string, len(some))
	for i, one := range some {
		runs[i] = one.run
	}
	lock := ""
	if t.Dialect.Postgres {
		lock = " FOR UPDATE OF runs SKIP LOCKED"
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: runs})
	return newTexts(t.QueryContext(ctx, `SELECT id, start_at FROM runs WHERE text_id IS NULL AND id IN (SELECT c0 FROM `+table+`)
		ORDER BY start_at DESC, id DESC`+lock, args...))
}

// newTexts reads the rows of a query and closes it.
func newTexts(rows *sql.Rows, err error) ([]newText, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var found []newText
	for rows.Next() {
		var one newText
		if err := rows.Scan(&one.run, &one.start); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// textIDs returns unused ids for runs.
func textIDs(ctx context.Context, t *db.Tx, found []newText) ([]int64, error) {
	ids, mine := make([]int64, len(found)), map[int64]bool{}
	for i, one := range found {
		h := fnv.New32a()
		_, _ = h.Write([]byte(one.run)) // never fails
		for ids[i] = one.start*runs.TextSpan + int64(h.Sum32()%(runs.TextSpan/2)); mine[ids[i]]; {
			ids[i]++
		}
		mine[ids[i]] = true
	}
	for {
		table, args := t.Dialect.Table(1, db.Column{Numbers: ids})
		query := `SELECT text_id FROM runs WHERE text_id IN (SELECT c0 FROM ` + table + `)`
		if !t.Dialect.Postgres {
			query += ` UNION ALL SELECT text_id FROM stale_texts WHERE text_id IN (SELECT c0 FROM ` + table + `)`
		}
		taken, err := db.QueryNumbers(ctx, t, query, args...)
		if err != nil || len(taken) == 0 {
			return ids, err
		}
		others := map[int64]bool{}
		for _, id := range taken {
			others[id] = true
		}
		for i := range ids {
			if others[ids[i]] {
				for ids[i]++; mine[ids[i]] || others[ids[i]]; {
					ids[i]++
				}
				mine[ids[i]] = true
			}
		}
	}
}

// insertTexts returns the statement that fills run_texts, without its FROM.
func insertTexts(d db.Dialect) string {
	if d.Postgres {
		return `INSERT INTO run_texts (text_id, started, run, words) SELECT v.c1, runs.start_at, runs.id, runs.search`
	}
	return `INSERT INTO run_texts (rowid, words) SELECT v.c1, runs.search`
}

// MergeCounts merges the rows with changes of run counts, if there are many.
func (s *Maintenance) MergeCounts(ctx context.Context) error {
	if !s.Dialect.Postgres {
		return nil
	}
	var n int
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) - COUNT(DISTINCT (job, state)) FROM run_counts`).Scan(&n)
	if err == nil && n > maxCountRows {
		_, err = s.Writer.ExecContext(ctx, `WITH gone AS (DELETE FROM run_counts RETURNING job, state, n, ended)
			INSERT INTO run_counts (job, state, n, ended) SELECT job, state, SUM(n), SUM(ended) FROM gone
			GROUP BY job, state HAVING SUM(n) <> 0 OR SUM(ended) <> 0`)
	}
	if err != nil {
		return fmt.Errorf("add up the counts of runs: %w", err)
	}
	return nil
}
