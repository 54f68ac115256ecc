package recovery

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Finding is a problem that a check found.
type Finding struct {
	Run     string `json:"run,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	At      int64  `json:"at,omitempty"` // offset in the journal
	To      int64  `json:"to,omitempty"` // where the problem ends, if that is known
	What    string `json:"what"`
	// Repaired says how it was repaired; empty if it was not.
	Repaired string `json:"repaired,omitempty"`
}

// Checked is the summary of a check.
type Checked struct {
	Attempts int   `json:"attempts"`
	Blocks   int   `json:"blocks"`
	Bytes    int64 `json:"bytes"` // of journals, plain
	Objects  int   `json:"objects"`
	Findings int   `json:"findings"`
}

// checker is one check.
type checker struct {
	store  *store.Store
	repair bool
	report func(Finding)
	sum    Checked
}

// Check reads every journal: it verifies the checksum of every record and the digest at the end, compares the
// rows of blocks, attempts and runs with the journal, counts the runs of each job, and finds objects that are
// unused or missing, and rows of the queue that contradict each other. With repair it rewrites rows that differ,
// corrects the places of groups, and truncates a journal that was still arriving where its good bytes end, so that
// its agent can send the rest.
func Check(ctx context.Context, s *store.Store, repair bool, report func(Finding)) (Checked, error) {
	c := &checker{store: s, repair: repair, report: report}
	last := tables.AttemptKey{}
	for {
		keys, err := c.next(ctx, last)
		if err != nil {
			return c.sum, err
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			if err := c.attempt(ctx, key); err != nil {
				return c.sum, fmt.Errorf("check run %s attempt %d: %w", key.Run, key.Attempt, err)
			}
		}
		last = keys[len(keys)-1]
	}
	if err := c.counts(ctx); err != nil {
		return c.sum, err
	}
	if err := c.permits(ctx); err != nil {
		return c.sum, err
	}
	if err := c.queue(ctx); err != nil {
		return c.sum, err
	}
	return c.sum, c.objects(ctx)
}

func (c *checker) found(f Finding) {
	c.sum.Findings++
	c.report(f)
}

// next returns the attempts after one, without those of deleted runs, which a server is about to delete.
func (c *checker) next(ctx context.Context, last tables.AttemptKey) ([]tables.AttemptKey, error) {
	rows, err := c.store.Reader.QueryContext(ctx, `SELECT run_id, attempt FROM attempts
		WHERE (run_id, attempt) > ($1, CAST($2 AS BIGINT)) AND NOT EXISTS (SELECT 1 FROM deleted_runs d WHERE d.run_id = attempts.run_id)
		ORDER BY run_id, attempt LIMIT 200`, last.Run, last.Attempt)
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var keys []tables.AttemptKey
	for rows.Next() {
		var key tables.AttemptKey
		if err := rows.Scan(&key.Run, &key.Attempt); err != nil {
			return nil, fmt.Errorf("list attempts: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// replay is the result of reading a journal again.
type replay struct {
	state index.State
	facts []index.Fact
	rows  map[int64]blocks.Block // by start, without data: the rows as they should be
	wrong bool                   // a row differs
	bad   int64                  // the offset of the first bytes that cannot be read; 0 for none
	why   string
	live  bool // the bad bytes are not packed, so they may have been arriving
	// damage says that the bad bytes were read, and are not those that were stored.
	damage bool
	holes  bool
}

// readTries is how often an attempt is read that changes while it is checked.
const readTries = 5

// attempt checks one attempt. One that changes meanwhile, because a server stores appends, is checked
// again.
func (c *checker) attempt(ctx context.Context, key tables.AttemptKey) error {
	before := c.sum
	for try := 1; ; try++ {
		c.sum = before
		row, err := readAttempt(ctx, c.store.Reader, key)
		var unreadable *query.UnreadableError
		switch {
		case errors.Is(err, sql.ErrNoRows): // deleted
			return nil
		case errors.As(err, &unreadable):
			c.found(Finding{Run: key.Run, Attempt: key.Attempt, What: "the stored attempt cannot be read: " + unreadable.Cause.Error()})
			return nil
		case err != nil:
			return err
		}
		c.sum.Attempts++
		r := &replay{state: index.NewState(key.Run, key.Attempt), rows: map[int64]blocks.Block{}, holes: row.Cut != nil}
		what, err := c.compare(ctx, key, row, r)
		if err != nil {
			return err
		}
		if what == "" && r.bad == 0 {
			return nil
		}
		now, err := readAttempt(ctx, c.store.Reader, key)
		if err == nil && try < readTries && !sameState(&now.State, &row.State) {
			continue
		}
		if r.bad != 0 {
			return c.badBytes(ctx, key, row, r)
		}
		return c.rebuild(ctx, key, row, r, what)
	}
}

func readAttempt(ctx context.Context, from db.RowQuerier, key tables.AttemptKey) (*tables.AttemptRow, error) {
	_, row, err := tables.ScanAttempt(from.QueryRowContext(ctx, `SELECT `+tables.AttemptColumns+` FROM attempts WHERE run_id = $1 AND attempt = $2`, key.Run, key.Attempt))
	return row, err
}

// compare reads the journal of an attempt again, and returns how the tables differ from it; "" if they
// do not. Of bytes that cannot be read it returns nothing: they are in r.
func (c *checker) compare(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) (what string, err error) {
	if err := c.replay(ctx, key, row, r); err != nil || r.bad != 0 {
		return "", err
	}
	if r.holes { // what was cut out cannot be folded again
		return "", nil
	}
	size, err := c.store.JournalSize(ctx, key.Run, key.Attempt)
	if err != nil {
		return "", err
	}
	if r.wrong || size != row.Durable() || !sameState(&r.state, &row.State) {
		return "the index of the journal differs from the journal", nil
	}
	return c.compareRun(ctx, key, r)
}

// replay reads all blocks of an attempt in their order.
func (c *checker) replay(ctx context.Context, key tables.AttemptKey, row *tables.AttemptRow, r *replay) error {
	if row.Size > 0 {
		f, err := index.Fold(r.state, headerOf(&row.State))
		if err != nil {
			return err
		}
		r.state = f.State
	}
	next := int64(journal.HeaderSize)
	for at := int64(0); ; {
		heads, err := c.store.Blocks(ctx, key.Run, key.Attempt, at, 64)
		if err != nil {
			return err
		}
		if len(heads) == 0 {
			break
		}
		for _, h := range heads {
			if h.Start != next && !r.holes {
				r.markBad(next, "the bytes from here to "+fmt.Sprint(h.Start)+" are missing")
				return nil
			}
			if err := c.block(ctx, key, h, r); err != nil || r.bad != 0 {
				return err
			}
			at, next = h.Start+h.Size, h.Start+h.Size
		}
	}
	if next < row.Size {
		r.markBad(next, fmt.Sprintf("the journal has %d bytes here, and should have %d", next, row.Size))
		r.live = true
	}
	return nil
}

func (r *replay) markBad(at int64, why string) { r.bad, r.why = at, why }

// headerOf returns the header of a journal, which is not in a block.
func headerOf(s *index.State) []byte {
	if journal.CheckHeader(s.Header) == nil {
		return s.Header
	}
	return journal.AppendHeader(nil)
}

// block reads one block and folds it.
func (c *checker) block(ctx context.Context, key tables.AttemptKey, h index.BlockHead, r *replay) error {
	c.sum.Blocks++
	data, err := c.store.BlockData(ctx, key.Run, key.Attempt, h.Start)
	if err == nil && int64(len(data)) != h.Size {
		err = fmt.Errorf("%d bytes instead of %d", len(data), h.Size)
	}
	if err == nil && r.holes {
		err = checkRecords(data, h.Start)
	}
	if err == nil && !r.holes {
		samples, serr := c.store.SamplesText(ctx, key, h.Start)
		if serr != nil {
			return serr
		}
		err = r.fold(h, data, samples)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b, lerr := c.store.Locate(ctx, key.Run, key.Attempt, h.Start)
		if lerr != nil {
			return lerr
		}
		r.live, r.damage = b.Codec == blocks.Plain, blocks.IsDamage(err)
		r.markBad(h.Start, err.Error())
		return nil
	}
	c.sum.Bytes += h.Size
	return nil
}

func checkRecords(data []byte, start int64) error {
	for at := int64(0); at < int64(len(data)); {
		_, n, err := journal.Next(data[at:], start+at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// fold continues the state of the journal with a block, and compares the head and the samples in its
// row with those that its bytes make.
func (r *replay) fold(h index.BlockHead, data, stored []byte) error {
	f, err := index.Fold(r.state, data)
	if err != nil {
		return err
	}
	if f.Tail != 0 || f.Head.Size != h.Size {
		return errors.New("a record is cut off")
	}
	samples, err := blocks.EncodeSamples(f.Samples)
	if err != nil {
		return err
	}
	r.facts = append(r.facts, f.Facts...)
	r.state = f.State
	r.rows[h.Start] = blocks.Block{Head: f.Head, Samples: samples}
	f.Head.Open, h.Open = nil, nil // they name blocks as they were when they arrived
	r.wrong = r.wrong || asStored(f.Head) != asStored(h) || !sameSamples(f.Samples, stored)
	return nil
}

// sameSamples reports whether the samples in a row are the given ones.
func sameSamples(samples []job.Sample, stored []byte) bool {
	var decoded []job.Sample
	if len(stored) > 0 {
		var err error
		if decoded, err = query.DecodeSamples(nil, stored); err != nil {
			return false
		}
	}
	return asStored(decoded) == asStored(samples)
}

// asStored returns the JSON of a value, which is equal for values that are stored alike.
func asStored(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// sameState compares what matters to readers and to the next append.
func sameState(a, b *index.State) bool {
	x, y := *a, *b
	x.Streams, y.Streams = nil, nil       // they name blocks as they were when they arrived
	x.Incarnation, y.Incarnation = "", "" // an older server stored none; the check of permits compares it
	return asStored(x) == asStored(y)
}

// compareRun returns how the row of the run differs from the journal of its last attempt.
func (c *checker) compareRun(ctx context.Context, key tables.AttemptKey, r *replay) (what string, err error) {
	if !r.state.Known() {
		return "", nil
	}
	row, err := tables.ScanRun(c.store.Reader.QueryRowContext(ctx, `SELECT `+tables.RunColumns+` FROM runs WHERE id = $1`, key.Run))
	var unreadable *query.UnreadableError
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "the run is missing", nil
	case errors.As(err, &unreadable) && unreadable.Run.Attempt <= key.Attempt:
		return "the stored document of the run cannot be read", nil
	case errors.As(err, &unreadable) || err == nil && row.Run.Attempt > key.Attempt:
		return "", nil // its last attempt is checked
	case err != nil:
		return "", fmt.Errorf("read run %s: %w", key.Run, err)
	}
	derived := intake.Rederive(row, &r.state, row.ReportedAt)
	same, err := tables.MatchesColumns(ctx, c.store.Reader, &derived.Run)
	if err != nil {
		return "", err
	}
	if !same || asStored(derived.Run) != asStored(row.Run) || row.Run.Job != r.state.View.Job {
		return "the run shows something else than its journal", nil
	}
	return "", nil
}

// objects compares the archive with the table of objects.
func (c *checker) objects(ctx context.Context) error {
	live, err := c.store.ReadTexts(ctx, `SELECT name FROM objects WHERE state = 'live' ORDER BY name`)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	c.sum.Objects = len(live)
	if c.store.Archive == nil {
		return nil
	}
	unused, err := c.store.ReadTexts(ctx, `SELECT name FROM objects o WHERE state = 'live' AND NOT EXISTS (SELECT 1 FROM blocks WHERE object = o.id)`)
	if err != nil {
		return fmt.Errorf("select unused objects: %w", err)
	}
	for _, name := range unused {
		f := Finding{What: "object " + name + " is in use by nothing"}
		if c.repair {
			if err := c.markObjectDead(ctx, name); err != nil {
				return err
			}
			f.Repaired = "it will be deleted"
		}
		c.found(f)
	}
	for _, name := range live {
		_, err := c.store.Archive.ReadRange(ctx, name, 0, 0)
		if errors.Is(err, fs.ErrNotExist) {
			c.found(Finding{What: "object " + name + " is not in the archive"})
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) markObjectDead(ctx context.Context, name string) error {
	return c.store.Write(ctx, db.None, func(t *db.Tx) error {
		_, err := t.ExecContext(ctx, `UPDATE objects SET state = 'dead' WHERE name = $1`, name)
		return err
	})
}
