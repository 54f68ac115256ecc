package queue

import (
	"fmt"
	"strings"

	"stint.dev/stint/job"
)

// Ask is the question of a process whether it may start an attempt of a run, with what the server knows
// at that moment. All of it is read in the transaction that grants the permit.
type Ask struct {
	Attempt     int
	Incarnation string // of the process that asks

	// Submitted says that the run was submitted; State and Latest are its state and its newest attempt.
	Submitted  bool
	State      job.State
	Latest     int
	CanceledBy string // who asked the run to stop; empty for nobody
	// Claimed says that the claim with which the process asks lasts, and is for this attempt.
	Claimed bool
	// Permitted is the incarnation that got the permit of the attempt with the same claim; empty if none
	// has. OtherClaim says that one has with another claim.
	Permitted  string
	OtherClaim bool
	// Begun says that the journal of the attempt has more than its identity.
	Begun bool
}

// StoredClaim is what is stored about the question of a process: the claim that it has, and the permit of the attempt.
type StoredClaim struct {
	// Of the claim, without Run if it has ended: for which attempt of which run it is, whose it is, and what the permit takes
	// over from it.
	Claim, Run, Worker, Host, Avoided string
	Attempt                           int
	Memory                            int64

	Permitted, PermittedBy string // the incarnation and the claim of the permit; empty for none
}

// Grant is an answer to an Ask.
type Grant struct {
	Granted bool
	// First says that the permit was given with this answer; else it is repeated. Revives says that the
	// attempt had been called lost.
	First, Revives bool
	Why            string // of a refusal, for a person
	Code           Refusal
}

// Refusal is why a permit is refused, as it is counted.
type Refusal string

// The refusals.
const (
	NotSubmitted Refusal = "not_submitted" // the run was not submitted at this server
	OtherProcess Refusal = "other_process" // another process has the permit
	OtherAttempt Refusal = "other_attempt" // another attempt is the next one, or has begun
	RunCanceled  Refusal = "canceled"      // somebody asked the run to stop
	NotWaiting   Refusal = "not_waiting"   // the run is in another state
	ClaimEnded   Refusal = "claim_ended"   // the claim has ended
	OnCopy       Refusal = "copy"          // the database is a restored copy that was not activated
	NotDurable   Refusal = "relaxed"       // the server works with relaxed durability
)

// Refusals lists the refusals.
func Refusals() []Refusal {
	return []Refusal{NotSubmitted, OtherProcess, OtherAttempt, RunCanceled, NotWaiting, ClaimEnded, OnCopy, NotDurable}
}

// Answer decides whether the process may start the attempt. It grants an attempt to one incarnation, the
// first that asks, for ever; the same one again is judged by the state of the run now.
func (a Ask) Answer() Grant {
	switch {
	case !a.Submitted:
		return refused(NotSubmitted, "the run was not submitted at this server")
	case a.OtherClaim || a.Permitted != "" && a.Permitted != a.Incarnation:
		return refused(OtherProcess, "another process has the permit to start attempt %d", a.Attempt)
	case a.Latest > a.Attempt:
		return refused(OtherAttempt, "attempt %d has begun meanwhile", a.Latest)
	case a.Permitted != "":
		return a.repeat()
	case a.CanceledBy != "" && a.State == job.Canceled:
		return refused(RunCanceled, "the run was canceled by %s", a.CanceledBy)
	case a.State != job.Queued && a.State != job.Retrying:
		return refused(NotWaiting, "the run is %s in attempt %d", a.State, a.Latest)
	case a.Attempt != a.Latest+1:
		return refused(OtherAttempt, "the next attempt of the run is %d", a.Latest+1)
	case !a.Claimed:
		return refused(ClaimEnded, "the claim has ended")
	}
	return Grant{Granted: true, First: true}
}

// repeat answers the incarnation that has the permit already, of the newest attempt.
func (a Ask) repeat() Grant {
	switch {
	case a.Latest != a.Attempt:
		return refused(OtherAttempt, "the permit of attempt %d is not valid here any more", a.Attempt) // of a database from before
	case a.State == job.Starting && !a.Begun:
		return Grant{Granted: true}
	case a.State == job.Lost && !a.Begun:
		return Grant{Granted: true, Revives: true}
	case a.State == job.Stopping && a.CanceledBy != "":
		return refused(RunCanceled, "the run was canceled by %s", a.CanceledBy)
	}
	return refused(NotWaiting, "the run is %s in attempt %d", a.State, a.Latest)
}

func refused(code Refusal, format string, args ...any) Grant {
	return Grant{Code: code, Why: fmt.Sprintf(format, args...)}
}

// CheckIncarnation refuses what is not 128 bits as 32 lowercase hexadecimal digits.
func CheckIncarnation(text string) error {
	if len(text) != 32 || strings.Trim(text, "0123456789abcdef") != "" {
		return &job.InvalidError{What: "incarnation", Value: text, Why: "must be 32 hexadecimal digits"}
	}
	return nil
}
