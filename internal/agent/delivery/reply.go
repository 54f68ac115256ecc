package delivery

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

// Action is what an agent does after a reply to one of its requests.
type Action int

// The actions, from the best reply to the worst.
const (
	// Proceed: acknowledge, renew the lease, carry out the commands of the reply.
	Proceed Action = iota
	// Resume: the server has Size bytes of the journal; go on from there.
	Resume
	// Pause: the server is there and has no time; try again after a while.
	Pause
	// Outage: nothing came that can be identified as the reply of a Stint server, or it is
	// not about this request. Try again after a while.
	Outage
	// Taken: another process has taken the journal over, and appends of this one come too late.
	Taken
	// Split: something on the way takes less at once. Send half as much.
	Split
	// FixToken: the token is at fault. Try again now and then.
	FixToken
	// Refused: the server will never take this journal. Keep it, marked.
	Refused
	// Whole: the server has the whole journal, of Size bytes, and takes nothing more of it.
	Whole
	// Deleted: the run was deleted on the server. Its journal is not needed.
	Deleted
)

// Decision is an action with what it needs.
type Decision struct {
	Action Action
	Size   int64 // for Resume and Whole
	// Wait is the least time until the next try; 0 leaves it to the backoff.
	Wait time.Duration
}

// Reached reports whether a Stint server answered that can be waited for.
func (d Decision) Reached() bool {
	return d.Action == Proceed || d.Action == Resume || d.Action == Pause || d.Action == Whole
}

// Final reports whether there is nothing more to send.
func (d Decision) Final() bool {
	return d.Action == Refused || d.Action == Deleted || d.Action == Whole
}

const (
	// tokenRetryInterval is how often a token that was refused is tried again.
	tokenRetryInterval = time.Minute
	// pauseLimit is the longest pause that a reply can ask for.
	pauseLimit = time.Minute
)

// Decide returns what to do after the reply to any append or heartbeat, also to an append of
// nothing that asks how much the server has. err is nil for a reply that names run and attempt of the request and has all
// required fields, which the client checks. It depends on nothing but err.
func Decide(err error) Decision {
	var p *job.Problem
	var foreign *client.ForeignReplyError
	switch {
	case err == nil:
		return Decision{Action: Proceed}
	case errors.As(err, &p) && p.FromStint():
		return decideProblem(p)
	case errors.As(err, &foreign):
		return decideForeign(foreign)
	}
	return Decision{Action: Outage}
}

// decideProblem decides on what a Stint server answered. The type decides, and counts only
// with the status that belongs to it.
func decideProblem(p *job.Problem) Decision {
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Decision{Action: FixToken, Wait: tokenRetryInterval}
	case http.StatusConflict:
		switch {
		case p.Type == job.ProblemWrongOffset && p.Size != nil:
			return Decision{Action: Resume, Size: *p.Size}
		case p.Type == job.ProblemJournalWhole && p.Size != nil:
			return Decision{Action: Whole, Size: *p.Size}
		case p.Type == job.ProblemJournalTaken:
			return Decision{Action: Taken}
		case p.Type == job.ProblemRunIDUsed, p.Type == job.ProblemRunSubmitted:
			return Decision{Action: Refused}
		}
	case http.StatusGone:
		if p.Type == job.ProblemRunDeleted {
			return Decision{Action: Deleted}
		}
	case http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		switch {
		case p.Type == job.ProblemJournalRefused:
			return Decision{Action: Refused}
		case p.Status == http.StatusRequestEntityTooLarge:
			return Decision{Action: Split}
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return Decision{Action: Pause, Wait: pauseOf(p.RetryAfter)}
	}
	return Decision{Action: Outage}
}

// decideForeign decides on what something else than a Stint server answered.
func decideForeign(f *client.ForeignReplyError) Decision {
	switch f.Status {
	case http.StatusRequestEntityTooLarge:
		return Decision{Action: Split}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return Decision{Action: Outage, Wait: pauseOf(f.RetryAfter)}
	}
	return Decision{Action: Outage}
}

func pauseOf(retryAfter time.Duration) time.Duration { return min(max(retryAfter, 0), pauseLimit) }

// RefusedError reports that the server will never accept this journal.
type RefusedError struct {
	Why   string
	Cause error // may be nil
}

func (e *RefusedError) Error() string {
	if e.Cause != nil {
		return e.Why + ": " + e.Cause.Error()
	}
	return e.Why
}

func (e *RefusedError) Unwrap() error { return e.Cause }

// WholeError reports that the server has the whole journal of an attempt, of Size bytes.
type WholeError struct {
	Size  int64
	Cause error
}

func (e *WholeError) Error() string { return e.Cause.Error() }
func (e *WholeError) Unwrap() error { return e.Cause }

// DeletedError reports that the run was deleted on the server, which takes none of it.
type DeletedError struct{ Run string }

func (e *DeletedError) Error() string {
	return fmt.Sprintf("run %s was deleted on the server", e.Run)
}

// IsIDTaken reports whether an error says that the id of a journal, which was begun by hand, is that of another run: one that
// was submitted, or that was recorded before. Such a journal is delivered as a run of its own: see flush.FinishAttempt.
func IsIDTaken(j *spool.Journal, err error) bool {
	var p *job.Problem
	return j.Meta().Worker == "" && errors.As(err, &p) && p.FromStint() && (p.Type == job.ProblemRunSubmitted || p.Type == job.ProblemRunIDUsed)
}

// FinalError returns the error that ends the delivery of a run's journal after a final decision
// on err; nil after any other.
func FinalError(d Decision, run string, err error) error {
	switch d.Action {
	case Refused:
		return &RefusedError{Why: "the server refuses the journal of this run", Cause: err}
	case Deleted:
		return &DeletedError{Run: run}
	case Whole:
		return &WholeError{Size: d.Size, Cause: err}
	}
	return nil
}
