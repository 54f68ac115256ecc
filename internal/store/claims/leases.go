package claims

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
)

// A worker that waits for runs sends the same request repeatedly, and its row is not written each time. The server that gets
// the requests keeps the time of the last one and the end of the lease in memory; the lease in the row is queue.LeaseAhead
// longer. The row is written when something in it changes, when the worker asks another server, before the lease in the row
// ends, and when the lease has ended: docs/adr/0015-leases-of-workers.md.

// keptLease is what this server keeps in memory of a worker that has asked it.
type keptLease struct {
	id                  string
	askedAt, leaseUntil time.Time
	written             time.Time // the time of the last request in its row
	doc                 workerDoc // with what its host has free
}

// keptLeases are the leases of the workers that have asked this server, by name. Only while a worker is among them may its row
// be left unwritten.
type keptLeases struct {
	mu  sync.Mutex
	all map[string]keptLease
}

// set stores that a worker has asked, and that its row is written.
func (h *keptLeases) set(name string, w keptLease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[string]keptLease{}
	}
	h.all[name] = w
}

// renew stores that a worker has asked whose row is not written. It reports false if the row must be written: another
// process wrote it, or the end of the lease is about to be written.
func (h *keptLeases) renew(name string, w keptLease) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, known := h.all[name]
	if !known || before.id != w.id || !before.written.Equal(w.written) {
		return false
	}
	h.all[name] = w
	return true
}

// takeEnded removes and returns the workers whose leases have ended.
func (h *keptLeases) takeEnded(now time.Time) map[string]keptLease {
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := map[string]keptLease{}
	for name, w := range h.all {
		if !w.leaseUntil.After(now) {
			ended[name] = w
			delete(h.all, name)
		}
	}
	return ended
}

// putBack keeps workers whose ends could not be stored, unless they have asked since.
func (h *keptLeases) putBack(ended map[string]keptLease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, w := range ended {
		if _, again := h.all[name]; !again {
			h.all[name] = w
		}
	}
}

// exact returns a worker with what is only in memory.
func (s *Claims) exact(w workerRow) workerRow {
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	known, ok := s.leases.all[w.name]
	if ok && w.doc.Server == s.server && known.id == w.id && known.written.Equal(w.askedAt) && !w.leaving {
		w.askedAt, w.leaseUntil = known.askedAt, known.leaseUntil
		w.doc.FreeMemoryBytes, w.doc.FreeCPUs = known.doc.FreeMemoryBytes, known.doc.FreeCPUs
	}
	return w
}

// EndLeases stores the ends of the leases of workers that have not asked this server again, for the other servers.
func (s *Claims) EndLeases(ctx context.Context) error {
	ended := s.leases.takeEnded(s.Now())
	for _, name := range slices.Sorted(maps.Keys(ended)) {
		w := ended[name]
		err := s.Change(ctx, "store that worker "+job.Quote(name)+" does not ask any more",
			`UPDATE workers SET asked_at = $3, lease_until = $4 WHERE name = $1 AND id = $5 AND asked_at = $2 AND lease_until > $4`,
			name, db.Micros(w.written), db.Micros(w.askedAt), db.Micros(w.leaseUntil), w.id)
		if err != nil {
			s.leases.putBack(ended)
			return err
		}
		delete(ended, name)
	}
	return nil
}

// idle answers the request of a worker without a transaction that writes, if it says the same as before and nothing is
// ready. It reports whether it did.
func (s *Claims) idle(ctx context.Context, worker string, r job.ClaimRequest) (reply job.ClaimReply, done bool, err error) {
	if r.Leaving || len(r.Starting) > 0 {
		return reply, false, nil
	}
	rows, err := s.Reader.QueryContext(ctx, `SELECT `+workerColumns+` FROM workers WHERE name = $1`, worker)
	if err != nil {
		return reply, false, fmt.Errorf("read worker %s: %w", job.Quote(worker), err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	if !rows.Next() {
		return reply, false, rows.Err()
	}
	w, err := scanWorker(rows)
	if err != nil || slices.Contains(w.polls, r.ClaimID) {
		return reply, false, err
	}
	if err := rows.Close(); err != nil {
		return reply, false, fmt.Errorf("read worker %s: %w", job.Quote(worker), err)
	}
	if w.drain == nil {
		if ready, err := storequeue.IsAnyReady(ctx, s.Reader); err != nil || ready {
			return reply, false, err
		}
	}
	now := db.FromMicros(db.Micros(s.Now()))
	if !s.isKept(w, r, now) {
		return reply, false, nil
	}
	return s.replyTo(w, r, now), true, nil
}

// isKept reports whether the row of a worker is right though it asks again, and notes then that it does.
func (s *Claims) isKept(w workerRow, r job.ClaimRequest, now time.Time) bool {
	doc, lease := s.docOf(r), leaseOf(r, now)
	age := now.Sub(w.askedAt) // of a clock that was ahead it is negative
	if w.id != r.WorkerID || w.host != r.Host || w.leaving != r.Leaving || !w.doc.equals(doc) ||
		age < 0 || age > queue.LeaseAhead || w.leaseUntil.Before(lease) || w.leaseUntil.After(queue.LatestLeaseEnd(now)) {
		return false
	}
	return s.leases.renew(w.name, keptLease{id: w.id, askedAt: now, leaseUntil: lease, written: w.askedAt, doc: doc})
}
