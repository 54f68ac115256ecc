package tables

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
)

// DeleteStaleTexts deletes at most a number of texts from the index of texts of SQLite whose runs have another text now. It
// returns how many it deleted. PostgreSQL has none: it deletes a text when its run changes.
func DeleteStaleTexts(ctx context.Context, s *db.DB, most int) (deleted int, err error) {
	if s.Dialect.Postgres {
		return 0, nil
	}
	const stale = `SELECT text_id FROM stale_texts ORDER BY text_id LIMIT $1`
	if ids, err := db.QueryNumbers(ctx, s.Reader, stale, 1); err != nil || len(ids) == 0 {
		return 0, err
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		ids, err := db.QueryNumbers(ctx, t, stale, most)
		if err != nil {
			return err
		}
		deleted = len(ids)
		table, args := t.Dialect.Table(1, db.Column{Numbers: ids})
		for _, column := range []string{"run_texts WHERE rowid", "stale_texts WHERE text_id"} {
			if _, err := t.ExecContext(ctx, `DELETE FROM `+column+` IN (SELECT c0 FROM `+table+`)`, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("delete stale texts: %w", err)
	}
	return deleted, nil
}
