package delivery

import (
	"sync"
	"sync/atomic"
	"time"
)

// Trouble is a kind of trouble that is printed, once in a run each.
type Trouble string

// The kinds of trouble.
const (
	NoServer  Trouble = "outage" // no reply, or none of a Stint server
	BadToken  Trouble = "token"  // the server does not accept the token
	NotWanted Trouble = "final"  // the server will never take the journal, or has deleted the run
)

// outageReportDelay is how long an outage must last to be reported: a server or proxy that is
// restarted needs no message.
const outageReportDelay = 10 * time.Second

// Link is what the requests of one run have shown of the way to its server. Appends and
// heartbeats share it. It is safe for concurrent use.
type Link struct {
	print   func(line string)
	reached atomic.Bool

	mu      sync.Mutex
	since   map[string]time.Time // of the outage of each kind of request
	printed map[Trouble]bool
}

// NewLink makes a link that prints at most one line for each kind of trouble; print may be
// nil.
func NewLink(print func(line string)) *Link {
	if print == nil {
		print = func(string) {}
	}
	return &Link{print: print, since: map[string]time.Time{}, printed: map[Trouble]bool{}}
}

// Reached reports whether a Stint server has answered.
func (l *Link) Reached() bool { return l.reached.Load() }

// SetReached notes that a Stint server has answered a request of another kind.
func (l *Link) SetReached() { l.reached.Store(true) }

// Printed reports whether a kind of trouble was printed.
func (l *Link) Printed(t Trouble) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.printed[t]
}

// SetPrinted notes that a kind of trouble was printed elsewhere.
func (l *Link) SetPrinted(t Trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.printed[t] = true
}

// note records the decision on a reply to a kind of request, and prints a line about trouble
// that a person must know of. err is the error that was decided on.
func (l *Link) note(request string, now time.Time, d Decision, err error) {
	switch {
	case d.Reached():
		l.reached.Store(true)
		l.outageLasts(request, now, false)
	case d.Action == FixToken:
		l.outageLasts(request, now, false)
		l.report(BadToken, "the server asks for a valid token: "+err.Error()+"; stint run tries again each minute, and the job is not affected")
	case !d.Final() && l.outageLasts(request, now, true):
		l.report(NoServer, err.Error()+"; stint run keeps trying, and the job is not affected")
	}
}

// outageLasts notes whether a kind of request meets an outage, and reports whether that has
// lasted for outageReportDelay.
func (l *Link) outageLasts(request string, now time.Time, outage bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !outage {
		delete(l.since, request)
		return false
	}
	if l.since[request].IsZero() {
		l.since[request] = now
	}
	return now.Sub(l.since[request]) >= outageReportDelay
}

// report prints a line, once for each kind of trouble.
func (l *Link) report(t Trouble, line string) {
	l.mu.Lock()
	printed := l.printed[t]
	l.printed[t] = true
	l.mu.Unlock()
	if !printed {
		l.print(line)
	}
}
