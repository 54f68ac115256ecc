package health

import (
	"time"

	"stint.dev/stint/internal/lease"
)

const (
	// storeInterval is how often the evidence of a run is stored, for the server that judges next.
	storeInterval = 30 * time.Second
	// findingStoreInterval is how often it is stored for a run with findings, because people read it.
	findingStoreInterval = 3 * time.Second
)

// evidenceCache has the evidence of active attempts, which is newer than the stored one.
type evidenceCache struct {
	all     map[attempt]*cachedEvidence
	changed map[attempt]*cachedEvidence // those that are to be stored
	turn    int                         // how many turns through all active runs have ended
}

func newEvidenceCache() evidenceCache {
	return evidenceCache{all: map[attempt]*cachedEvidence{}, changed: map[attempt]*cachedEvidence{}}
}

type cachedEvidence struct {
	evidence lease.Evidence
	storedAt time.Time     // zero if it was not stored
	interval time.Duration // at which it is stored
	turn     int           // in which it was last used
}

// update adds the last heartbeat of a lease to the evidence of its attempt, and returns it.
func (c *evidenceCache) update(l lease.Lease) lease.Evidence {
	key := attempt{l.Run, l.Attempt}
	known := c.all[key]
	if known == nil {
		known = &cachedEvidence{evidence: l.Evidence, storedAt: l.Evidence.At}
		c.all[key] = known
	}
	known.turn = c.turn
	if known.evidence.At.Before(l.Evidence.At) {
		known.evidence = l.Evidence
	}
	if l.Beat != nil && l.BeatAt.After(known.evidence.At) {
		before := known.evidence.At
		known.evidence = known.evidence.Observe(*l.Beat, l.BeatAt, l.Status)
		if known.evidence.At.After(before) {
			c.changed[key] = known
		}
	}
	known.interval = storeInterval
	if len(l.Findings) > 0 {
		known.interval = findingStoreInterval
	}
	return known.evidence
}

// endTurn removes the attempts that were not used in this turn, because they are not active any more.
func (c *evidenceCache) endTurn() {
	for key, one := range c.all {
		if one.turn < c.turn {
			delete(c.all, key)
			delete(c.changed, key)
		}
	}
	c.turn++
}

// due returns the changed evidence whose interval has passed.
func (c *evidenceCache) due(now time.Time) []lease.StoredEvidence {
	var out []lease.StoredEvidence
	for key, one := range c.changed {
		if now.Sub(one.storedAt) >= one.interval {
			out = append(out, lease.StoredEvidence{Run: key.run, Attempt: key.number, Evidence: one.evidence})
		}
	}
	return out
}

// markStored records that evidence was stored.
func (c *evidenceCache) markStored(stored []lease.StoredEvidence, now time.Time) {
	for _, one := range stored {
		key := attempt{one.Run, one.Attempt}
		if known := c.changed[key]; known != nil {
			known.storedAt = now
			delete(c.changed, key)
		}
	}
}
