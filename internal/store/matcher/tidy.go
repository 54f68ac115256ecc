package matcher

import (
	"context"
	"fmt"

	"stint.dev/stint/internal/store/db"
)

// TidyQueue deletes the lanes and selectors that no waiting run needs. A lane whose next rank is not
// above the virtual time has no effect.
func (m *Matcher) TidyQueue(ctx context.Context) error {
	err := m.Change(ctx, "delete lanes of the queue", `DELETE FROM queue_lanes WHERE next <= (SELECT virtual_time FROM queue_selectors WHERE id = queue_lanes.selector)`)
	if err != nil {
		return err
	}
	const unused = ` FROM queue_selectors WHERE NOT EXISTS (SELECT 1 FROM queue_entries WHERE selector = queue_selectors.id)`
	ids, err := db.QueryNumbers(ctx, m.Reader, `SELECT id`+unused)
	if err != nil {
		return fmt.Errorf("read unused selectors of the queue: %w", err)
	}
	for _, id := range ids {
		err := m.Write(ctx, db.None, func(t *db.Tx) error {
			// Two statements: the second one sees the entries of a transaction for which the first one waited.
			if _, err := db.QueryNumbers(ctx, t, `SELECT id FROM queue_selectors WHERE id = $1`+t.Dialect.Lock, id); err != nil {
				return err
			}
			_, err := t.ExecContext(ctx, `DELETE`+unused+` AND id = $1`, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("delete an unused selector of the queue: %w", err)
		}
	}
	return nil
}
