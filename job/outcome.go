package job

import (
	"fmt"
	"time"
)

// Reason is why an attempt ended. The set is part of the API.
type Reason string

const (
	ExitCode       Reason = "exit_code"       // the command ended by itself; 0 for succeeded
	BySignal       Reason = "signal"          // a signal from outside ended the command
	OutOfMemory    Reason = "out_of_memory"   // the kernel's out-of-memory killer, proved by its counters
	Timeout        Reason = "timeout"         // --timeout
	InstallTimeout Reason = "install_timeout" // --install-timeout
	NoOutput       Reason = "no_output"       // --no-output-timeout
	NoProgress     Reason = "no_progress"     // no output, no CPU and no IO for too long
	ByCancel       Reason = "canceled"        // a person or a program asked for it
	InstallFailed  Reason = "install_failed"  // an install step ended badly; the command never started
	CouldNotStart  Reason = "could_not_start" // the process of a step could not be made
	AgentStopped   Reason = "agent_stopped"   // the agent was asked to stop while its job ran
	AgentLost      Reason = "agent_lost"      // the agent died; how the job ended is not known
	HostRebooted   Reason = "host_rebooted"   // the host went down under the agent
	Superseded     Reason = "superseded"      // a newer attempt owns the run
	OutputClosed   Reason = "output_closed"   // the caller's reader of the output went away, as head does

	// Of submitted runs only.
	Expired       Reason = "expired"         // it had not started when it had to
	DependencyEnd Reason = "dependency"      // a run that it was to follow can no longer end as it had to
	Evicted       Reason = "evicted"         // it had to leave its worker
	Preempted     Reason = "preempted"       // an engine stopped it for another one
	HostLost      Reason = "host_lost"       // an engine lost its host
	CouldNotPlace Reason = "could_not_place" // an engine did not take it
)

// Outcome is how an attempt ended: the same in journal, API and page.
type Outcome struct {
	State  State  `json:"state"`
	Reason Reason `json:"reason"`
	// ExitCode is the step's own exit code; nil when it did not exit by itself, or when
	// it is not known.
	ExitCode *int `json:"exit_code"`
	// Signal is the name ("SIGKILL") of the signal that ended the process, if one did.
	Signal       string `json:"signal,omitempty"`
	SignalNumber int    `json:"signal_number,omitempty"`
	CoreDumped   bool   `json:"core_dumped,omitempty"`
	// Errno names the system's reason ("ENOENT") for CouldNotStart.
	Errno string `json:"errno,omitempty"`
	// Step is the name of the step that decided the outcome.
	Step string `json:"step,omitempty"`
	// By is who requested it, for canceled and superseded ("ada", "signal SIGTERM to the agent").
	By string `json:"by,omitempty"`
	// OOM is the proof for out_of_memory.
	OOM *OOM `json:"oom,omitempty"`
	// Disconnected reports, for agent_lost, that the agent's side closed its connection to the
	// server, as the kernel does when an agent is killed.
	Disconnected bool `json:"disconnected,omitempty"`
	// Message is one sentence for a person.
	Message string `json:"message"`
	// RetryAt is when the agent means to begin the next attempt of the run; nil when this
	// one is the last.
	RetryAt *time.Time `json:"retry_at,omitempty"`
}

// OOM is what the kernel counted when it killed for lack of memory.
type OOM struct {
	LimitBytes int64     `json:"limit_bytes"` // 0: no limit of the job's own; the host ran out
	PeakBytes  int64     `json:"peak_bytes"`
	Kills      int64     `json:"kills"`
	Victim     string    `json:"victim,omitempty"` // name of the largest process
	VictimPID  int       `json:"victim_pid,omitempty"`
	At         time.Time `json:"at,omitzero"`
}

// StepKind distinguishes install steps from the command.
type StepKind string

const (
	InstallStep StepKind = "install"
	CommandStep StepKind = "command"
)

// StopCause is what made the agent stop a step.
type StopCause struct {
	Reason Reason        // ByCancel, AgentStopped, Evicted, Superseded, Timeout, InstallTimeout, NoOutput or NoProgress
	By     string        // who, for a request of a person or a program
	Why    string        // their words, if any
	Limit  time.Duration // which limit, for time limits
}

// Ending is what the agent saw of the end of a step's process: facts, not judgement.
type Ending struct {
	Step     string
	Kind     StepKind
	StartErr *StartError // the process could not be made; nothing below is set
	ExitCode int         // meaningful when Signal is empty
	Signal   string      // "SIGKILL" …; empty when the process exited by itself
	SignalNo int
	Core     bool
	OOM      *OOM          // set only when the kernel's counters prove a kill
	Stop     *StopCause    // set when the agent was stopping the step before it ended
	Closed   *ClosedOutput // set when the agent had closed output of the step before it ended
	// Alive is true when the process has not ended, although it was killed.
	Alive bool
	// Unstopped names the processes that the stop could not end, and why; empty when all ended.
	Unstopped string
}

// ClosedOutput is output of a step that the agent closed, because the caller's reader of it had
// gone away.
type ClosedOutput struct {
	What     string // "stdout", "stderr", "stdout and stderr" or "terminal"
	Signal   string // the signal that the system sends to a process that continues to write: "SIGPIPE", of a terminal "SIGHUP"
	SignalNo int
}

// ended reports whether the closed output is what ended the step: by the signal, or with the
// exit code with which a shell reports that signal.
func (c *ClosedOutput) ended(e Ending) bool {
	return c != nil && (e.SignalNo == c.SignalNo || e.Signal == "" && e.ExitCode == 128+c.SignalNo)
}

// StartError is why a process could not be made.
type StartError struct {
	Path  string // what was to be run
	Errno string // "ENOENT", "EACCES", …
	Hint  string // what to do about it; may be empty
	Text  string // the system's words
}

func (e *StartError) Error() string {
	s := fmt.Sprintf("could not start %s: %s", e.Path, e.Text)
	if e.Errno != "" {
		s += " (" + e.Errno + ")"
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Classify turns the facts of a step's end into the outcome that an attempt would have if
// the step decided it. The order of the questions is the rule: could it start, did we stop
// it, did the kernel kill it for memory, did it write to output that its reader had closed, did
// a signal end it, what did it exit with. An
// install step's own failure becomes InstallFailed and keeps exit code and signal.
func Classify(e Ending) Outcome {
	o := Outcome{Step: e.Step, OOM: e.OOM, Signal: e.Signal, SignalNumber: e.SignalNo, CoreDumped: e.Core}
	if e.StartErr == nil && e.Signal == "" && !e.Alive {
		code := e.ExitCode
		o.ExitCode = &code
	}
	switch {
	case e.StartErr != nil:
		o.State, o.Reason, o.Errno = Failed, CouldNotStart, e.StartErr.Errno
		o.Message = sentence("C" + e.StartErr.Error()[1:])
	case e.Stop != nil:
		o.Reason, o.By = e.Stop.Reason, e.Stop.By
		o.State, o.Message = stopped(e)
	case e.OOM != nil && (e.Signal != "" || e.ExitCode != 0):
		o.State, o.Reason, o.Message = Failed, OutOfMemory, oomMessage(e.OOM)
	case e.Closed.ended(e):
		o.State, o.Reason = Canceled, OutputClosed
		o.Message = fmt.Sprintf("The reader of its %s went away, and %s ended it.", e.Closed.What, e.Closed.Signal)
	case e.Signal != "":
		o.State, o.Reason = Failed, BySignal
		o.Message = fmt.Sprintf("Ended by signal %s%s.", e.Signal, coreNote(e.Core))
	case e.ExitCode != 0:
		o.State, o.Reason = Failed, ExitCode
		o.Message = fmt.Sprintf("Exited with code %d.", e.ExitCode)
	default:
		o.State, o.Reason, o.Message = Succeeded, ExitCode, "Exited with code 0."
	}
	if e.Closed != nil && o.State == Failed {
		o.Message += fmt.Sprintf(" The reader of its %s had gone away before.", e.Closed.What)
	}
	if e.Kind == InstallStep && o.State == Failed {
		o.Message = fmt.Sprintf("Install step %q failed: %s The command was not started.", e.Step, o.Message)
		o.Reason = InstallFailed
	}
	return o
}

// Unfinished returns the outcome of an attempt whose agent left no outcome behind: the journal
// ends in the middle. hostRebooted is the cause, if it is known.
func Unfinished(hostRebooted bool, lastSeen time.Time) Outcome {
	at := TimeText(lastSeen)
	if hostRebooted {
		return Outcome{
			State: Lost, Reason: HostRebooted,
			Message: "The host went down while the job ran; the last record is from " + at + ".",
		}
	}
	return Outcome{
		State: Lost, Reason: AgentLost,
		Message: "The agent died while the job ran; the last record is from " + at + ".",
	}
}

// ProcessExitCode returns the exit code that stint run itself ends with, given the outcome of
// the attempt: the job's own code, 128+n after signal n, 124 after a time limit, 126 or
// 127 when the command could not be started as a shell would say it.
func (o Outcome) ProcessExitCode() int {
	switch {
	case o.Reason == CouldNotStart || o.Errno != "":
		if o.Errno == "ENOENT" || o.Errno == "ENOTDIR" {
			return 127
		}
		return 126
	case o.State == TimedOut:
		return 124
	case o.SignalNumber > 0:
		return 128 + o.SignalNumber
	case o.ExitCode != nil:
		return *o.ExitCode
	}
	return 125
}

func stopped(e Ending) (State, string) {
	s := e.Stop
	wasStopped, stoppedIt := "was stopped", "stopped the job first"
	if e.Unstopped != "" {
		wasStopped = "could not be stopped: " + e.Unstopped
		stoppedIt = "could not stop the job: " + e.Unstopped
	}
	switch s.Reason {
	case Timeout, InstallTimeout:
		return TimedOut, sentence(fmt.Sprintf("Ran into its time limit of %s and %s", DurationText(s.Limit), wasStopped))
	case NoOutput:
		return TimedOut, sentence(fmt.Sprintf("Printed nothing for %s and %s", DurationText(s.Limit), wasStopped))
	case NoProgress:
		what := s.Why
		if what == "" {
			what = "no output, no CPU, no IO"
		}
		return TimedOut, sentence(fmt.Sprintf("Made no progress (%s) for %s and %s", what, DurationText(s.Limit), wasStopped))
	case AgentStopped:
		return Canceled, sentence("The agent was asked to end" + by(s.By) + ", and " + stoppedIt)
	case Evicted:
		return Canceled, sentence("The job had to leave its worker" + by(s.By) + ", and " + wasStopped)
	case Superseded:
		return Canceled, sentence("A newer attempt owns this run" + by(s.By) + "; this one " + wasStopped)
	}
	msg := "Canceled" + by(s.By)
	if s.Why != "" {
		msg += ": " + s.Why
	}
	if e.Unstopped != "" {
		msg += "; the job " + wasStopped
	}
	return Canceled, sentence(msg)
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

func coreNote(core bool) string {
	if core {
		return ", core dumped"
	}
	return ""
}

func oomMessage(o *OOM) string {
	msg := fmt.Sprintf("Killed by the kernel: out of memory. Peak %s", Bytes(o.PeakBytes))
	if o.LimitBytes > 0 {
		msg += " of " + Bytes(o.LimitBytes)
	}
	if !o.At.IsZero() {
		msg += " at " + ClockText(o.At)
	}
	if o.Victim != "" {
		msg += fmt.Sprintf("; the largest process was %s (pid %d)", o.Victim, o.VictimPID)
	}
	return msg + "."
}

// sentence ends s with a full stop unless it has an end already.
func sentence(s string) string {
	if s == "" || s[len(s)-1] == '.' || s[len(s)-1] == '!' || s[len(s)-1] == '?' {
		return s
	}
	return s + "."
}

// Bytes writes a size as people read it: "1.99 GiB", "512 B".
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	units := []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v := float64(n) / 1024
	i := 0
	for v >= 1023.5 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if v >= 100 {
		return fmt.Sprintf("%.0f %s", v, units[i])
	}
	return fmt.Sprintf("%.3g %s", v, units[i])
}
