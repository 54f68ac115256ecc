package index

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/outbox"
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
	// Run is as it stands after the append; zero when Err is set, and while the
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

// Beat is one heartbeat to record.
type Beat struct {
	Run       string
	Attempt   int
	Heartbeat job.Heartbeat
	At        time.Time     // the server's clock
	Lease     time.Duration // how long this beat is trusted
}

// Beaten answers one Beat of a group.
type Beaten struct {
	Known  bool // false: no append has created the run yet, which is not an error
	Owner  bool // false: a newer attempt owns the run
	Ended  bool // the run has its outcome
	Cancel *job.Cancel
	Retry  *outbox.RetryRequest // the agent waits, and is asked for another attempt
	// Run and Events are set only when the beat changed the run: a lost one healed, or it
	// was suspended or resumed.
	Run    *job.Run
	Events []job.RunEvent
	Err    error
}

// BlockHead describes a stored block of one attempt's journal: whole records, nothing
// else. The journal's header is in no block, so the first one starts at
// journal.HeaderSize. Blocks may be merged later, so a start can come to lie inside a
// larger block: the store answers for any offset, and a reader of a block's data cuts it
// at Size. A carriage return does not end a line, and neither does a gap; the end of a
// step does. Lines are numbered 1, 2, 3 … within the attempt, over both streams of all steps,
// in the order in which their first byte was printed; a number never changes.
type BlockHead struct {
	Start int64 `json:"start"` // offset of its first byte in the journal
	Size  int64 `json:"size"`
	// FirstLine is the number of the first line that begins in this block (or would);
	// Lines is how many begin here.
	FirstLine int64     `json:"first_line"`
	Lines     int64     `json:"lines"`
	FirstAt   time.Time `json:"first_at"`
	LastAt    time.Time `json:"last_at"`
	// OutputBytes is the raw output in it, and OutputStart the raw output before it.
	OutputBytes int64 `json:"output_bytes"`
	OutputStart int64 `json:"output_start"`
	// Open are the lines that began in an earlier block and had not ended.
	Open []OpenLine `json:"open,omitempty"`
}

// OpenLine is a line whose newline has not been printed yet.
type OpenLine struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Line   int64      `json:"line"`
	// Block is the start of the block in which the line began, when it was stored, so
	// that a reader can go back for its first bytes.
	Block int64 `json:"block"`
}

// Lease is what the monitor looks at: an active run and how long it is trusted.
type Lease struct {
	Run         string
	Attempt     int
	Owner       string // the token that the run belongs to; empty for none
	Job         string
	Number      int64
	StartAt     time.Time
	State       job.State
	Health      job.Health
	Findings    []job.Finding
	HeardAt     time.Time     // server's clock at the last heartbeat or append
	Length      time.Duration // of the lease that it granted
	ExpiresAt   time.Time     // HeardAt + Length
	EveryPeriod time.Duration // how often the agent means to beat
	// Closed is what another server saw of the end of the connection of its heartbeats.
	Closed Closure
	// Beat is the last heartbeat and BeatAt when it arrived; nil before the first. Status is
	// the job's own last word.
	Beat   *job.Heartbeat
	BeatAt time.Time
	Status string
	// Evidence is what was last stored of what the heartbeats told.
	Evidence Evidence
}

// Disconnect is the end of the connection that carried an attempt's heartbeats, before the
// attempt had ended.
type Disconnect struct {
	Run     string
	Attempt int
	Owner   string    // the token that its requests brought; empty for none
	At      time.Time // the server's clock
	// Peer says that the other side closed or reset the connection, as the kernel of a
	// killed agent does. Else it timed out, or this server closed it: that is silence.
	Peer bool
	// Indirect says that something may stand between agent and server, which can close a
	// connection while the agent lives.
	Indirect bool
	// Forwarded says that a request came through a proxy that names itself; Indirect is set
	// as well then.
	Forwarded bool
	// Due is when the next heartbeat is due of an agent that does not send one at once after
	// its connection closed; zero for one that does.
	Due time.Time
}

// Closure is what the end of that connection means for the run. The zero value stands for
// a connection that has not closed.
type Closure struct {
	At time.Time
	// Confirm is how long the agent has to come back before the run is lost; 0 where the
	// end says no more than silence does.
	Confirm time.Duration
	// Why says, in one clause, why that is longer than usual; empty where it is not.
	Why string
}

// ClosedRun is a Closure with the attempt whose connection it was.
type ClosedRun struct {
	Run     string
	Attempt int
	Closure Closure
}

// Folding is the evidence about an attempt, to be stored.
type Folding struct {
	Run      string
	Attempt  int
	Evidence Evidence
}

// Verdict is the monitor's judgement of one run.
type Verdict struct {
	Run      string
	Attempt  int
	HeardAt  time.Time // of the Lease that was judged
	At       time.Time
	Lost     bool // the lease has expired: apply job.LeaseExpired
	Findings []job.Finding
	Health   job.Health
	Evidence string
	// Outbox is what to tell and to do, stored together with the verdict and only if it
	// is applied.
	Outbox []outbox.Entry
}

// Judged is a run that a verdict changed.
type Judged struct {
	Run    job.Run
	Events []job.RunEvent
}
