package agent

import (
	"cmp"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/overlap"
	"stint.dev/stint/internal/agent/process/watch"
	"stint.dev/stint/internal/agent/report"
	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/agent/signals"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
)

// Config is one attempt to supervise. Zero durations mean no limit, or the default where
// one is named.
type Config struct {
	Run     string // UUIDv7, made by the caller
	Attempt int    // from 1
	// FirstAttempt is the first that this agent makes; 0 for Attempt. Supervise counts.
	FirstAttempt  int
	claim         *spool.RunClaim // nil when there is one attempt only
	events        *signals.Owner  // of Signals; see withEvents
	droppedBefore bool            // output of an attempt before this one was dropped
	began         time.Time       // when the first attempt began; made by withDefaults
	// link is shared by the attempts of a run; made by withDefaults.
	link    *delivery.Link
	Retry   retry.Policy
	Job     string
	Args    []string // the command
	Install []string // commands for sh -c, run in order before it
	// InstallCache names lock files, CacheDirs what the install steps make of them, both
	// relative to DirPath: an equal install is then not done twice.
	InstallCache []string
	CacheDirs    []string
	// Dir is the directory to change to; empty keeps the job in the agent's own, which needs
	// no path. DirPath is the absolute path of either, for the record; empty if it is not known.
	Dir, DirPath string
	Env          []string // KEY=VALUE, as the job is to have it
	EnvNames     []string // names, for the journal, of what the caller added
	Labels       map[string]string
	Redact       []string // names of variables whose values are masked, besides those that look secret
	NoRedact     []string // names whose values are not masked; "*" is all
	Token        string   // of the access to the server: masked, and never given to the job
	ReportURL    string   // of ReportTo: credentials in it are masked

	Server delivery.Server // nil: the journal stays in the spool
	// WithToken returns Server with another token, for a journal that has one of its own; nil
	// where no token is needed.
	WithToken func(token string) delivery.Server
	// Submitted is what the attempt of a submitted run is started with; nil for a run that
	// somebody started by hand. There is one attempt then.
	Submitted *Submitted
	ServerURL string // given to the job and noted in the spool, without credentials
	ReportTo  report.Reporter
	StateDir  string // empty: the journal is held in memory
	// SpoolLimit bounds what of the journal waits on disk for the server; 0 is 1 GiB.
	SpoolLimit int64

	// Stdin is descriptor 0 of the command; nil is /dev/null. The agent does not read it. A
	// regular file is set back to where it was before a further attempt.
	Stdin *os.File
	// TypeStdin, with TTY, has the agent type what Stdin brings into the command's terminal;
	// that terminal is descriptor 0 then.
	TypeStdin      bool
	Stdout, Stderr *os.File // the caller's own; nil drops that stream
	Quiet          bool     // do not pass output on to Stdout and Stderr
	// IgnoreClosedOutput lets the job go on, recorded, when the reader of Stdout or Stderr goes
	// away. Otherwise that stream is closed for the job.
	IgnoreClosedOutput bool
	// MergeOutput gives the command one pipe for stdout and stderr, recorded as stdout: their
	// order is kept.
	MergeOutput bool

	Due             *job.Expectation // when further runs of the job are expected; nil for what the server has
	Expect          time.Duration    // longer than that is reported as overdue; nothing is stopped
	Timeout         time.Duration    // of the command
	InstallTimeout  time.Duration    // of all install steps together
	NoOutputTimeout time.Duration    // without output on both streams
	// NoProgressTimeout is without output, CPU, IO and messages of the job.
	NoProgressTimeout time.Duration
	// QuitFirst sends SIGQUIT before the stop signal when a limit was passed.
	QuitFirst bool
	// StopSignal asks the job to end; 0 is the signal that asked the agent to, and SIGTERM
	// where it was none.
	StopSignal      syscall.Signal
	StopGrace       time.Duration // from the stop signal to the kill; default 10 s
	HeartbeatPeriod time.Duration // until the server sets the pace; default 5 s (1 s for ReportTo)
	SamplePeriod    time.Duration // default 5 s
	FlushTimeout    time.Duration // for delivery after the end; default 30 s

	Containment string  // process.Options.AtMost: the best level to use; empty for the best there is
	MemoryLimit int64   // bytes, 0 for none
	CPULimit    float64 // cores, 0 for none
	// MemoryLimitName and CPULimitName are what messages call them: see process.Options.
	MemoryLimitName, CPULimitName string
	// unenforced is what was reported of limits that do not hold; shared by the attempts of a
	// run, made by withDefaults.
	unenforced *string
	// OOMScoreAdj is that of the job's processes; nil keeps the caller's. See process.Options.
	OOMScoreAdj *int

	// Overlap has the lock of the job's name; nil for none. It is given back when the job has ended.
	Overlap *overlap.Guard

	// TTY gives the command a pseudo-terminal. Its stdout and stderr are one stream then.
	TTY bool
	// Finish is what the watcher does when this agent dies; nil for nothing.
	Finish *watch.Finish
	// BeforeFork is called before each process is made; see process.Options.
	BeforeFork func() (after func())
	// KeepBackground leaves running what the command leaves behind when it ends by itself.
	KeepBackground bool

	// Notes are recorded before the first step of each attempt.
	Notes []string

	Version string
	Host    string // name of this host, by which its journals and locks are known
	BootID  string
	// ReportedHost is the name of the host that the run is reported under; empty for Host.
	ReportedHost string

	// Signals are those that the process received: see signals.Take. SIGPIPE must be among
	// those taken, so that a reader of our output that goes away is an error of that write.
	Signals <-chan os.Signal
	// SuspendSelf stops this process as a signal of job control would have done, and returns
	// when it is continued: see signals.SuspendSelf. When nil, the agent is not suspended.
	SuspendSelf func(syscall.Signal)
	// Cores is called with the number of cores that the agent can make use of, when that
	// changes; may be nil. It is called from several goroutines.
	Cores func(n int)
	// Ended is called with the outcome of the last attempt when its output is passed on, before the wait for
	// the server; not where a further attempt may follow, nor where the run did not begin. It may be nil.
	Ended func(job.Outcome)
	// Print prints one line for people. It is called from several goroutines, which it must
	// not make wait: the reader of these lines may have stopped reading.
	Print func(line string)
	// MaskMessages is called with a function that masks the secrets in a text, before anything
	// is printed in which there may be one; may be nil.
	MaskMessages func(mask func(string) string)
}

// Result is how supervising ended.
type Result struct {
	Outcome  job.Outcome
	ExitCode int
	// Signal is the one that the process is to die of, so that its caller sees what it would
	// of the bare command; 0 for none. ExitCode is what a shell makes of it.
	Signal syscall.Signal
	// Complete is true when the server has the whole journal and no output was dropped.
	Complete bool
	// Dropped is true when output that the caller's reader was owed was dropped.
	Dropped bool
	// WaitsAt is where the journal waits when it was not delivered; empty otherwise.
	WaitsAt string
	// Err is set when the agent could not do its own work before the job started.
	Err error

	stopped bool   // the server requested a stop after the job's end: no other attempt follows
	ownRun  string // the id under which the run is recorded, where its own is that of another run; else empty
}

func (c Config) withDefaults() Config {
	if c.StopGrace <= 0 {
		c.StopGrace = 10 * time.Second
	}
	if c.SamplePeriod <= 0 {
		c.SamplePeriod = 5 * time.Second
	}
	if c.FlushTimeout <= 0 {
		c.FlushTimeout = 30 * time.Second
	}
	if c.DirPath == "" && filepath.IsAbs(c.Dir) {
		c.DirPath = c.Dir
	}
	c.FirstAttempt = cmp.Or(c.FirstAttempt, c.Attempt)
	c.began = cmp.Or(c.began, time.Now())
	c.ReportedHost = cmp.Or(c.ReportedHost, c.Host)
	if c.Print == nil {
		c.Print = func(string) {}
	}
	if c.MaskMessages == nil {
		c.MaskMessages = func(func(string) string) {}
	}
	if c.unenforced == nil {
		c.unenforced = new(string)
	}
	if c.link == nil {
		c.link = delivery.NewLink(c.Print)
	}
	c.ServerURL = delivery.WithoutCredentials(c.ServerURL)
	return c
}

// withEvents returns the configuration with an owner of its signals, and end, which ends that
// owner unless the configuration had it before.
func (c Config) withEvents() (with Config, end func()) {
	if c.events != nil {
		return c, func() {}
	}
	c.events = signals.New(c.Signals)
	go c.events.Run()
	return c, c.events.Close
}

// host returns this host as the spool identifies it.
func (c Config) host() owner.Host { return owner.Host{Name: c.Host, BootID: c.BootID} }

// flushConfig returns how journals in the spool of this host are delivered.
func (c Config) flushConfig() flush.Config {
	return flush.Config{StateDir: c.StateDir, Server: c.Server, ServerURL: c.ServerURL, WithToken: c.WithToken, Host: c.host()}
}

// environment returns the configuration of the job's environment.
func (c Config) environment() environment.Config {
	return environment.Config{
		Caller: c.Env, Run: c.Run, Job: c.Job, Attempt: c.Attempt, ServerURL: c.ServerURL,
		Redact: c.Redact, NoRedact: c.NoRedact, Token: c.Token, ReportURL: c.ReportURL,
	}
}

// passesOutput reports whether output is passed on to the caller's stdout or stderr.
func (c Config) passesOutput() bool { return !c.Quiet && (c.Stdout != nil || c.Stderr != nil) }

// heartbeatPeriod returns the period of heartbeats until the server sets one.
func (c Config) heartbeatPeriod() time.Duration {
	if c.HeartbeatPeriod > 0 {
		return c.HeartbeatPeriod
	}
	return 5 * time.Second
}
