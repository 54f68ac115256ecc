package job

import "time"

// Priority is how large a share of the workers' time the runs of a lane get.
type Priority string

// The priorities, with the weights of their shares in Weight.
const (
	PriorityLow    Priority = "low"
	PriorityNormal Priority = "normal"
	PriorityHigh   Priority = "high"
)

// Weight is the weight of a share: low 1, normal 8, high 64; 0 for an unknown priority.
func (p Priority) Weight() int64 {
	switch p {
	case PriorityLow:
		return 1
	case PriorityNormal:
		return 8
	case PriorityHigh:
		return 64
	}
	return 0
}

// Submission says how a run was submitted. A run that somebody started by hand has none.
type Submission struct {
	By string    `json:"by"`
	At time.Time `json:"at"` // the server's clock
	// Definition is the hash of the version of the definition; empty for a command without one.
	Definition string `json:"definition,omitempty"`
	// Parameters are the values that the job gets, with defaults; Given are those of the request.
	Parameters map[string]string `json:"parameters,omitempty"`
	Given      map[string]string `json:"given,omitempty"`
	Priority   Priority          `json:"priority"`
	Group      string            `json:"group,omitempty"`
	Requires   map[string]string `json:"requires,omitempty"` // labels that a worker must have
	Key        string            `json:"key,omitempty"`
	// NotBefore and StartBy bound the start; nil for no bound.
	NotBefore *time.Time   `json:"not_before,omitempty"`
	StartBy   *time.Time   `json:"start_by,omitempty"`
	After     []Dependency `json:"after,omitempty"`
	// Worker has the claim of the run, or its agent got the permit of the newest attempt.
	Worker string `json:"worker,omitempty"`
	// Held is why the run waits for a person to release it; empty for one that does not.
	Held string `json:"held,omitempty"`
	// Reason is why a run ended without a start: "expired", "dependency failed: …".
	Reason     string      `json:"reason,omitempty"`
	Occurrence *Occurrence `json:"occurrence,omitempty"` // what the run was made for; nil if somebody submitted it
}

// Occurrence is a time at which a schedule of a job was due; Schedule is its number within the job.
type Occurrence struct {
	Schedule int       `json:"schedule"`
	At       time.Time `json:"at"` // by the schedule, however much later the run was made
}

// Dependency is a run that must have ended first, and how.
type Dependency struct {
	Run  string `json:"run"`
	When string `json:"when"` // "succeeded", "ended" or "failed"
}

// SubmitRequest asks for a run. Exactly one of Job (with a definition) and Command is the work;
// with Command, Job is the name of the run's job.
type SubmitRequest struct {
	Job string `json:"job"`
	// Again is a submitted run of the job that is to run again: what that run was given, this request has too
	// where it says nothing else.
	Again      string            `json:"again,omitempty"`
	Version    string            `json:"version,omitempty"` // of the definition; empty for the newest
	Parameters map[string]string `json:"parameters,omitempty"`
	// Command is the spec of a command without a definition; nil for a defined job.
	Command   *Spec             `json:"command,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Requires  map[string]string `json:"requires,omitempty"`
	Group     string            `json:"group,omitempty"`
	Priority  Priority          `json:"priority,omitempty"` // empty for the definition's
	Key       string            `json:"key,omitempty"`
	DelayMS   int64             `json:"delay_ms,omitempty"`
	NotBefore *time.Time        `json:"not_before,omitempty"`
	After     []Dependency      `json:"after,omitempty"`
	Overlap   string            `json:"overlap,omitempty"` // "queue" (default), "skip" or "allow"
	// By is the name to record if the request has no login. It is not part of what is asked for.
	By string `json:"by,omitempty"`
}

// SpecVersion is the version of Spec that this program writes and runs. A worker is only given
// runs whose spec has a version that it knows.
const SpecVersion = 1

// Spec is all that an agent needs to run an attempt of a submitted run.
type Spec struct {
	Version int      `json:"version"`
	Args    []string `json:"args"`          // the words of the command
	Dir     string   `json:"dir,omitempty"` // empty for the home of the worker's user
	Install []string `json:"install,omitempty"`
	// CacheFiles decide what install steps make, and CacheDirs are what they make.
	CacheFiles  []string          `json:"cache_files,omitempty"`
	CacheDirs   []string          `json:"cache_dirs,omitempty"`
	Env         map[string]string `json:"env,omitempty"` // with the values of parameters
	Zone        string            `json:"zone,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	TimeoutMS   int64             `json:"timeout_ms,omitempty"`
	InstallMS   int64             `json:"install_timeout_ms,omitempty"`
	NoOutputMS  int64             `json:"no_output_timeout_ms,omitempty"`
	MemoryBytes int64             `json:"memory_bytes,omitempty"`
	CPUs        float64           `json:"cpus,omitempty"`
}

// ClaimRequest is a worker's question for runs. It is held open until there is one; asking again
// with the same ClaimID returns the same runs.
type ClaimRequest struct {
	ClaimID string `json:"claim_id"` // a UUID that the worker made
	// WorkerID is the id in the worker's state directory: a name belongs to one id at a time.
	WorkerID string            `json:"worker_id"`
	Host     string            `json:"host"`
	Version  string            `json:"version"` // of the program
	Specs    []int             `json:"specs"`   // versions of Spec that it runs
	Slots    int               `json:"slots"`
	Free     int               `json:"free"`
	Labels   map[string]string `json:"labels,omitempty"`
	// Allow are the jobs that it takes; empty for all. Commands says that it takes commands
	// without a definition.
	Allow    []string `json:"allow,omitempty"`
	Commands bool     `json:"commands,omitempty"`
	// Starting are claims whose agents live and have no permit yet; Running are attempts that
	// have one.
	Starting []string     `json:"starting,omitempty"`
	Running  []AttemptRef `json:"running,omitempty"`
	// What the host has free: 0 bytes and nil where that is not known, because a busy host has 0 CPUs free.
	FreeMemoryBytes int64    `json:"free_memory_bytes,omitempty"`
	FreeCPUs        *float64 `json:"free_cpus,omitempty"`
	// MemoryBytes is the memory of the host: the worker gets no run whose limit is larger. 0 if it is not known.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	Leaving     bool  `json:"leaving,omitempty"` // takes no more: it ends
	WaitMS      int64 `json:"wait_ms"`           // how long to hold the question open
}

// AttemptRef names an attempt.
type AttemptRef struct {
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
}

// ClaimReply is the answer to a ClaimRequest.
type ClaimReply struct {
	ClaimID string  `json:"claim_id"`
	Worker  string  `json:"worker"`
	Server  string  `json:"server"` // the id of the installation
	Claims  []Claim `json:"claims"`
	// Draining is why the worker gets no more runs; empty while it does. StopBy is the drain's
	// deadline.
	Draining string     `json:"draining,omitempty"`
	StopBy   *time.Time `json:"stop_by,omitempty"`
	// Now is the server's clock, by which StopBy is meant.
	Now time.Time `json:"now"`
}

// Claim is a queued run given to a worker. Nothing of it has started: its agent needs a permit.
type Claim struct {
	Claim      string `json:"claim"` // its id, for Starting and a release
	Token      string `json:"token"` // a secret: its holder may ask for the permit
	Run        string `json:"run"`
	Attempt    int    `json:"attempt"`
	Job        string `json:"job"`
	Definition string `json:"definition,omitempty"`
	// Parameters are recorded in the journal; their values are in the environment of Spec.
	Parameters map[string]string `json:"parameters,omitempty"`
	Spec       Spec              `json:"spec"`
	LeftMS     int64             `json:"left_ms"` // how long the claim lasts from the reply on
}

// ReleaseRequest gives a claim back.
type ReleaseRequest struct {
	Reason string `json:"reason"`
}

// Answers to an agent that asks for the permit to start an attempt.
const (
	PermitGranted = "granted"
	PermitRefused = "refused"
)

// Permit is the part of a reply to the first append of a submitted run's attempt that says
// whether this process may start it. A reply without it is no permit.
type Permit struct {
	Answer  string `json:"permit,omitempty"` // PermitGranted or PermitRefused
	Why     string `json:"why,omitempty"`    // of a refusal
	LeaseMS int64  `json:"lease_ms,omitempty"`
	// AttemptToken authorizes further requests of this attempt.
	AttemptToken string `json:"attempt_token,omitempty"`
}

// Headers of the first append of a submitted run's attempt.
const (
	HeaderClaim       = "Stint-Claim"       // Claim.Token
	HeaderIncarnation = "Stint-Incarnation" // 128 random bits of the process, as 32 hex digits
)
