package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
)

// Want is what a worker asks for.
type Want struct {
	Poll   string // identifies the question: the turns of selectors follow from it
	N      int    // the most runs
	Worker rules.Worker
	// Others are the other workers that live: a run avoids a host on which it failed only while one
	// of them could take it.
	Others []rules.Worker
	// Withheld are definitions, by their hashes, and jobs of commands without one, of which the worker
	// gets no run.
	Withheld []string
}

// maxRounds limits how often Take looks for further runs because the groups of those that it found
// were full.
const maxRounds = 10

// Take takes up to n runs that are ready and that a worker takes, with the places of their groups. The
// transaction locks their rows; runs that another transaction has locked are left to others.
func Take(ctx context.Context, t *db.Tx, w Want) ([]Entry, error) {
	if w.N <= 0 {
		return nil, nil
	}
	if err := groups.Lock(ctx, t); err != nil {
		return nil, err
	}
	one := taking{Want: w, t: t, free: map[string]int64{}, locked: map[string]bool{}}
	if err := one.selectors(ctx); err != nil {
		return nil, err
	}
	for range maxRounds {
		again, err := one.round(ctx)
		if err != nil {
			return nil, err
		}
		if !again || len(one.entries) >= w.N {
			break
		}
	}
	return one.entries, nil
}

// taking is a Take in its transaction.
type taking struct {
	Want
	t       *db.Tx
	matches []match
	free    map[string]int64 // places by group
	locked  map[string]bool  // runs that another transaction has locked
	entries []Entry
}

// match is a selector whose runs the worker takes.
type match struct {
	id       int64
	selector rules.Selector
	found    []candidate
}

// candidate is a row of queue_ready.
type candidate struct {
	run, job, group, avoid string
	selector, rank, weight int64
}

// readySelectors selects the selectors of which a run is ready. Each is looked for in the index, however many runs wait.
const readySelectors = `SELECT id, selector FROM queue_selectors s
	WHERE (SELECT r.rank FROM queue_ready r WHERE r.selector = s.id ORDER BY r.rank, r.run_id LIMIT 1) IS NOT NULL ORDER BY id`

// selectors finds the selectors whose runs the worker takes, and of which one is ready.
func (k *taking) selectors(ctx context.Context) error {
	rows, err := k.t.QueryContext(ctx, readySelectors)
	if err != nil {
		return fmt.Errorf("read the selectors of the queue: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var m match
		var text []byte
		if err := rows.Scan(&m.id, &text); err != nil {
			return fmt.Errorf("read the selectors of the queue: %w", err)
		}
		if json.Unmarshal(text, &m.selector) == nil && k.Worker.Matches(m.selector) {
			k.matches = append(k.matches, m)
		}
	}
	return rows.Err()
}

// round takes runs until there are enough or no more. It reports whether there may be more, because runs
// whose group is full have left the ready ones.
func (k *taking) round(ctx context.Context) (again bool, err error) {
	for i := range k.matches {
		if k.matches[i].found, err = k.candidates(ctx, &k.matches[i]); err != nil {
			return false, err
		}
	}
	for len(k.entries) < k.N {
		chosen, full, err := k.choose(ctx)
		if err != nil {
			return false, err
		}
		if err := k.take(ctx, chosen); err != nil {
			return false, err
		}
		if err := k.withdrawFull(ctx, full); err != nil {
			return false, err
		}
		again = again || len(full) > 0
		if len(chosen) == 0 {
			return again, nil
		}
	}
	return false, nil
}

// choose removes the runs from the candidates that are next, as many as are missing, and counts their places as taken.
// full are the groups of others, which have no place for them.
func (k *taking) choose(ctx context.Context) (chosen []candidate, full map[string]bool, err error) {
	full = map[string]bool{}
	for len(k.entries)+len(chosen) < k.N {
		c, ok := k.pick(len(k.entries) + len(chosen))
		if !ok {
			break
		}
		open, err := k.hasPlace(ctx, c.group)
		switch {
		case err != nil:
			return nil, nil, err
		case !open:
			full[c.group] = true
			continue
		}
		k.free[c.group]-- // for no group it has no meaning
		chosen = append(chosen, c)
	}
	return chosen, full, nil
}

// pick removes the run from the candidates that is the n-th of the answer.
func (k *taking) pick(n int) (c candidate, ok bool) {
	var filled []*match
	var weights []int64
	for i := range k.matches {
		if m := &k.matches[i]; len(m.found) > 0 {
			filled, weights = append(filled, m), append(weights, m.found[0].weight)
		}
	}
	if len(filled) == 0 {
		return candidate{}, false
	}
	m := filled[rules.Turn(k.Poll, n, weights)]
	c = m.found[0]
	m.found = m.found[1:]
	return c, true
}

// Conditions on rows of queue_ready, in which $2 is a host. Few runs avoid hosts: they have an index of their own.
const (
	anywhere  = `avoid = ''`
	elsewhere = `avoid <> '' AND REPLACE(avoid, $2, '') = avoid`
	notHere   = `avoid <> '' AND REPLACE(avoid, $2, '') <> avoid`
)

// candidates returns the first runs of a selector that the worker takes. Those that avoid its host are among them if
// they have no other.
func (k *taking) candidates(ctx context.Context, m *match) ([]candidate, error) {
	most := k.N - len(k.entries) + len(k.locked)
	found, err := k.readReady(ctx, m, anywhere, most)
	if err != nil {
		return nil, err
	}
	more, err := k.readReady(ctx, m, elsewhere, most)
	if err != nil {
		return nil, err
	}
	const mostAvoiding = 100
	avoiding, err := k.readReady(ctx, m, notHere, mostAvoiding)
	if err != nil {
		return nil, err
	}
	avoiding = slices.DeleteFunc(avoiding, func(c candidate) bool {
		return rules.Avoids(rules.HostsOf(c.avoid), k.Worker.Host, m.selector, c.job, k.Others)
	})
	return inOrder(slices.Concat(found, more, avoiding)), nil
}

// inOrder sorts candidates by rank.
func inOrder(found []candidate) []candidate {
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.run, b.run)) })
	return found
}

// mostSeeks is up to how many allowed jobs are looked for one by one.
const mostSeeks = 50

// readReady reads the first rows of a selector that match a condition. The rows of each allowed job are read off an
// index, so that those of other jobs are not read.
func (k *taking) readReady(ctx context.Context, m *match, which string, most int) ([]candidate, error) {
	if n := len(k.Worker.Allow); n == 0 || n > mostSeeks {
		return k.readRows(ctx, m, which, most, k.Worker.Allow)
	}
	var found []candidate
	for _, name := range k.Worker.Allow {
		some, err := k.readRows(ctx, m, which, most, []string{name})
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	found = inOrder(found)
	return found[:min(len(found), most)], nil
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
func (k *taking) readRows(ctx context.Context, m *match, which string, most int, jobs []string) ([]candidate, error) {
	args := []any{m.id, rules.HostsText([]string{k.Worker.Host}), most}
	switch len(jobs) {
	case 0:
	case 1:
		which, args = which+` AND job = $4`, append(args, jobs[0])
	default:
		from, list := k.t.Dialect.Table(4, db.Column{Texts: jobs})
		which, args = which+` AND job IN (SELECT c0 FROM `+from+`)`, append(args, list...)
	}
	if len(k.Withheld) > 0 {
		from, list := k.t.Dialect.Table(len(args)+1, db.Column{Texts: k.Withheld})
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

// hasPlace reports whether a group has a free place.
func (k *taking) hasPlace(ctx context.Context, group string) (bool, error) {
	if group == "" {
		return true, nil
	}
	free, known := k.free[group]
	if !known {
		var err error
		if free, err = groups.CountFree(ctx, k.t, group); err != nil {
			return false, err
		}
		k.free[group] = free
	}
	return free > 0, nil
}

// withdrawFull takes the runs of groups out of the ready ones that have no free place: a lower limit, or another
// selector's runs, took what they were made ready for.
func (k *taking) withdrawFull(ctx context.Context, full map[string]bool) error {
	for _, group := range slices.Sorted(maps.Keys(full)) {
		if k.free[group] > 0 { // another transaction has one of its runs
			continue
		}
		if err := withdraw(ctx, k.t, rules.Full, `group_name = $1 AND group_name <> ''`, group); err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes runs out of the ready ones that match a condition, whose argument is $1.
func withdraw(ctx context.Context, t *db.Tx, gate rules.Gate, which string, arg any) error {
	wait := waitCounts
	if !gate.Counts() {
		wait = waitStops
	}
	_, err := t.ExecContext(ctx, `UPDATE queue_entries SET gate = $2, `+wait+` WHERE gate = 'ready' AND run_id IN (SELECT run_id FROM queue_ready WHERE `+which+`)`, arg, string(gate), db.Micros(t.Now()))
	if err == nil {
		_, err = t.ExecContext(ctx, `DELETE FROM queue_ready WHERE `+which, arg)
	}
	if err != nil {
		return fmt.Errorf("withdraw runs that were ready: %w", err)
	}
	return nil
}
