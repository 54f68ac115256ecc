package notify

import "time"

// StatusEvery is the shortest time between two statuses that are told.
const StatusEvery = time.Second

// pace holds back statuses that follow each other too fast. The first is told at once, and
// of those held back the last one wins and is told.
type pace struct {
	told    string
	some    bool // told is meaningful
	at      time.Time
	pending string
	waits   bool
}

// offer takes a status; it reports whether to tell it now.
func (p *pace) offer(now time.Time, text string) bool {
	if p.some && text == p.told {
		p.waits = false // back to what everybody knows
		return false
	}
	if p.some && now.Sub(p.at) < StatusEvery {
		p.pending, p.waits = text, true
		return false
	}
	p.tell(now, text)
	return true
}

func (p *pace) tell(now time.Time, text string) {
	p.told, p.some, p.at, p.waits = text, true, now, false
}

// due is when a status that was held back is to be told; zero when none is.
func (p *pace) due() time.Time {
	if !p.waits {
		return time.Time{}
	}
	return p.at.Add(StatusEvery)
}

// take returns the status that was held back, if its time has come or everything ends.
func (p *pace) take(now time.Time, ending bool) (text string, ok bool) {
	if !p.waits || !ending && now.Before(p.due()) {
		return "", false
	}
	p.tell(now, p.pending)
	return p.told, true
}
