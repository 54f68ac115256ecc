package blocks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// EncodeSamples returns samples as they are stored in the row of a block.
func EncodeSamples(samples []job.Sample) ([]json.RawMessage, error) {
	var out []json.RawMessage
	for _, s := range samples {
		text, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("encode a sample: %w", err)
		}
		out = append(out, text)
	}
	return out, nil
}

// clockSlack is the most by which the time of a sample may differ from those of the records around it.
const clockSlack = time.Minute

// Samples returns samples of an attempt in order of time. It reads the blocks of the requested time one
// after the other, and holds only the samples that it chooses.
func (s *Journals) Samples(ctx context.Context, run string, attempt int, q query.Samples) (query.SampleSeries, error) {
	from, to, err := s.sampledBlocks(ctx, run, attempt, q)
	if err != nil || to == 0 {
		return query.SampleSeries{Samples: []job.Sample{}}, err
	}
	// A selected block may have been merged with earlier ones meanwhile.
	rows, err := s.Reader.QueryContext(ctx, `SELECT samples FROM blocks WHERE run_id = $1 AND attempt = $2 AND samples IS NOT NULL
		AND start >= COALESCE((SELECT start FROM blocks WHERE run_id = $1 AND attempt = $2 AND start <= $3 ORDER BY start DESC LIMIT 1), 0)
		AND start <= $4 ORDER BY start`, run, attempt, from, to)
	if err != nil {
		return query.SampleSeries{}, fmt.Errorf("samples of run %s attempt %d: %w", run, attempt, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	thin := query.NewThinner(q.Points)
	var before, after *job.Sample
	var some []job.Sample
	for rows.Next() {
		some, err = scanSamples(some[:0], rows)
		if err != nil {
			return query.SampleSeries{}, fmt.Errorf("samples of run %s attempt %d: %w", run, attempt, err)
		}
		for i := range some {
			switch one := &some[i]; {
			case !q.From.IsZero() && one.At.Before(q.From):
				if before == nil || !one.At.Before(before.At) {
					before = new(*one)
				}
			case !q.To.IsZero() && one.At.After(q.To):
				if after == nil || one.At.Before(after.At) {
					after = new(*one)
				}
			default:
				thin.Add(*one)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return query.SampleSeries{}, fmt.Errorf("samples of run %s attempt %d: %w", run, attempt, err)
	}
	series := thin.Series(!q.Even)
	for _, edge := range []*job.Sample{before, after} {
		if edge != nil {
			series.Samples, series.Total = append(series.Samples, *edge), series.Total+1
		}
	}
	slices.SortStableFunc(series.Samples, func(a, b job.Sample) int { return a.At.Compare(b.At) })
	return series, nil
}

// scanSamples appends the samples of a row to into.
func scanSamples(into []job.Sample, from db.Scanner) ([]job.Sample, error) {
	var text []byte
	if err := from.Scan(&text); err != nil {
		return nil, err
	}
	return query.DecodeSamples(into, text)
}

// sampledBlocks returns the starts of the first and the last block with samples of a time, including the
// nearest blocks before and after it; to is 0 if there is none. It reads no samples.
func (s *Journals) sampledBlocks(ctx context.Context, run string, attempt int, q query.Samples) (from, to int64, err error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT head FROM blocks WHERE run_id = $1 AND attempt = $2 AND samples IS NOT NULL ORDER BY start`, run, attempt)
	if err != nil {
		return 0, 0, fmt.Errorf("blocks with samples of run %s attempt %d: %w", run, attempt, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	low, high := q.From.Add(-clockSlack), q.To.Add(clockSlack)
	var before, after index.BlockHead // the nearest of them
	take := func(h index.BlockHead) {
		if to == 0 {
			from = h.Start
		}
		from, to = min(from, h.Start), max(to, h.Start)
	}
	for rows.Next() {
		var text []byte
		var h index.BlockHead
		err := rows.Scan(&text)
		if err == nil {
			err = json.Unmarshal(text, &h)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("blocks with samples of run %s attempt %d: %w", run, attempt, err)
		}
		switch {
		case !q.From.IsZero() && h.LastAt.Before(low):
			if !h.LastAt.Before(before.LastAt) {
				before = h
			}
		case !q.To.IsZero() && h.FirstAt.After(high):
			if after.Start == 0 || h.FirstAt.Before(after.FirstAt) {
				after = h
			}
		default:
			take(h)
		}
	}
	for _, h := range []index.BlockHead{before, after} {
		if h.Start != 0 {
			take(h)
		}
	}
	return from, to, rows.Err()
}

// SamplesText returns the samples in the row of a block as they are stored; nil if it has none.
func (s *Journals) SamplesText(ctx context.Context, key tables.AttemptKey, start int64) ([]byte, error) {
	var text []byte
	err := s.Reader.QueryRowContext(ctx, `SELECT samples FROM blocks WHERE run_id = $1 AND attempt = $2 AND start = $3`, key.Run, key.Attempt, start).Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("samples of block %d of run %s attempt %d: %w", start, key.Run, key.Attempt, err)
	}
	return text, nil
}

// SampledBytes returns the size of the blocks of an attempt's journal that have samples, which is a measure
// of the cost of reading them.
func (s *Journals) SampledBytes(ctx context.Context, run string, attempt int) (int64, error) {
	var n int64
	err := s.Reader.QueryRowContext(ctx, `SELECT COALESCE(SUM(size), 0) FROM blocks WHERE run_id = $1 AND attempt = $2 AND samples IS NOT NULL`, run, attempt).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the bytes with samples of run %s attempt %d: %w", run, attempt, err)
	}
	return n, nil
}

// LastSamples returns the last n samples of an attempt, in order of time.
func (s *Journals) LastSamples(ctx context.Context, run string, attempt, n int) ([]job.Sample, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT samples FROM blocks
		WHERE run_id = $1 AND attempt = $2 AND samples IS NOT NULL ORDER BY start DESC`, run, attempt)
	if err != nil {
		return nil, fmt.Errorf("last samples of run %s attempt %d: %w", run, attempt, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var last []job.Sample
	for len(last) < n && rows.Next() {
		some, err := scanSamples(nil, rows)
		if err != nil {
			return nil, fmt.Errorf("last samples of run %s attempt %d: %w", run, attempt, err)
		}
		last = slices.Concat(some, last)
	}
	last = last[max(0, len(last)-n):]
	slices.SortStableFunc(last, func(a, b job.Sample) int { return a.At.Compare(b.At) })
	return last, rows.Err()
}
