// Package assign assigns ready runs of the queue to the workers that request them.
package assign

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

// Want is the request of a worker.
type Want struct {
	Poll   string // identifies the request; the order of selectors depends on it
	N      int    // the most runs
	Worker rules.Worker
	// Others are the other workers that live: a run avoids a host on which it failed only while one
	// of them could take it.
	Others []rules.Worker
	// Withheld are definitions, by their hashes, and jobs of commands without one, of which the worker
	// gets no run.
	Withheld []string
}

// maxRounds limits how often Runs searches again because the groups of the runs that it found were full.
const maxRounds = 10

// Runs assigns to each worker up to N ready runs that match it, with the places of their groups, and returns them in the order of
// wants. Earlier workers choose first. The transaction locks the rows of the runs, and skips those that another transaction has
// locked. No other worker gets a run meanwhile, so each statement is for all workers together.
func Runs(ctx context.Context, t *db.Tx, wants ...Want) ([][]queue.Entry, error) {
	k := assignment{t: t, free: map[string]int64{}, locked: map[string]bool{}, chosen: map[string]bool{}}
	all := make([][]queue.Entry, len(wants))
	for i, w := range wants {
		if w.N > 0 {
			k.wants = append(k.wants, &want{Want: w, index: i})
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
		all[w.index] = w.entries
	}
	return all, nil
}

// assignment is the state of Runs in its transaction.
type assignment struct {
	t        *db.Tx
	wants    []*want
	free     map[string]int64 // places by group
	locked   map[string]bool  // runs that another transaction has locked
	chosen   map[string]bool  // runs that were chosen
	rowsRead map[rowsKey][]candidate
}

// want is a Want with its result.
type want struct {
	Want
	index   int // among all
	matches []match
	entries []queue.Entry
}

func (w *want) missing() int { return w.N - len(w.entries) }

// missing returns how many more runs all workers may get.
func (k *assignment) missing() (n int) {
	for _, w := range k.wants {
		n += w.missing()
	}
	return n
}

// match is a selector that matches a worker.
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

// choice is a run that was chosen for a worker.
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
func (k *assignment) selectors(ctx context.Context) error {
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

// round assigns runs until there are enough or no more. It reports whether there may be more, because runs
// whose group is full have left the ready ones.
func (k *assignment) round(ctx context.Context) (again bool, err error) {
	k.rowsRead = map[rowsKey][]candidate{}
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
		if err := k.assign(ctx, chosen); err != nil {
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
func (k *assignment) choose(ctx context.Context) (chosen []choice, full map[string]bool, err error) {
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
			k.chosen[c.run] = true
			chosen = append(chosen, choice{c, w})
			n++
		}
	}
	return chosen, full, nil
}

// pick removes the run from the candidates of a worker that is the n-th of its answer.
func (k *assignment) pick(w *want, n int) (c candidate, ok bool) {
	var filled []*match
	var weights []int64
	for i := range w.matches {
		m := &w.matches[i]
		for len(m.found) > 0 && k.chosen[m.found[0].run] {
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
func (k *assignment) hasPlace(ctx context.Context, group string) (bool, error) {
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

// withdrawFull removes the runs of groups without a free place from the ready ones: a lower limit, or another
// selector's runs, took what they were made ready for.
func (k *assignment) withdrawFull(ctx context.Context, full map[string]bool) error {
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
