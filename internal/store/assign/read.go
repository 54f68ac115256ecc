package assign

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
)

// Conditions on rows of queue_ready, in which $2 is a host. Few runs avoid hosts: they have an index of their own.
const (
	anywhere  = `avoid = ''`
	elsewhere = `avoid <> '' AND REPLACE(avoid, $2, '') = avoid`
	notHere   = `avoid <> '' AND REPLACE(avoid, $2, '') <> avoid`
)

// candidates returns the first runs of a selector that match a worker. Those that avoid its host are among them if
// they have no other.
func (k *assignment) candidates(ctx context.Context, w *want, m *match) ([]candidate, error) {
	most := k.missing() + len(k.locked)
	found, err := k.readReady(ctx, w, m, anywhere, most)
	if err != nil || !m.avoids {
		return found, err
	}
	more, err := k.readReady(ctx, w, m, elsewhere, most)
	if err != nil {
		return nil, err
	}
	const mostAvoiding = 100
	avoiding, err := k.readReady(ctx, w, m, notHere, mostAvoiding)
	if err != nil {
		return nil, err
	}
	avoiding = slices.DeleteFunc(slices.Clone(avoiding), func(c candidate) bool {
		return rules.Avoids(rules.HostsOf(c.avoid), w.Worker.Host, m.selector, c.job, w.Others)
	})
	return inOrder(slices.Concat(found, more, avoiding)), nil
}

// inOrder sorts candidates by rank.
func inOrder(found []candidate) []candidate {
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.run, b.run)) })
	return found
}

// mostSeeks is the number of allowed jobs up to which each one is searched by itself.
const mostSeeks = 50

// readReady reads the first rows of a selector that match a condition. The rows of each allowed job are read off an
// index, so that those of other jobs are not read.
func (k *assignment) readReady(ctx context.Context, w *want, m *match, which string, most int) ([]candidate, error) {
	if n := len(w.Worker.Allow); n == 0 || n > mostSeeks {
		return k.readOnce(ctx, w, m, which, most, w.Worker.Allow)
	}
	var found []candidate
	for _, name := range w.Worker.Allow {
		some, err := k.readOnce(ctx, w, m, which, most, []string{name})
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	found = inOrder(found)
	return found[:min(len(found), most)], nil
}

// rowsKey identifies the result of readRows within a round.
type rowsKey struct {
	selector                    int64
	which, host, jobs, withheld string
}

// readOnce returns the result of readRows, and calls it once in a round for all workers with the same rowsKey.
func (k *assignment) readOnce(ctx context.Context, w *want, m *match, which string, most int, jobs []string) ([]candidate, error) {
	key := rowsKey{m.id, which, w.Worker.Host, strings.Join(jobs, "\n"), strings.Join(w.Withheld, "\n")}
	if which == anywhere {
		key.host = ""
	}
	found, known := k.rowsRead[key]
	if known {
		return found, nil
	}
	found, err := k.readRows(ctx, w, m, which, most, jobs)
	k.rowsRead[key] = found
	return found, err
}

// readyRows selects the first rows of a selector, $1, that match a condition, in which $2 is the host; at most $3. With
// ofJob the condition is also on the job.
func readyRows(d db.Dialect, which string, ofJob bool) string {
	from := `queue_ready`
	switch {
	case d.Postgres: // it chooses by what it knows of the rows
	case ofJob:
		from += ` INDEXED BY queue_ready_of_job`
	case !strings.HasPrefix(which, anywhere):
		from += ` INDEXED BY queue_ready_avoids`
	}
	return `SELECT run_id, job, group_name, avoid, rank, weight FROM ` + from + ` WHERE selector = $1 AND CAST($2 AS TEXT) IS NOT NULL AND ` + which + ` ORDER BY rank, run_id LIMIT $3`
}

// readRows reads the first rows of a selector; only of some jobs unless there are none.
func (k *assignment) readRows(ctx context.Context, w *want, m *match, which string, most int, jobs []string) ([]candidate, error) {
	args := []any{m.id, rules.HostsText([]string{w.Worker.Host}), most}
	switch len(jobs) {
	case 0:
	case 1:
		which, args = which+` AND job = $4`, append(args, jobs[0])
	default:
		from, list := k.t.Dialect.Table(4, db.Column{Texts: jobs})
		which, args = which+` AND job IN (SELECT c0 FROM `+from+`)`, append(args, list...)
	}
	if len(w.Withheld) > 0 {
		from, list := k.t.Dialect.Table(len(args)+1, db.Column{Texts: w.Withheld})
		which, args = which+` AND work NOT IN (SELECT c0 FROM `+from+`)`, append(args, list...)
	}
	rows, err := k.t.QueryContext(ctx, readyRows(k.t.Dialect, which, len(jobs) == 1), args...)
	if err != nil {
		return nil, fmt.Errorf("read the runs that are ready: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var found []candidate
	for rows.Next() {
		c := candidate{selector: m.id}
		if err := rows.Scan(&c.run, &c.job, &c.group, &c.avoid, &c.rank, &c.weight); err != nil {
			return nil, fmt.Errorf("read the runs that are ready: %w", err)
		}
		if !k.locked[c.run] {
			found = append(found, c)
		}
	}
	return found, rows.Err()
}
