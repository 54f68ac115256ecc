package signals

import "time"

// Stage is how far the stop is that SIGINT and SIGTERM ask for.
type Stage int

// The stages, in their order.
const (
	Running   Stage = iota // nobody has asked for a stop
	Stopping               // the job got the stop signal and has its grace
	Hurried                // one second is left of the grace
	Killed                 // the job is killed
	Abandoned              // what did not die of that is not waited for any more
)

// Action is what an event asks the agent to do.
type Action int

// What stop requests ask for.
const (
	None    Action = iota
	Begin          // begin the stop
	Hurry          // cut what is left of the grace to HurriedGrace
	Kill           // kill now
	Abandon        // leave alone what did not die of the kill
	GiveUp         // the job has ended: end every wait that follows it
)

const (
	// HurriedGrace is what is left of the grace after a second stop request.
	HurriedGrace = time.Second
	// repeatWindow is how long after the first stop request others count as the same one:
	// supervisors signal a process group and its leader, or repeat themselves.
	repeatWindow = time.Second
)

// Stop is the state of the stop. It is pure: time is an argument.
type Stop struct {
	stage Stage
	first time.Time // the first request
	ended bool      // the job has ended; the agent only waits for others
	gave  bool      // GiveUp was returned
}

// Stage returns how far the stop is.
func (s *Stop) Stage() Stage { return s.stage }

// JobEnded says whether requests meet a job, or only the waits after its end.
func (s *Stop) JobEnded(ended bool) { s.ended = ended }

// giveUp returns GiveUp once.
func (s *Stop) giveUp() Action {
	if s.gave {
		return None
	}
	s.gave = true
	return GiveUp
}

// Request returns what a stop request at a time asks for.
func (s *Stop) Request(now time.Time) Action {
	if s.stage == Running {
		s.first = now
	} else if now.Sub(s.first) < repeatWindow {
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
	return [...]Action{Stopping: Begin, Hurried: Hurry, Killed: Kill, Abandoned: Abandon}[s.stage]
}
