package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// Clues are what is at hand about a run that failed, was lost or stalls.
type Clues struct {
	Run      job.Run
	Evidence lease.Evidence // of its heartbeats
	Samples  []job.Sample   // the last ones, in order of time
	Ending   ending.Ending  // of its output
	Changes  []job.Change   // since the last good run
	Since    string         // that run, for a person ("#12"); empty when there is none
	// TokenInvalid says that the token of its agent was revoked or had expired when it was lost.
	TokenInvalid bool
}

// cause is one row of the table: a possible cause, how strongly the clues speak for it, and
// why: a sentence, or the line of the log that states the error as it is. A weight of 0 is none
// at all.
type cause struct {
	name string
	says func(Clues) (weight float64, sentence string)
}

var causes = []cause{
	{"out_of_memory", outOfMemory},
	{"host_rebooted", hostRebooted},
	{"disk_full", diskFull},
	{"could_not_start", couldNotStart},
	{"time_limit", timeLimit},
	{"stopped_making_progress", madeNoProgress},
	{"missing_module", statedBy(0.85, "modulenotfounderror", "importerror", "cannot find module", "no such file or directory", "command not found", "error while loading shared libraries", "classnotfoundexception")},
	{"network", statedBy(0.8, "connection refused", "connection reset", "connection timed out", "no route to host", "could not resolve", "name or service not known", "temporary failure in name resolution", "network is unreachable", "tls handshake", "certificate verify failed")},
	{"permission", statedBy(0.8, "permission denied", "access denied", "accessdenied", "401 unauthorized", "403 forbidden", "operation not permitted")},
	{"killed_from_outside", killed},
	{"crashed", crashed},
	{"token_refused", tokenRefused},
	{"agent_killed", agentKilled},
	{"starved", hostOverloaded},
	{"install_failed", installFailed},
	{"said_so_itself", statedError},
	{"changed", changed},
	{"unexplained", unexplained},
}

// Diagnose ranks what the clues speak for. It returns nil when there is nothing to report
// that the outcome does not say.
func Diagnose(c Clues) *job.Diagnosis {
	d := job.Diagnosis{Evidence: c.Ending.Evidence}
	for _, one := range causes {
		weight, words := one.says(c)
		if weight <= 0 {
			continue
		}
		source := c.sourceOf(words)
		if source != job.SourceLog {
			words = index.Text(strings.TrimRight(words, ". ")+".", 500)
		}
		d.Causes = append(d.Causes, job.Cause{Cause: one.name, Weight: weight, Evidence: words, Source: source})
	}
	if len(d.Causes) == 0 {
		return nil
	}
	slices.SortStableFunc(d.Causes, func(a, b job.Cause) int { return cmp.Compare(b.Weight, a.Weight) })
	first, quotes := d.Causes[0], d.Causes[0].Source == job.SourceLog
	d.Sentence = first.Evidence // a line of the log stays as it is
	if !quotes && !slices.Contains(factual, first.Cause) {
		d.Sentence = sureness(first.Weight) + d.Sentence
	}
	if _, words := changed(c); words != "" && first.Cause != "changed" {
		if quotes && !strings.HasSuffix(d.Sentence, ".") {
			d.Sentence += "."
		}
		d.Sentence += " " + words
	}
	d.Sentence = index.Text(d.Sentence, 2000)
	return &d
}

// factual are causes whose sentences only say what is known, so that nothing is probable in them.
var factual = []string{"stopped_making_progress", "unexplained"}

// sourceOf is the text of the run that words repeat; empty for none.
func (c Clues) sourceOf(words string) job.CauseSource {
	stalls, _ := findingOf(c.Run.Findings, policy.Stalled)
	switch e, o := c.Ending.Evidence, c.Run.Outcome; {
	case e != nil && words == e.Text:
		return job.SourceLog
	case o != nil && words == o.Message:
		return job.SourceOutcome
	case words == stalls.Evidence:
		return job.SourceFinding
	}
	return ""
}

// states returns the line that states the error if it has one of the signs.
func (c Clues) states(signs ...string) (string, bool) {
	e := c.Ending.Evidence
	if e == nil || c.Run.Outcome == nil || !containsAny(strings.ToLower(e.Text), signs...) {
		return "", false
	}
	return e.Text, true
}

// MoreCertain returns what is to be known of a run that was diagnosed before, and is again
// because more of its journal arrived: the causes that are more certain, and the line that the
// longer log has, unless the causes that are kept quote the line before.
func MoreCertain(before, now *job.Diagnosis) *job.Diagnosis {
	switch {
	case before == nil || len(before.Causes) == 0:
		return now
	case now == nil:
		return before
	case before.Causes[0].Weight < now.Causes[0].Weight:
		return now
	case before.Causes[0].Weight == now.Causes[0].Weight && before.Causes[0].Cause == now.Causes[0].Cause:
		return now // the same, from more of the log
	}
	kept := *before
	if now.Evidence != nil && !quotesEvidence(before) {
		kept.Evidence = now.Evidence
	}
	return &kept
}

// quotesEvidence reports whether the first cause of a diagnosis is the line of its evidence.
func quotesEvidence(d *job.Diagnosis) bool {
	return d.Evidence != nil && d.Causes[0].Evidence == d.Evidence.Text
}

func sureness(weight float64) string {
	switch {
	case weight >= 0.9:
		return ""
	case weight >= 0.6:
		return "Probably: "
	}
	return "Possibly: "
}

func (c Clues) lost() bool { return c.Run.State == job.Lost }

func (c Clues) reason() job.Reason {
	if c.Run.Outcome == nil {
		return ""
	}
	return c.Run.Outcome.Reason
}

// outOfMemory is certain when the kernel counted it, and likely when a run fell silent or
// was killed with its memory near the limit.
func outOfMemory(c Clues) (float64, string) {
	if o := c.Run.Outcome; o != nil && o.OOM != nil && c.reason() == job.OutOfMemory {
		if slope := strings.TrimSpace(slopeWords(c)); slope != "" {
			return 1, slope
		}
		return 1, cmp.Or(o.Message, "The kernel killed it for lack of memory.")
	}
	if c.Evidence.Beat.OOMKills > 0 {
		return 0.95, "The kernel had killed processes of it for lack of memory before." + slopeWords(c)
	}
	killed := c.lost() || c.Run.Outcome != nil && c.Run.Outcome.Signal == "SIGKILL"
	used, limit := lastMemory(c)
	if killed && limit > 0 {
		share := float64(used) / float64(limit)
		words := fmt.Sprintf("Its memory was at %.0f %% of the limit of %s when it was last measured.", share*100, job.Bytes(limit)) + slopeWords(c) + pressureWords(c)
		switch {
		case share >= 0.85:
			return 0.9, words
		case share >= 0.6:
			return 0.5, words
		}
	}
	if p := lastPressure(c); killed && p != nil && p.Memory >= 20 {
		return 0.75, fmt.Sprintf("Its tasks waited for memory %.0f %% of the time before the end: the host was out of memory.", p.Memory)
	}
	if line, ok := c.states("outofmemory", "memoryerror", "cannot allocate memory", "std::bad_alloc", "out of memory", "java heap space", "oom_kill", "oom-kill"); ok {
		return 0.9, line
	}
	return 0, ""
}

func hostRebooted(c Clues) (float64, string) {
	if c.reason() == job.HostRebooted {
		return 1, "The host went down under it: the next agent there began with another boot id."
	}
	return 0, ""
}

func diskFull(c Clues) (float64, string) {
	if line, ok := c.states("no space left on device", "disk quota exceeded", "enospc", "disk full"); ok {
		return 0.97, line
	}
	if free := c.Evidence.Beat.DiskFreeBytes; free != nil && *free < 32<<20 {
		return 0.7, fmt.Sprintf("The disk of its working directory had %s left.", job.Bytes(*free))
	}
	return 0, ""
}

func couldNotStart(c Clues) (float64, string) {
	if c.reason() == job.CouldNotStart {
		return 1, c.Run.Outcome.Message
	}
	return 0, ""
}

func timeLimit(c Clues) (float64, string) {
	if c.Run.State != job.TimedOut {
		return 0, ""
	}
	words := c.Run.Outcome.Message
	if x := c.Run.Expected; x != nil && c.reason() == job.Timeout {
		words = fmt.Sprintf("Of its last %d good runs half took %s and 95 %% at most %s.", x.Runs, span(seconds(x.DurationSeconds.P50)), span(seconds(x.DurationSeconds.P95)))
	}
	return 0.92, words
}

func madeNoProgress(c Clues) (float64, string) {
	f, stalls := findingOf(c.Run.Findings, policy.Stalled)
	if !stalls {
		return 0, ""
	}
	var words []string
	if n := c.Evidence.Beat.Processes; n > 0 {
		words = append(words, fmt.Sprintf("Its processes (%d) are alive and wait.", n))
	}
	if last := c.Ending.Evidence; last != nil {
		words = append(words, "Last line: "+last.Text)
	}
	if len(words) == 0 {
		return 0.6, f.Evidence
	}
	return 0.6, strings.Join(words, " ")
}

func killed(c Clues) (float64, string) {
	o := c.Run.Outcome
	if o == nil || c.reason() != job.BySignal {
		return 0, ""
	}
	switch o.Signal {
	case "SIGKILL":
		return 0.6, "Somebody killed it with SIGKILL, and the kernel counted no lack of memory."
	case "SIGTERM", "SIGINT", "SIGHUP":
		return 0.9, "Something outside sent it " + o.Signal + "."
	}
	return 0, ""
}

func crashed(c Clues) (float64, string) {
	o := c.Run.Outcome
	if o == nil || c.reason() != job.BySignal || !slices.Contains([]string{"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}, o.Signal) {
		return 0, ""
	}
	return 0.93, "The program crashed with " + o.Signal + "; the fault is in it or in a library it uses."
}

// tokenRefused explains the silence of an agent that the server did not let report.
func tokenRefused(c Clues) (float64, string) {
	if !c.lost() || c.reason() != job.AgentLost || !c.TokenInvalid {
		return 0, ""
	}
	return 0.9, "The server refuses the token of its agent, which was revoked or has expired."
}

func agentKilled(c Clues) (float64, string) {
	if !c.lost() || c.reason() == job.HostRebooted || c.Run.Outcome == nil {
		return 0, ""
	}
	if strings.Contains(c.Run.Outcome.Message, "connection closed") {
		return 0.7, "The agent was killed: its connection closed in the middle of the run, and its host's kernel was alive to close it."
	}
	if c.Run.EndedAt != nil { // its journal came, completed by another agent of the host
		return 0.7, "The agent was killed: its journal breaks off in the middle of the run, and its host had not gone down."
	}
	return 0.4, "The host went down or lost its network: the agent fell silent without closing its connection."
}

func hostOverloaded(c Clues) (float64, string) {
	if _, starved := findingOf(c.Run.Findings, policy.Starved); starved {
		return 0.65, "The host is overloaded: the agent's own timers fired late."
	}
	if r := c.Evidence.Recent; c.lost() && len(r) > 0 && r[len(r)-1].DelayMS >= 2000 {
		return 0.5, fmt.Sprintf("The host was overloaded: the agent's last timer fired %s late.", span(time.Duration(r[len(r)-1].DelayMS)*time.Millisecond))
	}
	return 0, ""
}

func installFailed(c Clues) (float64, string) {
	if c.reason() != job.InstallFailed {
		return 0, ""
	}
	if e := c.Ending.Evidence; e != nil {
		return 0.7, e.Text
	}
	return 0.7, fmt.Sprintf("The install step %s failed, so the command never ran.", job.Quote(c.Run.Outcome.Step))
}

// statedError is what a job says itself. Of one that did not end by itself it is one thing
// among others.
func statedError(c Clues) (float64, string) {
	e := c.Ending.Evidence
	switch {
	case e == nil, c.Run.Outcome == nil, c.reason() == job.InstallFailed:
		return 0, ""
	case c.reason() != job.ExitCode:
		return 0.35, e.Text
	case c.Ending.Strength >= ending.Traced:
		return 0.75, e.Text
	case c.Ending.Strength >= ending.Stated:
		return 0.65, e.Text
	case c.Ending.Strength >= ending.Likely:
		return 0.6, e.Text
	}
	return 0.5, e.Text
}

func changed(c Clues) (float64, string) {
	if len(c.Changes) == 0 || c.Since == "" {
		return 0, ""
	}
	var what []string
	for _, change := range c.Changes {
		if word := strings.ReplaceAll(change.What, "_", " "); change.What != "profile" && !slices.Contains(what, word) {
			what = append(what, word)
		}
	}
	if len(what) == 0 {
		return 0, ""
	}
	return 0.3, "Changed since the last good run, " + c.Since + ": " + strings.Join(what, ", ") + "."
}

// unexplained says of a job that failed by itself and printed something that this does not say why.
func unexplained(c Clues) (float64, string) {
	if c.reason() != job.ExitCode || c.Ending.Evidence != nil || c.Run.Output.Bytes == 0 && len(c.Ending.Lines) == 0 {
		return 0, ""
	}
	return 0.1, "No line of its output states an error."
}

// statedBy is a cause that the line names which states the error. It is less certain for a run
// that was ended from outside.
func statedBy(weight float64, signs ...string) func(Clues) (float64, string) {
	return func(c Clues) (float64, string) {
		line, ok := c.states(signs...)
		switch {
		case !ok:
			return 0, ""
		case c.Run.State == job.Lost || c.Run.State == job.TimedOut:
			return weight / 2, line
		}
		return weight, line
	}
}
