package job

import "time"

// Run is one intended execution of a job as the server knows it: what its current attempt
// is doing or how it ended. It is the API's answer for one run; in lists, Steps, Findings
// and Output.Gaps are filled too.
type Run struct {
	ID      string `json:"id"`
	Job     string `json:"job"`
	Number  int64  `json:"number"`
	Attempt int    `json:"attempt"`
	State   State  `json:"state"`
	// Health is empty unless the run is active, or waits in the queue and has a finding.
	Health   Health    `json:"health"`
	Findings []Finding `json:"findings"`
	// Diagnosis is nil when there is none.
	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	// Expected is what was usual for the job when the attempt began; nil before it had
	// three good runs.
	Expected *Expected `json:"expected,omitempty"`
	// Outcome is nil until the attempt has ended.
	Outcome *Outcome `json:"outcome"`
	Steps   []Step   `json:"steps"`
	// Command is the command line as a shell would read it; Args are its exact words.
	Command string   `json:"command"`
	Args    []string `json:"args"`
	Dir     string   `json:"dir"`
	Host    string   `json:"host"`
	// Containment is the level the agent reached ("cgroup2", "cgroup1", "process_group").
	Containment  string            `json:"containment"`
	AgentVersion string            `json:"agent_version"`
	Labels       map[string]string `json:"labels"`
	// CreatedAt is the server's clock when the first report of the run arrived; StartedAt and
	// EndedAt are the agent's.
	CreatedAt time.Time `json:"created_at"`
	// StartAt is when the run started, on the server's clock, computed from the first report of
	// it: see ServerTime. Lists, the last run of a job and its series go by it.
	StartAt time.Time `json:"start_at"`
	// DeliveredLateSeconds is how long after the start the first report of the run arrived, if
	// that was late: see DeliveredLate.
	DeliveredLateSeconds float64 `json:"delivered_late_seconds,omitempty"`

	StartedAt       *time.Time `json:"started_at"`
	EndedAt         *time.Time `json:"ended_at"`
	LastHeartbeatAt *time.Time `json:"last_heartbeat_at"`
	// SuspendedAt is the server's clock when the agent reported that it stops itself and the
	// job (SIGTSTP); nil while they run.
	SuspendedAt *time.Time `json:"suspended_at,omitempty"`
	// Status is the job's own last word about its progress (sd_notify STATUS=).
	Status string  `json:"status"`
	Usage  Usage   `json:"usage"`
	Output Output  `json:"output"`
	Cancel *Cancel `json:"cancel"` // nil unless a stop of the run was requested
	// Submitted is nil for a run that was not requested at the server.
	Submitted *Submission `json:"submitted,omitempty"`
	// Acknowledged is nil unless a person acknowledged what is wrong with the run now.
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
	Notes        []string         `json:"notes"` // what the agent had to say ("the memory limit is not enforced: …")
	// StoppedProcesses is nil unless the agent stopped the job for a limit.
	StoppedProcesses *StoppedProcesses `json:"stopped_processes,omitempty"`
	// SentenceTimes are the moments that the sentences of the run name: the evidence of findings
	// and causes, the diagnosis, the messages of outcome and steps, and the notes.
	SentenceTimes []SentenceTime `json:"sentence_times,omitempty"`
}

// StoppedProcesses are the processes of a job just before the agent stopped it for a limit.
type StoppedProcesses struct {
	Processes []StoppedProcess `json:"processes" nullable:"false"`
	// NotDescribed counts further processes.
	NotDescribed int `json:"not_described"`
	// Notes are the indexes of the notes of the run that say the same to a person.
	Notes []int `json:"notes" nullable:"false"`
}

// StoppedProcess is what one process was doing.
type StoppedProcess struct {
	PID    int    `json:"pid"`
	Parent int    `json:"parent"`
	Name   string `json:"name"`
	// Facts are phrases for a person: its state and system call, CPU, threads, sockets, files.
	Facts []string `json:"facts" nullable:"false"`
}

// Step is one phase of an attempt.
type Step struct {
	Index   int      `json:"index"` // 0, 1, 2 … in the order they ran
	Name    string   `json:"name"`
	Kind    StepKind `json:"kind"`
	Command string   `json:"command"`
	// State is running, or the state of the step's own end.
	State     State      `json:"state"`
	PID       int        `json:"pid,omitempty"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	ExitCode  *int       `json:"exit_code"`
	Signal    string     `json:"signal,omitempty"`
	Message   string     `json:"message,omitempty"`
}

// Usage is what the attempt has used so far, over its whole process tree.
type Usage struct {
	CPUSeconds  float64 `json:"cpu_seconds"`
	MemoryBytes int64   `json:"memory_bytes"` // in use at the last sample; 0 after the end
	// PeakMemoryBytes is the most memory in use: the highest sample, and at least the largest
	// size that the kernel reports of one process. The clean cache of files, which
	// the kernel frees when memory is needed, is not in use.
	PeakMemoryBytes int64 `json:"peak_memory_bytes"`
	// PeakMemoryWithCacheBytes is the kernel's own peak, which counts the cache of files; 0
	// where the kernel keeps none, or it is not larger.
	PeakMemoryWithCacheBytes int64 `json:"peak_memory_with_cache_bytes,omitempty"`
	Processes                int   `json:"processes"`
	ReadBytes                int64 `json:"read_bytes"`
	WrittenBytes             int64 `json:"written_bytes"`
}

// Output sums up what the job printed, over all steps and both streams.
type Output struct {
	Bytes int64 `json:"bytes"`
	Lines int64 `json:"lines"` // a last line without its newline counts
	// Complete is proved: the outcome's length and digest of the journal agree with the
	// server's copy, and no gap was declared.
	Complete bool  `json:"complete"`
	Gaps     []Gap `json:"gaps"`
	// LongestSilenceSeconds is the longest time in which a step printed nothing.
	LongestSilenceSeconds float64 `json:"longest_silence_seconds"`
}

// Gap is output that could not be kept.
type Gap struct {
	Step   int    `json:"step"`
	Stream Stream `json:"stream"`
	// AtBytes is the place: the count of bytes of this step and stream before the gap,
	// earlier gaps included.
	AtBytes int64     `json:"at_bytes"`
	Bytes   int64     `json:"bytes"`
	Lines   int64     `json:"lines"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Stream names one of a step's two outputs.
type Stream string

const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Finding is one health rule that holds now.
type Finding struct {
	Rule     string    `json:"rule"` // "quiet", "stalled", …
	Health   Health    `json:"health"`
	Since    time.Time `json:"since"`
	Evidence string    `json:"evidence"` // one sentence
	// Facts are the figures of the evidence when the finding last changed; their names end with the unit.
	Facts map[string]any `json:"facts,omitempty"`
	// Next describes what happens if the finding persists, and NextAt is when; both are empty if nothing happens.
	// NextCode is Next for programs.
	Next     string     `json:"next,omitempty"`
	NextCode NextCode   `json:"next_code,omitempty"`
	NextAt   *time.Time `json:"next_at,omitempty"`
}

// NextCode is what happens to a run if a finding persists.
type NextCode string

// What can happen next.
const (
	NextLost      NextCode = "lost"      // the state becomes lost
	NextCritical  NextCode = "critical"  // the finding becomes critical
	NextCancel    NextCode = "cancel"    // the run is canceled
	NextCanceling NextCode = "canceling" // the run is being canceled
	NextDue       NextCode = "due"       // the job is due again
)

// Cancel is a request to stop a run.
type Cancel struct {
	By  string    `json:"by"`
	Why string    `json:"why,omitempty"`
	At  time.Time `json:"at"`
	// ByPolicy is true if the policy of the job requested it: then Why is a sentence of the server,
	// otherwise a text of the person who requested it. It is computed for readers from By.
	ByPolicy bool `json:"by_policy,omitempty"`
}

// PolicyAuthor is the By of a cancel or a retry that the policy of a job requests.
const PolicyAuthor = "the policy of the job"

// Acknowledgement says that a person knows what is wrong with a run. It holds as long as that is
// the same: see Covers.
type Acknowledgement struct {
	By  string    `json:"by"`
	Why string    `json:"why,omitempty"`
	At  time.Time `json:"at"`
	// Attempt, State and Health are those of the run when it was acknowledged.
	Attempt int    `json:"attempt"`
	State   State  `json:"state"`
	Health  Health `json:"health,omitempty"`
}

// Covers reports whether what is wrong with a run now is what was acknowledged: the same attempt, in
// the same state. While the agent is at work it is the health that counts.
func (a Acknowledgement) Covers(r *Run) bool {
	if r.Attempt != a.Attempt || r.State.Terminal() || a.State.Terminal() {
		return r.Attempt == a.Attempt && r.State == a.State
	}
	return r.Health == a.Health
}

// Sample is one measurement of the whole process tree of an attempt.
type Sample struct {
	At          time.Time `json:"at"`
	CPUSeconds  float64   `json:"cpu_seconds"`  // since the attempt began; never falls
	CPUCores    float64   `json:"cpu_cores"`    // average since the sample before
	MemoryBytes int64     `json:"memory_bytes"` // in use: without the clean cache of files
	CacheBytes  int64     `json:"cache_bytes,omitempty"`
	PeakBytes   int64     `json:"peak_bytes,omitempty"` // the kernel's own, with the cache of files
	LimitBytes  int64     `json:"limit_bytes,omitempty"`
	Processes   int       `json:"processes"`
	Threads     int       `json:"threads,omitempty"`
	ReadBytes   int64     `json:"read_bytes,omitempty"`
	WriteBytes  int64     `json:"write_bytes,omitempty"`
	// Pressure is the share of the last 10 s, in percent, in which some task of the
	// tree waited; nil where the system does not say (PSI, cgroup v2 only).
	Pressure *Pressure `json:"pressure,omitempty"`
	// GPUs are those of the host, also those that the job does not use; only in samples that have
	// a new reading, and only where nvidia-smi is on the PATH.
	GPUs []GPU `json:"gpus,omitempty"`
}

// GPU is what nvidia-smi says of one device.
type GPU struct {
	Index              int      `json:"index"`
	Name               string   `json:"name"`
	UtilizationPercent *float64 `json:"utilization_percent,omitempty"` // nil where it does not say
	MemoryBytes        int64    `json:"memory_bytes"`
	MemoryTotalBytes   int64    `json:"memory_total_bytes"`
}

// Pressure is the kernel's pressure stall information, "some avg10".
type Pressure struct {
	CPU    float64 `json:"cpu"`
	Memory float64 `json:"memory"`
	IO     float64 `json:"io"`
}

// HeaderLocalAddress is the header in which an agent names its own end, host:port, of the
// connection that it holds open for the heartbeats and small appends of its run. Each such
// request has it. An agent that sends it sends a heartbeat within half a second after that
// connection closed. Where the server sees another address, there is something between the
// two and may close the connection while the agent lives.
const HeaderLocalAddress = "Stint-Local-Address"

// HeaderClock is the header with the time of the agent's clock, in RFC 3339, when it began to
// send an append. The server corrects the start of a run by it: see ServerTime.
const HeaderClock = "Stint-Clock"

// Heartbeat reports that an attempt is alive, with evidence.
type Heartbeat struct {
	Sequence int64     `json:"sequence"` // 1, 2, 3 … within the attempt
	SentAt   time.Time `json:"sent_at"`  // the agent's clock
	UptimeMS int64     `json:"uptime_ms"`
	// SchedulingDelayMS is how late the agent's own timer fired for this beat.
	SchedulingDelayMS int64   `json:"scheduling_delay_ms"`
	OutputAgeMS       int64   `json:"output_age_ms"` // since the job last printed; -1 if never
	CPUSeconds        float64 `json:"cpu_seconds"`
	MemoryBytes       int64   `json:"memory_bytes"`
	Processes         int     `json:"processes"`
	UnsentBytes       int64   `json:"unsent_bytes"` // of the journal, not yet acknowledged
	// ReadBytes and WrittenBytes are the whole tree's traffic with disks; they only grow.
	ReadBytes    int64 `json:"read_bytes,omitempty"`
	WrittenBytes int64 `json:"written_bytes,omitempty"`
	// MemoryLimitBytes is the limit that holds for the tree; 0 for none.
	MemoryLimitBytes int64 `json:"memory_limit_bytes,omitempty"`
	// OOMKills counts the kernel's kills for want of memory in the tree so far.
	OOMKills int64 `json:"oom_kills,omitempty"`
	// DiskFreeBytes is what the job's working directory has left for it; nil if unknown.
	DiskFreeBytes *int64 `json:"disk_free_bytes,omitempty"`
	// Pressure is the last sample's; nil where the system does not say.
	Pressure *Pressure `json:"pressure,omitempty"`
	// WaitingMS is how much longer the agent waits, after the attempt's end, to be asked
	// for another one; 0 while the attempt goes on.
	WaitingMS int64 `json:"waiting_ms,omitempty"`
	// PeriodMS is when the agent means to beat next, if the server says nothing else.
	PeriodMS int64 `json:"period_ms"`
	// Suspended says that this is the last heartbeat before job and agent are stopped
	// (SIGTSTP). The next heartbeat shows that the agent goes on.
	Suspended bool `json:"suspended,omitempty"`
}

// Milliseconds returns a figure from outside as a duration within bounds. It is clamped
// before it is multiplied, because nothing keeps a request or reply from holding 2^63-1.
func Milliseconds(ms int64, least, most time.Duration) time.Duration {
	ms = min(max(ms, 0), most.Milliseconds()+1)
	return min(max(time.Duration(ms)*time.Millisecond, least), most)
}

// HeartbeatReply is the server's side of the lease.
type HeartbeatReply struct {
	// Run and Attempt are those of the request. An agent acts on no reply without them:
	// anything between it and the server can answer 200 and some JSON.
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	// Server is the id of the installation, the same for all servers of one database.
	Server  string `json:"server"`
	LeaseMS int64  `json:"lease_ms"`
	NextMS  int64  `json:"next_ms"` // when to beat next
	// Owner is false when a newer attempt owns the run: this one must follow the job's
	// policy, by default stop.
	Owner bool `json:"owner"`
	// Watched is true while a client follows the run live: the agent then sends output at once.
	Watched  bool      `json:"watched"`
	Commands []Command `json:"commands"`
}

// Command is something that the server asks of the agent. The same command is repeated in
// every reply until the journal shows that it was done.
type Command struct {
	Kind string `json:"kind"` // "cancel" or "retry"
	By   string `json:"by"`
	Why  string `json:"why,omitempty"`
	// Attempt is the number of the attempt to begin, for "retry".
	Attempt int `json:"attempt,omitempty"`
}

// AppendReply answers an append of journal bytes.
type AppendReply struct {
	// Run, Attempt and Server are as in HeartbeatReply.
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	Server  string `json:"server"`
	Size    int64  `json:"size"` // bytes of the journal that are durable on the server
	Watched bool   `json:"watched"`
	// Number is that of the run among those of its job; 0 where the reply does not have it.
	Number int64 `json:"number,omitempty"`
	// Notice is a sentence for the person who started the run; empty for none.
	Notice string `json:"notice,omitempty"`
}

// Kinds of events that change neither state nor health: the agent has stopped itself and
// the job, or both go on; a person acknowledged the run, or undid that; the server found out
// why the run ended badly; a worker that had a claim of the run did not start it; the agent noted something.
const (
	EventSuspended      = "suspended"
	EventResumed        = "resumed"
	EventAcknowledged   = "acknowledged"
	EventUnacknowledged = "unacknowledged"
	EventDiagnosed      = "diagnosed"
	EventClaimEnded     = "claim_ended"
	EventNote           = "note"
)

// RunEvent is one change of state or health, as the history keeps it.
type RunEvent struct {
	ID      int64     `json:"id"`
	Run     string    `json:"run"`
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	// Clock says whose time At is: "server" or "agent".
	Clock string `json:"clock"`
	Kind  string `json:"kind"` // "state", "health", or one of the kinds above
	From  string `json:"from"`
	To    string `json:"to"`
	// Rule is the event kind or the health rule that caused the change.
	Rule     string `json:"rule"`
	Evidence string `json:"evidence"` // one sentence
	// ByPolicy is true for a stop or a retry that the policy of the job requested, see Cancel.
	ByPolicy bool `json:"by_policy,omitempty"`
	// SentenceTimes are the moments that the evidence names.
	SentenceTimes []SentenceTime `json:"sentence_times,omitempty"`
}

// Usual is the band that the good runs of a job make.
type Usual struct {
	Runs               int     `json:"runs"`
	DurationP50Seconds float64 `json:"duration_p50_seconds"`
	DurationP95Seconds float64 `json:"duration_p95_seconds"`
	PeakMemoryP50Bytes int64   `json:"peak_memory_p50_bytes"`
	PeakMemoryP95Bytes int64   `json:"peak_memory_p95_bytes"`
}
