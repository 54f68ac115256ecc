package queue

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// Gate is a reason why a queued run does not start now.
type Gate string

// The gates, in the order in which they are looked at. A run without a closed gate is ready.
const (
	Held     Gate = "held"       // until a person releases it
	After    Gate = "after"      // runs that it depends on have not ended
	Later    Gate = "not_before" // its time has not come
	Paused   Gate = "paused"     // its definition is paused
	Full     Gate = "group"      // its group has no free place
	NoWorker Gate = "no_worker"  // no worker could ever take it
	NoSlot   Gate = "no_slot"    // every worker that could take it is full
	Apart    Gate = "withheld"   // no worker that could take it is offered it
)

// Counts reports whether time at a closed gate counts as waiting, because no user requested the wait.
func (g Gate) Counts() bool { return g == Full || g == NoWorker || g == NoSlot || g == Apart }

// RestoredGrace is how long after the database was restored no run starts that waited in it: agents that live report
// meanwhile what they run.
const RestoredGrace = time.Minute

// Waits is what a queued run waits for.
type Waits struct {
	Held      bool
	Unmet     int // dependencies that have not ended
	NotBefore *time.Time
	Paused    bool
	GroupFull bool
}

// Closed returns the gates that are closed at a time, in their order.
func Closed(w Waits, now time.Time) (closed []Gate) {
	for _, g := range []struct {
		gate   Gate
		closed bool
	}{
		{Held, w.Held},
		{After, w.Unmet > 0},
		{Later, w.NotBefore != nil && w.NotBefore.After(now)},
		{Paused, w.Paused},
		{Full, w.GroupFull},
	} {
		if g.closed {
			closed = append(closed, g.gate)
		}
	}
	return closed
}

// Selector is what runs ask of a worker. Runs that ask the same have the same selector.
type Selector struct {
	Requires map[string]string // labels
	Command  bool              // a command without a definition
	Spec     int               // the version of the spec
	Memory   int64             `json:",omitempty"` // the limit in bytes; 0 for none
}

// Text returns the selector as it is stored: the same one has the same text.
func (s Selector) Text() (string, error) {
	if len(s.Requires) == 0 {
		s.Requires = nil
	}
	text, err := json.Marshal(s)
	return string(text), err
}

// Worker is what a worker takes.
type Worker struct {
	Host     string
	Labels   map[string]string
	Allow    []string // jobs; empty for all
	Commands bool     // also commands without a definition
	Specs    []int    // versions of specs
	Memory   int64    // of the host in bytes; 0 if it is not known
	Slots    int
	Free     int
	Withheld []Withheld // what it is not offered
}

// Matches reports whether a worker takes runs of a selector, if it takes their job.
func (w Worker) Matches(s Selector) bool {
	return w.fits(s) && (w.Memory == 0 || s.Memory <= w.Memory)
}

// fits is Matches for a worker with enough memory.
func (w Worker) fits(s Selector) bool {
	if s.Command && !w.Commands || !slices.Contains(w.Specs, s.Spec) {
		return false
	}
	for key, value := range s.Requires {
		if has, ok := w.Labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// Takes reports whether a worker takes runs of a selector and a job.
func (w Worker) Takes(s Selector, name string) bool {
	return w.Matches(s) && w.takesJob(name)
}

func (w Worker) takesJob(name string) bool {
	return len(w.Allow) == 0 || slices.Contains(w.Allow, name)
}

// Supply is the workers that could take a run.
type Supply struct {
	Workers, Matching int
	Slots, Free       int // of the matching ones
	// OtherSpec would match with the version of the spec, and OtherJob if they took the job.
	OtherSpec, OtherJob int
	// Withheld are those of the matching ones that are not offered the run; Slots and Free are of the others.
	Withheld []Withheld
	// Memory is the most that a worker has which would match if it had enough; 0 if there is none.
	Memory int64
}

// SupplyFor counts the workers for the runs of a selector and a job. work is theirs; see WorkOf.
func SupplyFor(workers []Worker, s Selector, name, work string) (n Supply) {
	n.Workers = len(workers)
	for _, w := range workers {
		able := w
		able.Specs = []int{s.Spec}
		switch {
		case w.Takes(s, name):
			n.Matching++
			if at := slices.IndexFunc(w.Withheld, func(of Withheld) bool { return of.Work == work }); at >= 0 {
				n.Withheld = append(n.Withheld, w.Withheld[at])
				continue
			}
			n.Slots += w.Slots
			n.Free += max(w.Free, 0)
		case w.Matches(s):
			n.OtherJob++
		case able.Takes(s, name):
			n.OtherSpec++
		case w.takesJob(name) && w.fits(s):
			n.Memory = max(n.Memory, w.Memory)
		}
	}
	return n
}

// Gate returns why workers do not take a ready run now; "" for a free slot.
func (n Supply) Gate() Gate {
	switch {
	case n.Matching == 0:
		return NoWorker
	case n.Matching == len(n.Withheld):
		return Apart
	case n.Free == 0:
		return NoSlot
	}
	return ""
}

// HostsText returns hosts as they are stored: each between two line feeds, so that one is found in the text.
func HostsText(hosts []string) string {
	if len(hosts) == 0 {
		return ""
	}
	return "\n" + strings.Join(hosts, "\n\n") + "\n"
}

// HostsOf returns the hosts of a text.
func HostsOf(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(host string) bool { return host == "" })
}

// Avoids reports whether a run is kept from a host on which it has failed: as long as another
// worker could take it.
func Avoids(hosts []string, host string, s Selector, name string, others []Worker) bool {
	return slices.Contains(hosts, host) && slices.ContainsFunc(others, func(w Worker) bool {
		return !slices.Contains(hosts, w.Host) && w.Takes(s, name)
	})
}

// Requirements joins the labels that a definition and a request ask of a worker.
func Requirements(definition, request map[string]string) (map[string]string, error) {
	all := maps.Clone(definition)
	for key, value := range request {
		if before, ok := all[key]; ok && before != value {
			return nil, &job.InvalidError{What: "required label " + job.Quote(key), Value: value, Why: "differs from the definition's, which is " + job.Quote(before)}
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return all, nil
}
