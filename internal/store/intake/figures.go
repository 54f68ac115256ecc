package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"stint.dev/stint/internal/band"
	"stint.dev/stint/internal/store/db"
)

// figures are those of the last good runs of a job, in a group.
type figures struct {
	loaded bool
	stored []band.GoodRun // in the database, if they are known
	good   []band.GoodRun // of the group, which Save adds
}

// loadFigures reads the figures of the last good runs of jobs that are not known yet.
func (g *Group) loadFigures(ctx context.Context, jobs []string) error {
	jobs = slices.DeleteFunc(jobs, func(name string) bool { return g.figures[name].loaded })
	if len(jobs) == 0 {
		return nil
	}
	read, err := readFigures(ctx, g.Tx, jobs, "")
	if err != nil {
		return err
	}
	for _, name := range jobs {
		g.figures[name] = figures{loaded: true, stored: read[name], good: g.figures[name].good}
	}
	return nil
}

// figuresOf returns the figures of the last good runs of a job, with those of the group.
func (g *Group) figuresOf(ctx context.Context, name string) ([]band.GoodRun, error) {
	if err := g.loadFigures(ctx, []string{name}); err != nil {
		return nil, err
	}
	f := g.figures[name]
	return addAll(f.stored, f.good), nil
}

// addFigures adds the figures of a good run.
func (g *Group) addFigures(name string, good band.GoodRun) {
	f := g.figures[name]
	f.good = append(f.good, good)
	g.figures[name] = f
}

// addAll adds the figures of good runs, the newest one last.
func addAll(last, good []band.GoodRun) []band.GoodRun {
	for _, one := range good {
		last = band.Add(last, one)
	}
	return last
}

// readFigures returns the figures of the last good runs of jobs; lock is the end of the query. Figures
// that cannot be read are none: the next good run replaces them.
func readFigures(ctx context.Context, t *db.Tx, jobs []string, lock string) (map[string][]band.GoodRun, error) {
	table, args := t.Dialect.Table(1, db.Column{Texts: jobs})
	rows, err := t.QueryContext(ctx, `SELECT job, figures FROM job_bands WHERE job IN (SELECT c0 FROM `+table+`) ORDER BY job`+lock, args...)
	if err != nil {
		return nil, fmt.Errorf("read what is usual for %d jobs: %w", len(jobs), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	all := make(map[string][]band.GoodRun, len(jobs))
	for rows.Next() {
		var name string
		var text []byte
		if err := rows.Scan(&name, &text); err != nil {
			return nil, fmt.Errorf("read what is usual for %d jobs: %w", len(jobs), err)
		}
		var read []band.GoodRun
		if json.Unmarshal(text, &read) == nil {
			all[name] = read
		}
	}
	return all, rows.Err()
}

// saveFigures adds the figures of the good runs of the group to those in the database.
func (g *Group) saveFigures(ctx context.Context) error {
	var jobs []string
	for name, f := range g.figures {
		if len(f.good) > 0 {
			jobs = append(jobs, name)
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	slices.Sort(jobs)
	read, err := readFigures(ctx, g.Tx, jobs, g.Tx.Dialect.Lock)
	if err != nil {
		return err
	}
	for _, name := range jobs {
		doc, err := json.Marshal(addAll(read[name], g.figures[name].good))
		if err != nil {
			return fmt.Errorf("encode what is usual for job %s: %w", name, err)
		}
		err = g.Tx.Queue(ctx, db.Statement{
			Query: `INSERT INTO job_bands (job, figures) VALUES ($1, $2) ON CONFLICT (job) DO UPDATE SET figures = $2`, Args: []any{name, string(doc)},
			What: "store what is usual for job " + name,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
