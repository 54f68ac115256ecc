package query

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const (
	// OverviewDay is how far back an overview shows the runs of each job, and OverviewCells how many
	// of them at most.
	OverviewDay   = 24 * time.Hour
	OverviewCells = 20
	// OverviewActive is how many active runs it lists.
	OverviewActive = 30
	// OverviewWaiting is how many waiting runs it lists.
	OverviewWaiting = 10
	// OverviewRecent is how many ended runs decide whether a job fails more often than it used to.
	OverviewRecent = 5
	// OverviewOld is how long after their ends runs that went wrong are listed by themselves.
	OverviewOld = 30 * 24 * time.Hour
)

// Overview is a query for an overview. With a cursor the result has only a page of that list.
type Overview struct {
	Now             time.Time
	Limit           int // the most runs that need attention, and the most jobs
	AttentionCursor string
	JobsCursor      string
	Older           bool // list the old ones of those that need attention instead of the others
}

// Trouble is a run that needs attention, with what the list is sorted by.
type Trouble struct {
	Run          string
	State        job.State
	Health       job.Health
	Acknowledged bool
	At           time.Time // when it ended; of an active run when it started
}

// Old reports whether the run ended long ago.
func (t Trouble) Old(now time.Time) bool {
	return t.State.Terminal() && now.Sub(t.At) > OverviewOld
}

// rank returns the severity; 0 is the worst.
func (t Trouble) rank() int {
	switch {
	case t.Health == job.Critical && !t.State.Terminal():
		return 0
	case t.State == job.Lost:
		return 1
	case t.State == job.Failed:
		return 2
	case t.State == job.TimedOut:
		return 3
	}
	return 4
}

// CompareTroubles compares runs for the list: unacknowledged ones first, then the worst, then the newest.
func CompareTroubles(a, b Trouble) int {
	acknowledged := func(t Trouble) int {
		if t.Acknowledged {
			return 1
		}
		return 0
	}
	return cmp.Or(acknowledged(a)-acknowledged(b), a.rank()-b.rank(), b.At.Compare(a.At), strings.Compare(b.Run, a.Run))
}

// Cursor returns the cursor of the list after a run.
func (t Trouble) Cursor() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%t,%s,%s,%d,%s", t.Acknowledged, t.State, t.Health, t.At.UnixMicro(), t.Run))
}

// TroubleOf parses a cursor.
func TroubleOf(cursor string) (Trouble, error) {
	bad := &job.InvalidError{What: "attention_cursor", Value: cursor, Why: "is not one that this server gave; begin again without it"}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return Trouble{}, bad
	}
	fields := strings.Split(string(text), ",")
	if len(fields) != 5 || job.CheckRunID(fields[4]) != nil {
		return Trouble{}, bad
	}
	at, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil {
		return Trouble{}, bad
	}
	return Trouble{
		Run: fields[4], State: job.State(fields[1]), Health: job.Health(fields[2]), Acknowledged: fields[0] == "true", At: time.UnixMicro(at).UTC(),
	}, nil
}

// EndOnServer returns when a run ended on the server's clock: as long after its start as the agent
// says, but no later than now. Started and ended are those of its last attempt, and start is that of
// its first one: of a run with several attempts, and where nobody knows the end, it is when the server
// last had a sign of the run.
func EndOnServer(attempt int, start time.Time, started, ended *time.Time, lastSign, now time.Time) time.Time {
	at := lastSign
	if attempt <= 1 && started != nil && ended != nil {
		at = start.Add(max(ended.Sub(*started), 0))
	}
	if at.Before(start) {
		at = start
	}
	if at.After(now) {
		at = now
	}
	return at
}

// ShortRun returns what an overview shows of a run.
func ShortRun(r *job.Run) api.OverviewRun {
	out := api.OverviewRun{
		ID: r.ID, Job: r.Job, Number: r.Number, Attempt: r.Attempt, State: r.State, Health: r.Health,
		Acknowledged: r.Acknowledged, Outcome: r.Outcome, Command: index.Truncate(r.Command, 200), Status: index.Truncate(r.Status, 200), Host: r.Host,
		CreatedAt: r.CreatedAt, StartAt: r.StartAt, DeliveredLateSeconds: r.DeliveredLateSeconds,
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, LastHeartbeatAt: r.LastHeartbeatAt, SuspendedAt: r.SuspendedAt,
		Cancel: r.Cancel, Usage: api.MemoryUsage{MemoryBytes: r.Usage.MemoryBytes, PeakMemoryBytes: r.Usage.PeakMemoryBytes},
		Usual: UsualOf(r.Expected), SentenceTimes: r.SentenceTimes,
	}
	if worst := WorstFinding(r.Findings); worst != nil {
		one := *worst
		one.Facts = nil
		out.Findings = []job.Finding{one}
	}
	if r.Diagnosis != nil {
		d := *r.Diagnosis
		d.Causes = d.Causes[:min(len(d.Causes), 1)]
		out.Diagnosis = &d
	}
	return out
}

// WorstFinding returns the first critical finding, else the first one; nil for none.
func WorstFinding(findings []job.Finding) *job.Finding {
	for i := range findings {
		if findings[i].Health == job.Critical {
			return &findings[i]
		}
	}
	if len(findings) == 0 {
		return nil
	}
	return &findings[0]
}

// UsualOf returns a band in the form of lists; nil for none.
func UsualOf(e *job.Expected) *job.Usual {
	if e == nil {
		return nil
	}
	return &job.Usual{
		Runs: e.Runs, DurationP50Seconds: e.DurationSeconds.P50, DurationP95Seconds: e.DurationSeconds.P95,
		PeakMemoryP50Bytes: int64(e.PeakMemoryBytes.P50), PeakMemoryP95Bytes: int64(e.PeakMemoryBytes.P95),
	}
}

// RecentRuns sums up what the last runs of a job, the last one first, say of how often it fails.
func RecentRuns(last []api.LastRun, all api.Summary) api.RecentRuns {
	out := api.RecentRuns{JobEnded: all.Runs - all.Active, JobSucceeded: all.Succeeded}
	for _, r := range last {
		if !r.State.Terminal() || out.Ended == OverviewRecent {
			continue
		}
		out.Ended++
		if r.State.EndedBadly() {
			out.Wrong++
		}
	}
	return out
}

// DayOf returns the last day of a job, of whose last runs the last one is first.
func DayOf(last []api.LastRun, now time.Time) api.JobDay {
	day := api.Day{Numbers: []int64{}, States: []job.State{}, AgesSeconds: []int64{}}
	out := api.JobDay{}
	for i, r := range last {
		if i == 0 {
			out.LastRun = &last[i]
		}
		age := max(now.Sub(r.StartAt), 0)
		if age > OverviewDay {
			break
		}
		if len(day.Numbers) == OverviewCells {
			day.More = true
			break
		}
		day.Numbers, day.States = append(day.Numbers, r.Number), append(day.States, r.State)
		day.AgesSeconds = append(day.AgesSeconds, int64(age.Seconds()))
	}
	out.Day = day
	return out
}
