package erase

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/store/db"
)

const (
	// pagesAtOnce is the number of pages that one transaction cleans.
	pagesAtOnce = 256
	// mergeSteps is the number of pages of the search index that one transaction merges.
	mergePages = 500
	// checkpointTries is how often the write-ahead log is tried to be truncated: readers that have begun before keep it.
	checkpointTries = 30
	checkpointWait  = 200 * time.Millisecond
	checkpointPause = time.Second
)

// eraseSQLite erases from an SQLite database. VACUUM would rewrite all of it and block other writers meanwhile; this
// cleans each page where it is, a few in each transaction, and writes those only that have something to erase.
func (e *Eraser) eraseSQLite(ctx context.Context) error {
	if err := e.mergeTexts(ctx); err != nil {
		return fmt.Errorf("merge the search index: %w", err)
	}
	var next uint32 = 1
	err := e.RunSteps(ctx, func() (more bool, err error) {
		err = e.Write(ctx, db.None, func(t *db.Tx) error {
			next, more, err = cleanPages(ctx, t, next)
			return err
		})
		return more, err
	})
	if err != nil {
		return fmt.Errorf("overwrite deleted bytes in the database: %w", err)
	}
	return e.truncateLog(ctx)
}

// mergeTexts merges the search index until nothing is left of deleted texts.
func (e *Eraser) mergeTexts(ctx context.Context) error {
	pages := -mergePages // begins to merge all of it
	return e.RunSteps(ctx, func() (more bool, err error) {
		err = e.Write(ctx, db.None, func(t *db.Tx) error {
			var before, after int64
			if err := t.QueryRowContext(ctx, `SELECT total_changes()`).Scan(&before); err != nil {
				return err
			}
			if _, err := t.ExecContext(ctx, `INSERT INTO run_texts (run_texts, rank) VALUES ('merge', $1)`, pages); err != nil {
				return err
			}
			err := t.QueryRowContext(ctx, `SELECT total_changes()`).Scan(&after)
			more = after-before >= 2 // as SQLite describes it
			return err
		})
		pages = mergePages
		return more, err
	})
}

// truncateLog writes the write-ahead log to the database and truncates it.
func (e *Eraser) truncateLog(ctx context.Context) (err error) {
	for try := 1; ; try++ {
		done, err := e.checkpoint(ctx)
		if err != nil {
			return fmt.Errorf("truncate the write-ahead log: %w", err)
		}
		if done {
			return nil
		}
		if try == checkpointTries {
			return errors.New("truncate the write-ahead log: a reader that began before needs it")
		}
		if err := db.Sleep(ctx, checkpointPause); err != nil {
			return err
		}
	}
}

// checkpoint tries to truncate the write-ahead log, for a short time, because it blocks writers.
func (e *Eraser) checkpoint(ctx context.Context) (done bool, err error) {
	conn, err := e.Writer.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var timeout int64
	if err := conn.QueryRowContext(ctx, `PRAGMA busy_timeout`).Scan(&timeout); err != nil {
		return false, err
	}
	set := func(ctx context.Context, ms int64) error {
		_, err := conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA busy_timeout = %d`, ms))
		return err
	}
	if err := set(ctx, checkpointWait.Milliseconds()); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, set(context.WithoutCancel(ctx), timeout)) }()
	var busy, log, written int64
	err = conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &written)
	return busy == 0, err
}

// mostPages is the number of pages up to which the first byte of a page says whether it is of a tree: a page that continues a
// long row begins with the number of another page.
const mostPages = 1 << 25

// pages are pages of a database, as a transaction sees them.
type pages struct {
	t      *db.Tx
	size   int // of a page
	usable int // of that, for SQLite
	count  uint32
}

// cleanPages cleans some pages, from one on, and returns the next one.
func cleanPages(ctx context.Context, t *db.Tx, from uint32) (next uint32, more bool, err error) {
	first, err := readPage(ctx, t, 1)
	if err != nil {
		return 0, false, err
	}
	p := pages{t: t, size: len(first), usable: len(first) - int(first[20])}
	if err := t.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&p.count); err != nil {
		return 0, false, err
	}
	if p.count >= mostPages || binary.BigEndian.Uint32(first[52:]) != 0 {
		return 0, false, fmt.Errorf("it has %d pages, or vacuums by itself: run VACUUM on a copy of it", p.count)
	}
	free, err := p.freeList(ctx, first)
	if err != nil {
		return 0, false, err
	}
	to := min(from+pagesAtOnce, p.count+1)
	for n := from; n < to; n++ {
		if n == uint32(1<<30/p.size)+1 {
			continue // has the locks of SQLite
		}
		if err := p.clean(ctx, n, free); err != nil {
			return 0, false, fmt.Errorf("page %d: %w", n, err)
		}
	}
	return to, to <= p.count, nil
}

func readPage(ctx context.Context, t *db.Tx, n uint32) (data []byte, err error) {
	err = t.QueryRowContext(ctx, `SELECT data FROM sqlite_dbpage WHERE pgno = $1`, n).Scan(&data)
	if err == nil && len(data) < 512 {
		err = fmt.Errorf("page %d has %d bytes", n, len(data))
	}
	return data, err
}

func writePage(ctx context.Context, t *db.Tx, n uint32, data []byte) error {
	_, err := t.ExecContext(ctx, `UPDATE sqlite_dbpage SET data = $2 WHERE pgno = $1`, n, data)
	return err
}

// freeList returns the pages that are free, with the number of their bytes that the list itself uses.
func (p *pages) freeList(ctx context.Context, first []byte) (map[uint32]int, error) {
	free := map[uint32]int{}
	for trunk := binary.BigEndian.Uint32(first[32:]); trunk != 0; {
		if trunk > p.count || free[trunk] != 0 {
			return nil, errors.New("the list of free pages is damaged")
		}
		data, err := readPage(ctx, p.t, trunk)
		if err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint32(data[4:]))
		if n > p.usable/4-2 {
			return nil, errors.New("the list of free pages is damaged")
		}
		free[trunk] = 8 + 4*n
		for i := range n {
			free[binary.BigEndian.Uint32(data[8+4*i:])] = 0
		}
		trunk = binary.BigEndian.Uint32(data)
	}
	return free, nil
}

// clean overwrites what a page has besides content.
func (p *pages) clean(ctx context.Context, n uint32, free map[uint32]int) error {
	data, err := readPage(ctx, p.t, n)
	if err != nil {
		return err
	}
	changed := false
	if used, ok := free[n]; ok {
		changed = zero(data[used:p.usable])
	} else if tree, ok := parseTree(data, n, p.usable); ok {
		if changed, err = tree.clean(); err != nil {
			return err
		}
		for _, one := range tree.overflows() {
			if err := p.cleanTail(ctx, one); err != nil {
				return err
			}
		}
	}
	if !changed {
		return nil
	}
	return writePage(ctx, p.t, n, data)
}

// cleanTail overwrites the rest of the last page of a long row.
func (p *pages) cleanTail(ctx context.Context, o overflow) error {
	for n, left := o.page, o.bytes; ; {
		if n == 0 || n > p.count {
			return errors.New("a long row continues on a page that is not there")
		}
		data, err := readPage(ctx, p.t, n)
		if err != nil {
			return err
		}
		if left > p.usable-4 {
			n, left = binary.BigEndian.Uint32(data), left-(p.usable-4)
			continue
		}
		if !zero(data[4+left : p.usable]) {
			return nil
		}
		return writePage(ctx, p.t, n, data)
	}
}

// zero sets bytes to 0, and reports whether there were others.
func zero(b []byte) (changed bool) {
	for _, c := range b {
		if c != 0 {
			clear(b)
			return true
		}
	}
	return false
}
