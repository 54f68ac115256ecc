package blocks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/journal"
)

// LastBlocks returns the heads of the last blocks of an attempt's journal, in their order.
func (s *Journals) LastBlocks(ctx context.Context, run string, attempt, limit int) ([]index.BlockHead, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT head FROM blocks WHERE run_id = $1 AND attempt = $2 ORDER BY start DESC LIMIT $3`, run, attempt, limit)
	if err != nil {
		return nil, fmt.Errorf("last blocks of run %s attempt %d: %w", run, attempt, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var heads []index.BlockHead
	for rows.Next() {
		var text []byte
		var head index.BlockHead
		err := rows.Scan(&text)
		if err == nil {
			err = json.Unmarshal(text, &head)
		}
		if err != nil {
			return nil, fmt.Errorf("last blocks of run %s attempt %d: %w", run, attempt, err)
		}
		heads = append(heads, head)
	}
	slices.Reverse(heads)
	return heads, rows.Err()
}

// JournalSize returns the number of durable bytes of an attempt's journal.
func (s *Journals) JournalSize(ctx context.Context, run string, attempt int) (int64, error) {
	var size int64
	err := s.Reader.QueryRowContext(ctx, `SELECT size FROM attempts WHERE run_id = $1 AND attempt = $2`, run, attempt).Scan(&size)
	if errors.Is(err, sql.ErrNoRows) {
		deleted, err := tables.DeletedRuns(ctx, s.Reader, s.Dialect, []string{run})
		if gone := deleted[run]; err == nil && gone != nil {
			err = gone
		}
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("size of the journal of run %s attempt %d: %w", run, attempt, err)
	}
	return size, nil
}

// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
// beginning with the one that holds journal offset from (or the first after it).
func (s *Journals) Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT head FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND codec <> 2 AND start + size > $3 AND start >= COALESCE(
			(SELECT start FROM blocks WHERE run_id = $1 AND attempt = $2 AND start <= $3 ORDER BY start DESC LIMIT 1), 0)
		ORDER BY start LIMIT $4`, run, attempt, from, limit)
	if err != nil {
		return nil, fmt.Errorf("blocks of run %s attempt %d: %w", run, attempt, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var heads []index.BlockHead
	for rows.Next() {
		var head index.BlockHead
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("blocks of run %s attempt %d: %w", run, attempt, err)
		}
		if err := json.Unmarshal(text, &head); err != nil {
			return nil, fmt.Errorf("stored block of run %s attempt %d: %w", run, attempt, err)
		}
		heads = append(heads, head)
	}
	return heads, rows.Err()
}

// BlocksFromLine returns heads as Blocks does, beginning with the block in which a line begins, or the
// first one after it if that was dropped; none for a line that has not begun yet.
func (s *Journals) BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error) {
	var start int64
	err := s.Reader.QueryRowContext(ctx, `SELECT start FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND first_line <= $3 AND first_line + lines > $3 AND codec <> 2
		ORDER BY first_line DESC LIMIT 1`, run, attempt, line).Scan(&start)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.Reader.QueryRowContext(ctx, `SELECT start FROM blocks
			WHERE run_id = $1 AND attempt = $2 AND first_line > $3 AND lines > 0 AND codec <> 2
			ORDER BY first_line LIMIT 1`, run, attempt, line).Scan(&start)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("line %d of run %s attempt %d: %w", line, run, attempt, err)
	}
	return s.Blocks(ctx, run, attempt, start, limit)
}

// EachOutput calls fn for each output record of a block.
func (s *Journals) EachOutput(ctx context.Context, key tables.AttemptKey, h index.BlockHead, fn func(journal.Output)) error {
	data, err := s.BlockData(ctx, key.Run, key.Attempt, h.Start)
	if err != nil {
		return err
	}
	data = data[:min(h.Size, int64(len(data)))]
	for at := int64(0); at < int64(len(data)); {
		rec, n, err := journal.Next(data[at:], h.Start+at)
		if err != nil {
			return err
		}
		at += int64(n)
		if rec.Type != journal.TypeOutput {
			continue
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			return err
		}
		fn(o)
	}
	return nil
}
