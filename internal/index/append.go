package index

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
)

// Append is a range of journal bytes that an agent wants stored.
type Append struct {
	Run     string
	Attempt int
	Offset  int64
	Data    []byte
	At      time.Time // the server's clock
	// Writer is the number of the process that sends, among those that have written the journal: 0
	// is the agent. An append without data makes it the writer, if it is greater than the one
	// before; one with data is refused with *TakenError from anybody else than the writer.
	Writer int
	// ClockOffset is what the agent's clock is behind the server's; 0 if it is not known.
	ClockOffset time.Duration
	// KnownJobsOnly refuses the append with *TooManyJobsError if it begins a job of a new name.
	KnownJobsOnly bool
}

// TooManyJobsError says that who sent an append has begun too many jobs.
type TooManyJobsError struct{ Job string }

func (e *TooManyJobsError) Error() string {
	return fmt.Sprintf("the job %s would be new, and this client has begun as many as it may within an hour", job.Quote(e.Job))
}

// Appended answers one Append of a group.
type Appended struct {
	Size int64 // durable bytes of the journal, whether or not this append was taken
	// Err is nil, *OffsetError, *TakenError, *journal.CorruptError, *journal.NewerError,
	// *RefusedError, *TooManyJobsError or an error of the database.
	Err error
	// Run is the run after the append; zero when Err is set, and while the
	// attempt's identity has not arrived whole.
	Run job.Run
	// Block is the stored block, zero when the append held no whole record.
	Block  BlockHead
	Events []job.RunEvent
	NewJob bool // the run is the first of its job
}

// OffsetError says that an append did not begin where the stored journal ends.
type OffsetError struct {
	Offset, Size int64
}

func (e *OffsetError) Error() string {
	return fmt.Sprintf("append at byte %d, but the journal here has %d bytes: go on from there", e.Offset, e.Size)
}

// TakenError says that an append came from another process than the journal's writer.
type TakenError struct{ Sent, Writer int }

func (e *TakenError) Error() string {
	return fmt.Sprintf("append by writer %d, but writer %d has taken this journal over: an agent that comes after another asks how far the journal is before it sends", e.Sent, e.Writer)
}

// RefusedError says that an append can never succeed: the attempt has its outcome, the
// journal belongs to another run, or its identity is not valid.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// NotYetError says that an append is too early: the attempt before it has not ended here.
type NotYetError struct{ Why string }

func (e *NotYetError) Error() string { return e.Why }
