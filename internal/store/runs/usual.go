package runs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"stint.dev/stint/internal/band"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
)

// goodRunsBefore selects runs of a job that succeeded and started before one, by an index.
const goodRunsBefore = ` FROM runs WHERE job = $1 AND state = 'succeeded' AND (start_at, id) < (CAST($2 AS BIGINT), $3)
	ORDER BY start_at DESC, id DESC LIMIT `

// GoodRunsBefore returns up to limit runs that succeeded, of the job of a run, and that started
// before it, the last ones first. The peak of their memory is 0 where memory in use was not
// measured.
func (s *Queries) GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error) {
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+tables.RunColumns+goodRunsBefore+strconv.Itoa(limit), run.Job, db.Micros(run.StartAt), run.ID)
	if err != nil {
		return nil, fmt.Errorf("read good runs of job %s: %w", run.Job, err)
	}
	runs, skipped, err := tables.ScanRuns(rows)
	if err != nil {
		return nil, fmt.Errorf("read good runs of job %s: %w", run.Job, err)
	}
	s.RecordUnreadable(ctx, troubled.Run, skipped)
	unmeasured, err := s.unmeasured(ctx, run, limit)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if unmeasured[runs[i].ID] {
			runs[i].Usage.PeakMemoryBytes = 0
		}
	}
	return runs, nil
}

// unmeasured returns the ids of those runs of GoodRunsBefore whose memory in use was not
// measured, among them those of older servers, whose figures counted the cache of files.
func (s *Queries) unmeasured(ctx context.Context, run job.Run, limit int) (map[string]bool, error) {
	ids, err := s.ReadTexts(ctx, `SELECT id FROM (SELECT id, peak_memory`+goodRunsBefore+strconv.Itoa(limit)+`) AS good WHERE peak_memory = 0`,
		run.Job, db.Micros(run.StartAt), run.ID)
	if err != nil {
		return nil, fmt.Errorf("read good runs of job %s without memory: %w", run.Job, err)
	}
	out := map[string]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out, nil
}

// Expected returns what is usual for jobs now, by name; those with too few good runs, or with
// figures that cannot be read, are not in it.
func (s *Queries) Expected(ctx context.Context, names ...string) (map[string]*job.Expected, error) {
	return s.expected(ctx, s.Reader, names)
}

func (s *Queries) expected(ctx context.Context, from db.Querier, names []string) (map[string]*job.Expected, error) {
	out := map[string]*job.Expected{}
	if len(names) == 0 {
		return out, nil
	}
	rows, err := from.QueryContext(ctx, `SELECT job, figures FROM job_bands WHERE job >= $1 AND job <= $2`,
		slices.Min(names), slices.Max(names))
	if err != nil {
		return nil, fmt.Errorf("read what is usual: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var name string
		var text []byte
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("read what is usual: %w", err)
		}
		if !slices.Contains(names, name) {
			continue
		}
		if band := s.bands.of(text); band.Runs > 0 {
			out[name] = &band
		}
	}
	return out, rows.Err()
}

// maxBands bounds how many bands are kept in memory, each of which takes about 200 bytes.
const maxBands = 10_000

// bands keeps the bands of jobs by the SHA-256 of the stored figures, because an overview needs those of
// all its jobs, and to parse their figures takes longer than all its queries.
type bands struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]job.Expected
}

// of returns the band of stored figures. Runs is 0 if they are of too few runs or cannot be read; the
// next good run replaces those.
func (b *bands) of(text []byte) job.Expected {
	key := sha256.Sum256(text)
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.known[key]; ok {
		return known
	}
	var figures []band.GoodRun
	var out job.Expected
	if json.Unmarshal(text, &figures) == nil {
		if e := band.Of(figures); e != nil {
			out = *e
		}
	}
	if b.known == nil || len(b.known) >= maxBands {
		b.known = map[[sha256.Size]byte]job.Expected{}
	}
	b.known[key] = out
	return out
}
