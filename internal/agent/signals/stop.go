package signals

import "time"

// Stage is how far the stop is that SIGINT and SIGTERM ask for.
type Stage int

// The stages, in their order.
const (
	Running   Stage = iota // no stop was asked for
	Stopping               // the job got the stop signal and has its grace
	Shortened              // one second is left of the grace
	Killed                 // the job is killed
	Abandoned              // processes that did not die of it are not waited for any more
)

// Action is what an event asks the agent to do.
type Action int

// What stop requests ask for.
const (
	None    Action = iota
	Begin          // begin the stop
	Shorten        // cut the rest of the grace to ShortGrace
	Kill           // kill now
	Abandon        // no longer wait for processes that did not die of the kill
	GiveUp         // the job has ended: end every wait after it
)

const (
	// ShortGrace is how much of the grace remains after a second stop request.
	ShortGrace = time.Second
	// repeatInterval is how long after the first stop request others count as the same one:
	// supervisors signal a process group and its leader, or repeat themselves.
	repeatInterval = time.Second
)

// Stop is the state of the stop. It is pure: time is an argument.
type Stop struct {
	stage  Stage
	first  time.Time // the first request
	ended  bool      // the job has ended; the agent only waits for others
	gaveUp bool      // GiveUp was returned
}

// Stage returns how far the stop is.
func (s *Stop) Stage() Stage { return s.stage }

// JobEnded notes whether the job has ended, so that requests end only the waits after it.
func (s *Stop) JobEnded(ended bool) { s.ended = ended }

// giveUp returns GiveUp once.
func (s *Stop) giveUp() Action {
	if s.gaveUp {
		return None
	}
	s.gaveUp = true
	return GiveUp
}

// Request returns what a stop request at a time asks for.
func (s *Stop) Request(now time.Time) Action {
	if s.stage == Running {
		s.first = now
	} else if now.Sub(s.first) < repeatInterval {
		return None
	}
	if s.ended {
		if s.stage == Running {
			s.stage = Stopping // no further attempt begins
		}
		return s.giveUp()
	}
	if s.stage == Abandoned {
		return None
	}
	s.stage++
	return [...]Action{Stopping: Begin, Shortened: Shorten, Killed: Kill, Abandoned: Abandon}[s.stage]
}
