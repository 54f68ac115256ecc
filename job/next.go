package job

import (
	"fmt"
	"time"
)

// Event is something that happened to a run and may change its state.
type Event struct {
	Kind EventKind
	// State is the destination for Ended (the outcome's state) and the state to return
	// to for Heard (what the journal says the attempt was doing). Unused otherwise.
	State State
}

// EventKind names what happened.
type EventKind string

const (
	AttemptStarted EventKind = "attempt_started" // an agent's journal for a new attempt began
	InstallStarted EventKind = "install_started" // an install step began
	CommandStarted EventKind = "command_started" // the command began
	StopRequested  EventKind = "stop_requested"  // a person, a limit or the agent's own end asked for a stop
	Ended          EventKind = "ended"           // the attempt's outcome arrived; Event.State says which
	LeaseExpired   EventKind = "lease_expired"   // the lease ran out on the server's clock
	Heard          EventKind = "heard"           // the same attempt reported again; Event.State says what it does
	RetryRequested EventKind = "retry_requested" // a further attempt was asked for
)

// EventKinds lists every kind of event.
func EventKinds() []EventKind {
	return []EventKind{
		AttemptStarted, InstallStarted, CommandStarted, StopRequested,
		Ended, LeaseExpired, Heard, RetryRequested,
	}
}

// Transition is what an event did to a run.
type Transition struct {
	From, To State
	Event    EventKind
	At       time.Time
}

// Changed reports whether the state is another one now. An event that arrives late or
// twice is allowed and changes nothing.
func (t Transition) Changed() bool { return t.From != t.To }

// RefusedError is the error of an event that cannot happen in a state.
type RefusedError struct {
	State State
	Event Event
}

func (e *RefusedError) Error() string {
	if e.Event.State != "" {
		return fmt.Sprintf("run is %s: %s (%s) cannot happen now", e.State, e.Event.Kind, e.Event.State)
	}
	return fmt.Sprintf("run is %s: %s cannot happen now", e.State, e.Event.Kind)
}

// What the cells of the table may hold besides a state.
const (
	stay    State = "="       // allowed, changes nothing
	refuse  State = "refused" // a mistake of the caller
	asGiven State = "given"   // the state that the event carries
)

// table is the whole state machine: for each state, where each kind of event leads. The
// rules behind it: a terminal state beats late arrivals; only lost, and retrying while the next
// attempt has not begun, can be left by the attempt that was thought lost; a new attempt begins
// only from queued, retrying or lost.
var table = map[State]map[EventKind]State{
	Queued: {
		AttemptStarted: Starting, InstallStarted: refuse, CommandStarted: refuse,
		StopRequested: Canceled, Ended: asGiven, LeaseExpired: stay, Heard: stay, RetryRequested: refuse,
	},
	Starting: {
		AttemptStarted: stay, InstallStarted: Installing, CommandStarted: Running,
		StopRequested: Stopping, Ended: asGiven, LeaseExpired: Lost, Heard: stay, RetryRequested: refuse,
	},
	Installing: {
		AttemptStarted: refuse, InstallStarted: stay, CommandStarted: Running,
		StopRequested: Stopping, Ended: asGiven, LeaseExpired: Lost, Heard: stay, RetryRequested: refuse,
	},
	Running: {
		AttemptStarted: refuse, InstallStarted: refuse, CommandStarted: stay,
		StopRequested: Stopping, Ended: asGiven, LeaseExpired: Lost, Heard: stay, RetryRequested: refuse,
	},
	Stopping: {
		AttemptStarted: refuse, InstallStarted: stay, CommandStarted: stay,
		StopRequested: stay, Ended: asGiven, LeaseExpired: Lost, Heard: stay, RetryRequested: refuse,
	},
	Retrying: {
		AttemptStarted: Starting, InstallStarted: refuse, CommandStarted: refuse,
		StopRequested: Canceled, Ended: asGiven, LeaseExpired: stay, Heard: asGiven, RetryRequested: stay,
	},
	Succeeded: ended(refuse),
	Failed:    ended(Retrying),
	Canceled:  ended(Retrying),
	TimedOut:  ended(Retrying),
	Lost: {
		AttemptStarted: Starting, InstallStarted: Installing, CommandStarted: Running,
		StopRequested: stay, Ended: asGiven, LeaseExpired: stay, Heard: asGiven, RetryRequested: Retrying,
	},
}

// ended returns the row of a state that nothing but a retry leaves.
func ended(retry State) map[EventKind]State {
	return map[EventKind]State{
		AttemptStarted: refuse, InstallStarted: stay, CommandStarted: stay,
		StopRequested: stay, Ended: stay, LeaseExpired: stay, Heard: stay, RetryRequested: retry,
	}
}

// Next returns the state to which event e leads a run in state s. It returns a *RefusedError for
// an event that cannot happen in s, and for one that carries a state it may not carry:
// Ended needs a terminal state, or Retrying when a further attempt follows; Heard needs
// an active one where it matters, which is when the run was lost or waits for its next attempt.
func Next(s State, e Event, now time.Time) (Transition, error) {
	to, known := table[s][e.Kind]
	refused := &RefusedError{State: s, Event: e}
	if !known || to == refuse {
		return Transition{}, refused
	}
	if e.Kind == Ended && !e.State.Terminal() && e.State != Retrying {
		return Transition{}, refused
	}
	if e.Kind == Heard && to == asGiven && !e.State.Active() {
		return Transition{}, refused
	}
	switch to {
	case stay:
		to = s
	case asGiven:
		to = e.State
	}
	return Transition{From: s, To: to, Event: e.Kind, At: now}, nil
}
