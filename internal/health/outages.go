package health

import (
	"slices"
	"time"
)

const (
	// Late is how much later than planned a timer of the server may end, which ends each
	// tickEvery. Beyond that the process did not run, or its clock was set: an outage.
	Late      = 3 * time.Second
	tickEvery = 250 * time.Millisecond
	// Hung is how long a round may take while nothing can be stored. Beyond that the database
	// did not answer: an outage. A heartbeat of an agent that could not be stored for that
	// long still arrives before its lease ends.
	Hung = 10 * time.Second
	// Grace is how long a run is trusted at least after an outage. An agent whose lease is
	// over sends a heartbeat once in its period, so it is two periods where that is longer.
	Grace = time.Minute
	// TakeoverGrace is the same after another server judged until now: agents may have to
	// find another server.
	TakeoverGrace = 15 * time.Second
	// mostOutages bounds how many outages are remembered. What is older counts as time in
	// which heartbeats were taken: who was silent through that many had as many chances.
	mostOutages = 1000
)

// outages are the times in which this server could take no heartbeats: before it
// started, while the process did not run, while the database failed. They are in order and
// do not touch.
type outages []outage

type outage struct{ from, to time.Time }

// add notes an outage, and reports whether it is one of its own: not the last one going on.
func (o *outages) add(from, to time.Time) bool {
	if !to.After(from) {
		return false
	}
	last := len(*o) - 1
	if last >= 0 && !from.After((*o)[last].to) {
		(*o)[last].to = later((*o)[last].to, to)
		return false
	}
	*o = append(*o, outage{from, to})
	if len(*o) > mostOutages {
		*o = slices.Delete(*o, 0, 1)
	}
	return true
}

// since is how much of the time after from was an outage.
func (o outages) since(from time.Time) time.Duration {
	total := time.Duration(0)
	for i := len(o) - 1; i >= 0 && o[i].to.After(from); i-- {
		total += o[i].to.Sub(later(o[i].from, from))
	}
	return total
}

// end is when the last outage ended; zero for none.
func (o outages) end() time.Time {
	if len(o) == 0 {
		return time.Time{}
	}
	return o[len(o)-1].to
}
