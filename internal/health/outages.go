package health

import (
	"slices"
	"time"

	"stint.dev/stint/internal/health/rules"
)

const (
	// LateLimit is how late the timer of tickInterval may be. If it is later, the process did not run
	// or its clock was set, which is an outage.
	LateLimit    = 3 * time.Second
	tickInterval = 250 * time.Millisecond
	// HungAfter is how long a round may take while nothing can be stored. After that the database does
	// not respond, which is an outage. A heartbeat that could not be stored for so long still arrives
	// again before the lease ends.
	HungAfter = 10 * time.Second
	// TakeoverGraceAfter is how long a run is trusted at least after this server has taken over from
	// another one, because agents may have to find this server.
	TakeoverGraceAfter = 15 * time.Second
	// maxOutages is how many outages are kept. Older ones count as time in which heartbeats were
	// accepted, which is right for a run that was silent between so many outages.
	maxOutages = 1000
)

// outages are the times in which this server could not accept heartbeats: before it started, while the
// process did not run, and while the database failed. They are in order and do not touch.
type outages []outage

type outage struct{ from, to time.Time }

// add adds an outage, and reports whether it is a new one and not the continuation of the last.
func (o *outages) add(from, to time.Time) bool {
	if !to.After(from) {
		return false
	}
	last := len(*o) - 1
	if last >= 0 && !from.After((*o)[last].to) {
		(*o)[last].to = rules.Later((*o)[last].to, to)
		return false
	}
	*o = append(*o, outage{from, to})
	if len(*o) > maxOutages {
		*o = slices.Delete(*o, 0, 1)
	}
	return true
}

// since returns how much of the time after from was an outage.
func (o outages) since(from time.Time) time.Duration {
	total := time.Duration(0)
	for i := len(o) - 1; i >= 0 && o[i].to.After(from); i-- {
		total += o[i].to.Sub(rules.Later(o[i].from, from))
	}
	return total
}

// end returns when the last outage ended; zero for none.
func (o outages) end() time.Time {
	if len(o) == 0 {
		return time.Time{}
	}
	return o[len(o)-1].to
}
