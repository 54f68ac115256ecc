package job

import "slices"

// State is where a run is in its life. A run has exactly one.
type State string

const (
	Queued     State = "queued"     // known to the server, claimed by no agent yet
	Starting   State = "starting"   // an agent has begun the attempt; no step runs yet
	Installing State = "installing" // an install step runs
	Running    State = "running"    // the command runs
	Stopping   State = "stopping"   // the attempt was asked to stop; it has not ended yet
	Retrying   State = "retrying"   // an attempt ended; the next one has not begun yet

	Succeeded State = "succeeded" // the command ended with exit code 0
	Failed    State = "failed"    // a step ended badly, or could not start
	Canceled  State = "canceled"  // a person or a program stopped it, or the reader of its output went away
	TimedOut  State = "timed_out" // a time limit stopped it
	Lost      State = "lost"      // how it ended is not known; the same attempt may still return
)

// States lists every state in the order of a run's life.
func States() []State {
	return []State{
		Queued, Starting, Installing, Running, Stopping, Retrying,
		Succeeded, Failed, Canceled, TimedOut, Lost,
	}
}

// Terminal reports whether a run in this state has ended. Lost counts as ended, although
// the same attempt can still leave it.
func (s State) Terminal() bool {
	return s == Succeeded || s == Failed || s == Canceled || s == TimedOut || s == Lost
}

// EndedBadly reports whether a run in this state ended in a way that people are notified of as a
// problem.
func (s State) EndedBadly() bool { return s == Failed || s == TimedOut || s == Lost }

// Active reports whether an agent works on the run's current attempt in this state.
func (s State) Active() bool {
	return s == Starting || s == Installing || s == Running || s == Stopping
}

// Valid reports whether s is one of the known states.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// Health is the server's judgement of an active run; it is empty for a run that is
// queued or has ended.
type Health string

const (
	Healthy  Health = "healthy"  // no finding holds
	Warning  Health = "warning"  // a finding holds that may pass
	Critical Health = "critical" // a finding holds that needs a person or an action
)

// Valid reports whether h is one of the known judgements.
func (h Health) Valid() bool { return h == Healthy || h == Warning || h == Critical }
