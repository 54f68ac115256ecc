package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

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
	return expected(ctx, s.Reader, names)
}

func expected(ctx context.Context, from db.Querier, names []string) (map[string]*job.Expected, error) {
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
		var figures []band.GoodRun
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("read what is usual: %w", err)
		}
		if json.Unmarshal(text, &figures) != nil {
			continue // see figures
		}
		if band := band.Of(figures); band != nil && slices.Contains(names, name) {
			out[name] = band
		}
	}
	return out, rows.Err()
}
