package notify

import "time"

// StatusInterval is the shortest time between two statuses that are reported.
const StatusInterval = time.Second

// pace holds back statuses that follow each other too fast. The first is reported at once, and
// of those held back the last one.
type pace struct {
	last     string    // that was reported
	reported bool      // there was one
	at       time.Time // when
	pending  string
	waits    bool // pending must be reported
}

// offer accepts a status, and returns whether to report it now.
func (p *pace) offer(now time.Time, text string) bool {
	if p.reported && text == p.last {
		p.waits = false // it is the reported one again
		return false
	}
	if p.reported && now.Sub(p.at) < StatusInterval {
		p.pending, p.waits = text, true
		return false
	}
	p.set(now, text)
	return true
}

func (p *pace) set(now time.Time, text string) {
	p.last, p.reported, p.at, p.waits = text, true, now, false
}

// due returns when to report the status that was held back; zero if there is none.
func (p *pace) due() time.Time {
	if !p.waits {
		return time.Time{}
	}
	return p.at.Add(StatusInterval)
}

// take returns the status that was held back, if its time has come or the socket is closed.
func (p *pace) take(now time.Time, ending bool) (text string, ok bool) {
	if !p.waits || !ending && now.Before(p.due()) {
		return "", false
	}
	p.set(now, p.pending)
	return p.last, true
}
