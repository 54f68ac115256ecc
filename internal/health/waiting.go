package health

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/queue"
)

const (
	// waitingInterval is the time between two pages of the queue that are judged. What fires is judged each time.
	waitingInterval = 5 * time.Second
	// waitingLimit is how many runs of the queue a page has: 100,000 runs are judged in about four minutes.
	waitingLimit = 2000
	// maxFoundWaiting is how many runs are judged again at most that have a finding.
	maxFoundWaiting = 10_000
)

// queuePage is the position in a turn through the queue.
type queuePage struct {
	after string              // the row after which the next page begins
	lines map[queue.Line]bool // those whose first run was seen in this turn
	due   time.Time           // when the next page is judged
}

// judgeWaiting judges a page of the runs in the queue, and those that have a finding.
func (m *Monitor) judgeWaiting(ctx context.Context, now time.Time) error {
	if p := &m.queue; now.Before(p.due) && p.due.Sub(now) <= waitingInterval {
		return nil
	}
	m.queue.due = now.Add(waitingInterval)
	all, err := m.waiting(ctx, now)
	if err != nil {
		return fmt.Errorf("read the runs that wait: %w", err)
	}
	m.mu.Lock()
	since := rules.Later(m.leadsFrom, m.outages.end())
	m.mu.Unlock()
	var verdicts []lease.Verdict
	for _, w := range all {
		if v, changed := rules.JudgeWaiting(w, now, since, m.policies.of(w.Job)); changed {
			verdicts = append(verdicts, v)
		}
	}
	return m.storeVerdicts(ctx, verdicts)
}

// waiting returns the runs in the queue that are judged now: those that have a finding, and of a page those that are the
// first of their line.
func (m *Monitor) waiting(ctx context.Context, now time.Time) ([]queue.WaitingRun, error) {
	all, err := m.store.FoundWaiting(ctx, maxFoundWaiting, now)
	if err != nil {
		return nil, err
	}
	page, last, err := m.store.Waiting(ctx, m.queue.after, waitingLimit, now)
	if err != nil {
		return nil, err
	}
	if m.queue.after == "" || m.queue.lines == nil {
		m.queue.lines = map[queue.Line]bool{}
	}
	m.queue.after = last
	for _, w := range page {
		if w.Since.IsZero() || m.queue.lines[w.Line] {
			continue // it is to wait, or comes after another one
		}
		m.queue.lines[w.Line] = true
		if len(w.Findings) == 0 {
			all = append(all, w)
		}
	}
	return all, nil
}
