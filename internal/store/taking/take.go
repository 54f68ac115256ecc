// Package taking takes runs from the queue for the workers that ask for them.
package taking

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/queue"
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

// Take takes for each worker up to n runs that are ready and that it takes, with the places of their groups; workers that
// come first choose first. The transaction locks the rows of the runs; those that another transaction has locked are left
// to others. No other worker gets a run meanwhile, so the statements are for all workers together.
func Take(ctx context.Context, t *db.Tx, wants ...Want) ([][]queue.Entry, error) {
	k := taking{t: t, free: map[string]int64{}, locked: map[string]bool{}, given: map[string]bool{}}
	all := make([][]queue.Entry, len(wants))
	for i, w := range wants {
		if w.N > 0 {
			k.wants = append(k.wants, &want{Want: w, at: i})
		}
	}
	if len(k.wants) == 0 {
		return all, nil
	}
	if err := groups.Lock(ctx, t); err != nil {
		return nil, err
	}
	if err := k.selectors(ctx); err != nil {
		return nil, err
	}
	for range maxRounds {
		again, err := k.round(ctx)
		if err != nil {
			return nil, err
		}
		if !again || k.missing() == 0 {
			break
		}
	}
	for _, w := range k.wants {
		all[w.at] = w.entries
	}
	return all, nil
}

// taking is a Take in its transaction.
type taking struct {
	t      *db.Tx
	wants  []*want
	free   map[string]int64 // places by group
	locked map[string]bool  // runs that another transaction has locked
	given  map[string]bool  // runs that were chosen
	read   map[rowsKey][]candidate
}

// want is a Want with what it gets.
type want struct {
	Want
	at      int // among all
	matches []match
	entries []queue.Entry
}

func (w *want) missing() int { return w.N - len(w.entries) }

// missing returns how many runs all workers could still have.
func (k *taking) missing() (n int) {
	for _, w := range k.wants {
		n += w.missing()
	}
	return n
}

// match is a selector whose runs a worker takes.
type match struct {
	id       int64
	selector rules.Selector
	avoids   bool // some of its runs avoid hosts
	found    []candidate
}

// candidate is a row of queue_ready.
type candidate struct {
	run, job, group, avoid string
	selector, rank, weight int64
}

// choice is a run that a worker is to get.
type choice struct {
	candidate
	of *want
}

// readySelectors selects the selectors of which a run is ready, and whether some of these avoid hosts. Each is looked for
// in the index, however many runs wait.
func readySelectors(d db.Dialect) string {
	avoiding := `queue_ready a INDEXED BY queue_ready_avoids`
	if d.Postgres {
		avoiding = `queue_ready a`
	}
	return `SELECT id, selector, CASE WHEN EXISTS (SELECT 1 FROM ` + avoiding + ` WHERE a.selector = s.id AND a.avoid <> '') THEN 1 ELSE 0 END FROM queue_selectors s
		WHERE (SELECT r.rank FROM queue_ready r WHERE r.selector = s.id ORDER BY r.rank, r.run_id LIMIT 1) IS NOT NULL ORDER BY id`
}

// selectors finds the selectors whose runs the workers take, and of which one is ready.
func (k *taking) selectors(ctx context.Context) error {
	rows, err := k.t.QueryContext(ctx, readySelectors(k.t.Dialect))
	if err != nil {
		return fmt.Errorf("read the selectors of the queue: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var m match
		var text []byte
		if err := rows.Scan(&m.id, &text, &m.avoids); err != nil {
			return fmt.Errorf("read the selectors of the queue: %w", err)
		}
		if json.Unmarshal(text, &m.selector) != nil {
			continue
		}
		for _, w := range k.wants {
			if w.Worker.Matches(m.selector) {
				w.matches = append(w.matches, m)
			}
		}
	}
	return rows.Err()
}

// round takes runs until there are enough or no more. It reports whether there may be more, because runs
// whose group is full have left the ready ones.
func (k *taking) round(ctx context.Context) (again bool, err error) {
	k.read = map[rowsKey][]candidate{}
	for _, w := range k.wants {
		for i := range w.matches {
			if w.matches[i].found, err = k.candidates(ctx, w, &w.matches[i]); err != nil {
				return false, err
			}
		}
	}
	for k.missing() > 0 {
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
func (k *taking) choose(ctx context.Context) (chosen []choice, full map[string]bool, err error) {
	full = map[string]bool{}
	for _, w := range k.wants {
		for n := len(w.entries); n < w.N; {
			c, ok := k.pick(w, n)
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
			k.given[c.run] = true
			chosen = append(chosen, choice{c, w})
			n++
		}
	}
	return chosen, full, nil
}

// pick removes the run from the candidates of a worker that is the n-th of its answer.
func (k *taking) pick(w *want, n int) (c candidate, ok bool) {
	var filled []*match
	var weights []int64
	for i := range w.matches {
		m := &w.matches[i]
		for len(m.found) > 0 && k.given[m.found[0].run] {
			m.found = m.found[1:]
		}
		if len(m.found) > 0 {
			filled, weights = append(filled, m), append(weights, m.found[0].weight)
		}
	}
	if len(filled) == 0 {
		return candidate{}, false
	}
	m := filled[rules.Turn(w.Poll, n, weights)]
	c = m.found[0]
	m.found = m.found[1:]
	return c, true
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
		if err := queue.WithdrawGroup(ctx, k.t, group); err != nil {
			return err
		}
	}
	return nil
}
