package job

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 makes UUIDs of version 5 with it; it protects nothing
	"encoding/hex"
	"time"
)

// Gates that keep a queued run from starting.
const (
	GateHeld      = "held"       // a person must release it
	GateNotBefore = "not_before" // its time has not come
	GateAfter     = "after"      // a run that it waits for has not ended
	GatePaused    = "paused"     // its job is paused
	GateGroup     = "group"      // its group has no free place
	GateNoWorker  = "no_worker"  // no worker could ever take it
	GateNoSlot    = "no_slot"    // workers could take it, and have no free slot
	GateWithheld  = "withheld"   // workers could take it, and are not offered it because claims of it ended without a start
	GateTurn      = "turn"       // other runs come first
)

// Gate is one reason why a queued run has not started.
type Gate struct {
	Gate string `json:"gate"`
	Text string `json:"text"` // one sentence, with figures
	// OpensAt is when the gate opens, or probably opens, as far as that is known.
	OpensAt       *time.Time     `json:"opens_at,omitempty"`
	SentenceTimes []SentenceTime `json:"sentence_times,omitempty"` // that Text names
}

// QueuedRun is a run in the queue, and why it has not started.
type QueuedRun struct {
	Run    string `json:"run"`
	Job    string `json:"job"`
	Number int64  `json:"number"`
	// Attempt is the one that is to start.
	Attempt  int       `json:"attempt"`
	State    State     `json:"state"` // queued or retrying
	Since    time.Time `json:"since"` // when it began to wait
	By       string    `json:"by"`    // who submitted it
	Priority Priority  `json:"priority"`
	Group    string    `json:"group,omitempty"`
	// Worker has a claim of the run, whose agent has not started the attempt yet; empty for none.
	Worker string `json:"worker,omitempty"`
	Health Health `json:"health,omitempty"` // of a run that waits for too long, else empty
	// Gates are closed; empty for a run that a worker is about to start.
	Gates []Gate `json:"gates" nullable:"false"`
	// Ahead counts the runs that come first, among those that could start.
	Ahead int64 `json:"ahead"`
	// StartsAbout is an estimate from how long runs usually take; nil where nothing is known.
	StartsAbout *time.Time `json:"starts_about,omitempty"`
}

// QueuePage is a page of the queue; those come first that have waited longest. NextCursor is nil on the last
// one.
type QueuePage struct {
	Runs       []QueuedRun `json:"runs" nullable:"false"`
	NextCursor *string     `json:"next_cursor"`
	// Queued counts the runs in the whole queue, Held those that a person must release.
	Queued int64 `json:"queued"`
	Held   int64 `json:"held"`
}

// PriorityRequest changes the priority of a queued run.
type PriorityRequest struct {
	Priority Priority `json:"priority" enum:"low,normal,high"`
}

// QueueReleaseRequest lets held runs go on: those of a job, or all.
type QueueReleaseRequest struct {
	Job string `json:"job,omitempty"`
	By  string `json:"by,omitempty"` // if the request has no login
}

// QueueReleaseReply says how many runs were held and are not any more.
type QueueReleaseReply struct {
	Released int64 `json:"released"`
}

// Group limits how many of its runs are active at once.
type Group struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"`
	// Active counts the runs that have a place: given to a worker, at work, or lost and maybe alive. More than
	// Limit after the limit was lowered, or when a run reports again whose place others had taken.
	Active int64 `json:"active"`
	// Waiting counts the runs in the queue that wait for a place, and for nothing else.
	Waiting int64 `json:"waiting"`
}

// MaxGroupLimit is the largest limit of a group.
const MaxGroupLimit = 1_000_000

// Drain says that a worker gets no more runs.
type Drain struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// StopBy is when its agents are asked to stop their jobs; nil for never.
	StopBy *time.Time `json:"stop_by,omitempty"`
}

// DrainRequest drains a worker.
type DrainRequest struct {
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // if the request has no login
	// DeadlineMS is after how long its agents are asked to stop their jobs; 0 for never.
	DeadlineMS int64 `json:"deadline_ms,omitempty"`
}

// WorkerInfo is a worker as the server knows it.
type WorkerInfo struct {
	Name    string            `json:"name"`
	Host    string            `json:"host"`
	Version string            `json:"version"`
	Labels  map[string]string `json:"labels"`
	// Allow are the jobs that it takes; empty for all. Commands says that it takes commands without
	// a definition.
	Allow    []string `json:"allow,omitempty"`
	Commands bool     `json:"commands"`
	Slots    int      `json:"slots"`
	// Claimed counts its claims, which have not started; Active the attempts that it started and
	// that have not ended.
	Claimed int `json:"claimed"`
	Active  int `json:"active"`
	// FirstAt and LastAt are when it asked for runs for the first and the last time.
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	// Live is false for a worker that ended, or that has not asked for longer than it may.
	Live bool `json:"live"`
	// What its host had free when it last asked; nil where it did not say.
	FreeMemoryBytes *int64   `json:"free_memory_bytes,omitempty"`
	FreeCPUs        *float64 `json:"free_cpus,omitempty"`
	Drain           *Drain   `json:"drain,omitempty"`    // nil while it gets runs
	Withheld        []Gate   `json:"withheld,omitempty"` // of jobs that it is not offered for a while
}

// keyNamespace is the namespace of RunIDForKey.
var keyNamespace = [16]byte{0x5d, 0x1f, 0x3c, 0x0a, 0x7e, 0x42, 0x4b, 0x8e, 0x9a, 0x67, 0x2c, 0x51, 0xd0, 0x8b, 0x6f, 0x34}

// RunIDForKey returns the id of the run of a job that is submitted with a key: a UUID of version 5,
// so that requests with the same key ask for the same run.
func RunIDForKey(job, key string) string {
	h := sha1.New() //nolint:gosec // as above
	h.Write(keyNamespace[:])
	h.Write([]byte(job + "\x00" + key))
	id := h.Sum(nil)[:16]
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
