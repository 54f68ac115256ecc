package index

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// Append is a range of journal bytes to store.
type Append struct {
	Run     string
	Attempt int
	Offset  int64
	Data    []byte
	At      time.Time // the server's clock
	// Writer is the number of the process that sends: 0 is the agent, and each process that takes the
	// journal over has a higher one. An append without data makes the process the writer, if its number
	// is higher than the writer's. One with data is refused with *WriterError if it is another number.
	Writer int
	// ClockOffset is the time by which the agent's clock is behind the server's; 0 if it is not known.
	ClockOffset time.Duration
	// KnownJobsOnly refuses the append with *TooManyJobsError if it begins a job of a new name.
	KnownJobsOnly bool
	// ByAgent says that the sender has the token of an agent, which is that of no attempt: it may not write to
	// submitted runs.
	ByAgent bool
	// Incarnation is that of the process whose token of the attempt the sender has, which is valid until the journal is
	// whole; empty for any other sender.
	Incarnation string
	// Permit asks for the permit to start the attempt of a submitted run; nil for any other append. The
	// data is then the journal up to its identity.
	Permit *PermitRequest
	// Wire says for which wire the server itself writes the journal; nil for a journal of an agent.
	Wire *Wire
}

// Wire identifies a run that is reported in calls that name a job and not a run: the name of the wire, and the
// id by which its client distinguishes runs of the job, which may be empty.
type Wire struct{ Name, RID string }

// PermitRequest asks for the permit to start an attempt.
type PermitRequest struct {
	Claim       string // the token of the claim
	Incarnation string // of the process that asks
}

// TooManyJobsError is the error of an append whose client has begun too many jobs.
type TooManyJobsError struct{ Job string }

func (e *TooManyJobsError) Error() string {
	return fmt.Sprintf("the job %s would be new, and this client has begun as many as it may within an hour", job.Quote(e.Job))
}

// Appended is the result of one Append of a group.
type Appended struct {
	Size int64 // the durable bytes of the journal, also if the append was refused
	// Err is nil, *OffsetError, *WriterError, *journal.CorruptError, *journal.NewerError,
	// *RefusedError, *TooManyJobsError, *SubmittedError, *WholeError or an error of the database.
	Err error
	// Permit is the answer to Append.Permit; nil if there was none, or with Err. Nothing of an append that
	// is refused the permit is stored.
	Permit *job.Permit
	// Refusal is why the permit was refused, as it is counted: a code of package queue.
	Refusal string
	// Run is the run after the append; zero when Err is set, and while the
	// attempt's identity has not arrived whole.
	Run job.Run
	// Block is the stored block; zero if the append had no whole record.
	Block  BlockHead
	Events []job.RunEvent
	NewJob bool // the run is the first of its job
}

// OffsetError is the error of an append that does not begin where the stored journal ends.
type OffsetError struct {
	Offset, Size int64
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("append at byte %d, but the journal here has %d bytes: go on from there", e.Offset, e.Size)
}

// WriterError is the error of an append from another process than the journal's writer.
type WriterError struct{ Sent, Writer int }

func (e *WriterError) Error() string {
	return fmt.Sprintf("append by writer %d, but writer %d has taken this journal over: an agent that comes after another asks how far the journal is before it sends", e.Sent, e.Writer)
}

// RefusedError is the error of an append that can never succeed: the attempt has its outcome, the journal belongs to
// another run, or its identity is not valid.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// TooEarlyError is the error of an append that comes before the end of the attempt before.
type TooEarlyError struct{ Why string }

func (e *TooEarlyError) Error() string { return e.Why }

// WholeError is the error of a request with the token of an attempt whose journal is whole.
type WholeError struct {
	Run     string
	Attempt int
	Size    int64 // of the journal
}

func (e *WholeError) Error() string {
	return fmt.Sprintf("the journal of attempt %d of run %s is whole here, with %d bytes: the token of the attempt is not valid any more", e.Attempt, e.Run, e.Size)
}

// SubmittedError is the error of an append to a submitted run by somebody else than the process that has the permit to start
// the attempt.
type SubmittedError struct{ Run string }

func (e *SubmittedError) Error() string {
	return fmt.Sprintf("run %s was submitted: only the process to which a worker gave an attempt may report it; start the job with a new run id", e.Run)
}
