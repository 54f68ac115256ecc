package claims

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"stint.dev/stint/internal/clock"

	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// endsOf selects ends of claims that count for what is withheld, of workers whose names are in a column of a table; $1 and
// $2 are from when and until when.
func endsOf(table, name string) string {
	return `SELECT e.worker, e.work, r.job, e.at, e.lost, e.reason FROM ` + table + ` CROSS JOIN ended_claims e JOIN runs r ON r.id = e.run_id
		WHERE e.worker = ` + name + ` AND e.at > $1 AND e.at <= $2 ORDER BY e.at, e.id`
}

// endsOfAll is endsOf for all workers that are known.
var endsOfAll = endsOf("workers w", "w.name")

// withheldWork returns the work that workers are not offered now, by their names, because they gave back or lost claims of
// it.
func withheldWork(ctx context.Context, t *db.Tx, names []string, now time.Time) (map[string][]string, error) {
	table, args := t.Dialect.Table(3, db.Column{Texts: names})
	all, err := readWithheld(ctx, t, now, endsOf(table, "v.c0"), args...)
	withheld := make(map[string][]string, len(all))
	for name, some := range all {
		for _, w := range some {
			withheld[name] = append(withheld[name], w.Work)
		}
	}
	return withheld, err
}

// readWithheld returns what workers are not offered now, by their names.
func readWithheld(ctx context.Context, from db.Querier, now time.Time, query string, args ...any) (map[string][]queue.Withheld, error) {
	args = append([]any{db.Micros(now.Add(-queue.EndedClaimsWindow)), db.Micros(clock.LatestNow(now))}, args...)
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read the claims that workers have given back: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	type key struct{ worker, work string }
	ends, jobs := map[key][]queue.EndedClaim{}, map[key]string{}
	for rows.Next() {
		var k key
		var e queue.EndedClaim
		var name string
		var at, lost int64
		if err := rows.Scan(&k.worker, &k.work, &name, &at, &lost, &e.Reason); err != nil {
			return nil, fmt.Errorf("read the claims that workers have given back: %w", err)
		}
		e.At, e.Lost = db.FromMicros(at), lost == 1
		ends[k], jobs[k] = append(ends[k], e), name
	}
	all := map[string][]queue.Withheld{}
	for _, k := range slices.SortedFunc(maps.Keys(ends), func(a, b key) int { return cmp.Compare(jobs[a]+"\n"+a.work, jobs[b]+"\n"+b.work) }) {
		if w, withheld := queue.WithheldBy(ends[k], now); withheld {
			w.Worker, w.Work, w.Job = k.worker, k.work, jobs[k]
			all[k.worker] = append(all[k.worker], w)
		}
	}
	return all, rows.Err()
}

// shownWithheld returns what a worker is not offered, as it is shown.
func shownWithheld(all []queue.Withheld) (shown []job.Gate) {
	for _, w := range all {
		text := w.Text()
		shown = append(shown, job.Gate{Gate: job.GateWithheld, Text: text, OpensAt: &w.Until, SentenceTimes: job.TimesIn(w.Until, text)})
	}
	return shown
}
