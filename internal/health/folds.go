package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
)

// keepEvery is how often the evidence of a run is stored: a server that judges next knows
// what was reported until then.
const keepEvery = 30 * time.Second

// keepSoon is the same for a run that has findings: people ask why.
const keepSoon = 3 * time.Second

// folds is the evidence of active attempts, newer than what is stored.
type folds struct {
	all   map[attempt]*folded
	dirty map[attempt]*folded // those that are to be stored
	turn  int                 // turns through all active runs that have ended
}

func newFolds() folds {
	return folds{all: map[attempt]*folded{}, dirty: map[attempt]*folded{}}
}

type folded struct {
	evidence lease.Evidence
	savedAt  time.Time     // when it was stored; zero for not yet
	pause    time.Duration // until it is stored again
	turn     int           // of folds, when it was last seen
}

// fold adds the last heartbeat of a lease and returns the evidence.
func (f *folds) fold(l lease.Lease) lease.Evidence {
	key := attempt{l.Run, l.Attempt}
	known := f.all[key]
	if known == nil {
		known = &folded{evidence: l.Evidence, savedAt: l.Evidence.At}
		f.all[key] = known
	}
	known.turn = f.turn
	if known.evidence.At.Before(l.Evidence.At) {
		known.evidence = l.Evidence
	}
	if l.Beat != nil && l.BeatAt.After(known.evidence.At) {
		before := known.evidence.At
		known.evidence = known.evidence.Observe(*l.Beat, l.BeatAt, l.Status)
		if known.evidence.At.After(before) {
			f.dirty[key] = known
		}
	}
	known.pause = keepEvery
	if len(l.Findings) > 0 {
		known.pause = keepSoon
	}
	return known.evidence
}

// endTurn forgets the attempts that were not seen in this turn: they are over.
func (f *folds) endTurn() {
	for key, one := range f.all {
		if one.turn < f.turn {
			delete(f.all, key)
			delete(f.dirty, key)
		}
	}
	f.turn++
}

// unsaved is what should be stored now.
func (f *folds) unsaved(now time.Time) []lease.StoredEvidence {
	var out []lease.StoredEvidence
	for key, one := range f.dirty {
		if now.Sub(one.savedAt) >= one.pause {
			out = append(out, lease.StoredEvidence{Run: key.run, Attempt: key.number, Evidence: one.evidence})
		}
	}
	return out
}

func (f *folds) saved(those []lease.StoredEvidence, now time.Time) {
	for _, one := range those {
		key := attempt{one.Run, one.Attempt}
		if known := f.dirty[key]; known != nil {
			known.savedAt = now
			delete(f.dirty, key)
		}
	}
}

// rereadEvery is how often the policies are read again while one of them cannot be read.
const rereadEvery = 10 * time.Second

// policies are those of the jobs that have one.
type policies struct {
	version string
	own     map[string]policy.Policy
	// unreadable are the jobs whose policy could not be read at readAt.
	unreadable []string
	readAt     time.Time
}

var defaultPolicy = policy.Default()

func (p *policies) of(job string) policy.Policy {
	if own, ok := p.own[job]; ok {
		return own
	}
	return defaultPolicy
}

// refresh reads the policies again when one was set or removed, and now and then while one
// cannot be read: the default holds for that job, and the others are judged by their own.
func (p *policies) refresh(ctx context.Context, now time.Time, store Store) error {
	seen := p.version
	if len(p.unreadable) > 0 && now.Sub(p.readAt) >= rereadEvery {
		seen = ""
	}
	all, version, err := store.Policies(ctx, seen)
	if err != nil || version == seen {
		return err
	}
	before := p.unreadable
	own := make(map[string]policy.Policy, len(all))
	p.unreadable = nil
	for _, stored := range all {
		parsed, err := policy.Parse([]byte(stored.YAML))
		if err == nil {
			own[stored.Job] = parsed
			err = stored.Unreadable
		}
		if err != nil {
			p.unreadable = append(p.unreadable, stored.Job)
			store.PolicyFailed(ctx, stored.Job, fmt.Errorf("the stored policy of job %s cannot be read, and the default holds instead: %w; set it again", stored.Job, err))
			continue
		}
		store.PolicyRead(ctx, stored.Job)
	}
	for _, name := range before {
		if !slices.ContainsFunc(all, func(stored policy.Stored) bool { return stored.Job == name }) {
			store.PolicyRead(ctx, name) // it was removed
		}
	}
	p.version, p.own, p.readAt = version, own, now
	return nil
}
