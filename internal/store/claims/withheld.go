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

// Ends of claims that count for what is withheld, of one worker or of all that are known; $1 and $2 are from when and until
// when.
const (
	endsOfWorker = `SELECT e.worker, e.work, r.job, e.at, e.lost, e.reason FROM ended_claims e JOIN runs r ON r.id = e.run_id
		WHERE e.at > $1 AND e.at <= $2 AND e.worker = $3 ORDER BY e.at, e.id`
	endsOfAll = `SELECT e.worker, e.work, r.job, e.at, e.lost, e.reason FROM workers w CROSS JOIN ended_claims e JOIN runs r ON r.id = e.run_id
		WHERE e.worker = w.name AND e.at > $1 AND e.at <= $2 ORDER BY e.at, e.id`
)

// withheldWork returns the work that a worker is not offered now, because it gave back or lost claims of it.
func withheldWork(ctx context.Context, t *db.Tx, worker string, now time.Time) (withheld []string, err error) {
	all, err := readWithheld(ctx, t, now, endsOfWorker, worker)
	for _, w := range all[worker] {
		withheld = append(withheld, w.Work)
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
