package api

import (
	"time"

	"stint.dev/stint/job"
)

// Overview is a summary of all runs and jobs.
type Overview struct {
	// At is the server's clock. Ages count from it.
	At        time.Time   `json:"at"`
	Attention Attention   `json:"attention"`
	Active    ActiveRuns  `json:"active"`
	Waiting   WaitingRuns `json:"waiting"`
	Jobs      JobDays     `json:"jobs"`
	// Findings are those about jobs, the critical ones first, of equal ones that which began last.
	Findings []JobFinding `json:"findings" nullable:"false"`
}

// Attention lists the runs that need a person: of each job the run that started last of
// those that succeeded, failed, timed out or were lost, unless it succeeded; and active runs that
// are not healthy.
type Attention struct {
	// Count counts the runs that are not acknowledged, without the older ones.
	Count int `json:"count"`
	// Acknowledged counts the runs that are acknowledged. They are listed last.
	Acknowledged int `json:"acknowledged"`
	// Older counts the runs that ended more than 30 days ago and are not acknowledged. They are
	// not listed, unless they are requested.
	Older int           `json:"older"`
	Runs  []OverviewRun `json:"runs" nullable:"false"` // the worst first
	// NextCursor begins the next page; nil on the last one.
	NextCursor *string `json:"next_cursor"`
}

// WaitingRuns are the runs that wait for an attempt to begin: the queued and the retrying ones.
type WaitingRuns struct {
	Count int64         `json:"count"`
	Runs  []OverviewRun `json:"runs" nullable:"false"` // the newest, the last one first
}

// ActiveRuns are the runs on which an agent works.
type ActiveRuns struct {
	Count    int64         `json:"count"`
	Healthy  int64         `json:"healthy"`
	Warning  int64         `json:"warning"`
	Critical int64         `json:"critical"`
	Runs     []OverviewRun `json:"runs" nullable:"false"` // those that started last, the last one first
}

// JobDays are the jobs with the runs of their last day, in the order of names.
type JobDays struct {
	Count int64    `json:"count"` // of all jobs
	Jobs  []JobDay `json:"jobs" nullable:"false"`
	// NextCursor begins the next page; nil on the last one.
	NextCursor *string `json:"next_cursor"`
}

// JobDay is a job and the runs of its last day.
type JobDay struct {
	Name   string `json:"name"`
	Runs   int64  `json:"runs"` // all that are kept
	Active int64  `json:"active"`
	// LastRun is the run that started last.
	LastRun *LastRun `json:"last_run"`
	// Usual is what the last good runs took; nil before the third.
	Usual *job.Usual `json:"usual,omitempty"`
	Day   Day        `json:"day"`
}

// LastRun is a run in short. JOB#NUMBER names it.
type LastRun struct {
	Number  int64     `json:"number"`
	State   job.State `json:"state"`
	StartAt time.Time `json:"start_at"`
}

// Day holds the runs of a job that started in the last 24 hours, the last one first, in columns of
// one length: row i is run JOB#Numbers[i]. There are at most 20.
type Day struct {
	Numbers     []int64     `json:"numbers" nullable:"false"`
	States      []job.State `json:"states" nullable:"false"`
	AgesSeconds []int64     `json:"ages_seconds" nullable:"false"` // since its start
	// More says that further runs started in these 24 hours, before those listed.
	More bool `json:"more"`
}

// OverviewRun is a run as a list shows it: some fields of Run, with the same meaning.
type OverviewRun struct {
	ID       string        `json:"id"`
	Job      string        `json:"job"`
	Number   int64         `json:"number"`
	Attempt  int           `json:"attempt"`
	State    job.State     `json:"state"`
	Health   job.Health    `json:"health"`
	Findings []job.Finding `json:"findings,omitempty"` // the worst one only, without facts
	// Acknowledged is nil unless a person acknowledged the run.
	Acknowledged         *job.Acknowledgement `json:"acknowledged,omitempty"`
	Diagnosis            *job.Diagnosis       `json:"diagnosis,omitempty"` // with the likeliest cause only
	Outcome              *job.Outcome         `json:"outcome"`
	Command              string               `json:"command"` // cut to 200 bytes
	Status               string               `json:"status,omitempty"`
	Host                 string               `json:"host"`
	CreatedAt            time.Time            `json:"created_at"`
	StartAt              time.Time            `json:"start_at"`
	DeliveredLateSeconds float64              `json:"delivered_late_seconds,omitempty"`
	StartedAt            *time.Time           `json:"started_at"`
	EndedAt              *time.Time           `json:"ended_at"`
	LastHeartbeatAt      *time.Time           `json:"last_heartbeat_at"`
	SuspendedAt          *time.Time           `json:"suspended_at,omitempty"`
	Cancel               *job.Cancel          `json:"cancel,omitempty"`
	Usage                MemoryUsage          `json:"usage"`
	Usual                *job.Usual           `json:"usual,omitempty"` // when the attempt began
	// Recent is there for a run that went wrong.
	Recent        *RecentRuns        `json:"recent,omitempty"`
	SentenceTimes []job.SentenceTime `json:"sentence_times,omitempty"`
}

// MemoryUsage holds some fields of Usage, with the same meaning.
type MemoryUsage struct {
	MemoryBytes     int64 `json:"memory_bytes"`
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`
}

// RecentRuns says whether a job fails more often than it used to.
type RecentRuns struct {
	Ended        int   `json:"ended"` // the last ended runs, at most 5
	Wrong        int   `json:"wrong"` // of them: failed, timed out or lost
	JobEnded     int64 `json:"job_ended"`
	JobSucceeded int64 `json:"job_succeeded"`
}
