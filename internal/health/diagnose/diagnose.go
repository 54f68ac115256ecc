package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Clues are the data from which a diagnosis of a failed, lost or stalled run is made.
type Clues struct {
	Run      job.Run
	Evidence lease.Evidence // of its heartbeats
	Samples  []job.Sample   // the last ones, in the order of time
	Ending   ending.Ending  // of its output
	Changes  []api.Change   // since the last good run
	Since    string         // that run as text ("#12"); empty if there is none
	// TokenInvalid reports that the token of its agent was revoked or had expired when it was lost.
	TokenInvalid bool
}

// cause is a possible cause. weigh returns its weight, from 0 if the clues do not support it to 1 if it is
// certain, and the reason: a sentence, or the line of the log that states the error.
type cause struct {
	name  string
	weigh func(Clues) (weight float64, reason string)
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

// Diagnose returns the causes that the clues support, the most likely first; nil if there is none.
func Diagnose(c Clues) *job.Diagnosis {
	d := job.Diagnosis{Evidence: c.Ending.Evidence}
	for _, one := range causes {
		weight, reason := one.weigh(c)
		if weight <= 0 {
			continue
		}
		source := c.sourceOf(reason)
		if source != job.SourceLog {
			reason = index.CleanText(strings.TrimRight(reason, ". ")+".", 500)
		}
		d.Causes = append(d.Causes, job.Cause{Cause: one.name, Weight: weight, Evidence: reason, Source: source})
	}
	if len(d.Causes) == 0 {
		return nil
	}
	slices.SortStableFunc(d.Causes, func(a, b job.Cause) int { return cmp.Compare(b.Weight, a.Weight) })
	first, quotes := d.Causes[0], d.Causes[0].Source == job.SourceLog
	d.Sentence = first.Evidence // a line of the log is not changed
	if !quotes && !slices.Contains(factual, first.Cause) {
		d.Sentence = certaintyText(first.Weight) + d.Sentence
	}
	if _, changes := changed(c); changes != "" && first.Cause != "changed" {
		if quotes && !strings.HasSuffix(d.Sentence, ".") {
			d.Sentence += "."
		}
		d.Sentence += " " + changes
	}
	d.Sentence = index.CleanText(d.Sentence, 2000)
	return &d
}

// factual are the causes whose sentences only state facts, so that they are not called probable.
var factual = []string{"stopped_making_progress", "unexplained"}

// sourceOf returns which text of the run a reason repeats; empty for none.
func (c Clues) sourceOf(reason string) job.CauseSource {
	stalls, _ := rules.FindingOf(c.Run.Findings, policy.Stalled)
	switch e, o := c.Ending.Evidence, c.Run.Outcome; {
	case e != nil && reason == e.Text:
		return job.SourceLog
	case o != nil && reason == o.Message:
		return job.SourceOutcome
	case reason == stalls.Evidence:
		return job.SourceFinding
	}
	return ""
}

// errorLine returns the line that states the error if it contains one of signs.
func (c Clues) errorLine(signs ...string) (string, bool) {
	e := c.Ending.Evidence
	if e == nil || c.Run.Outcome == nil || !containsAny(strings.ToLower(e.Text), signs...) {
		return "", false
	}
	return e.Text, true
}

// MoreCertain returns the more certain of two diagnoses of a run, of which the second was made because more
// of its journal has arrived. It has the line of the second that states the error, unless the first is
// returned and quotes its own line.
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

// certaintyText returns the beginning of a sentence about a cause of a weight.
func certaintyText(weight float64) string {
	switch {
	case weight >= 0.9:
		return ""
	case weight >= 0.6:
		return "Probably: "
	}
	return "Possibly: "
}

// isLost reports whether the run was called lost.
func (c Clues) isLost() bool { return c.Run.State == job.Lost }

// reason returns the reason of the outcome; empty if there is none.
func (c Clues) reason() job.Reason {
	if c.Run.Outcome == nil {
		return ""
	}
	return c.Run.Outcome.Reason
}

// outOfMemory is certain if the kernel has counted it, and likely if a run fell silent or was killed with
// its memory near the limit.
func outOfMemory(c Clues) (float64, string) {
	if o := c.Run.Outcome; o != nil && o.OOM != nil && c.reason() == job.OutOfMemory {
		if growth := strings.TrimSpace(growthText(c)); growth != "" {
			return 1, growth
		}
		return 1, cmp.Or(o.Message, "The kernel killed it for lack of memory.")
	}
	if c.Evidence.Beat.OOMKills > 0 {
		return 0.95, "The kernel had killed processes of it for lack of memory before." + growthText(c)
	}
	killed := c.isLost() || c.Run.Outcome != nil && c.Run.Outcome.Signal == "SIGKILL"
	used, limit := lastMemory(c)
	if killed && limit > 0 {
		share := float64(used) / float64(limit)
		text := fmt.Sprintf("Its memory was at %.0f %% of the limit of %s when it was last measured.", share*100, job.Bytes(limit)) + growthText(c) + pressureText(c)
		switch {
		case share >= 0.85:
			return 0.9, text
		case share >= 0.6:
			return 0.5, text
		}
	}
	if p := lastPressure(c); killed && p != nil && p.Memory >= 20 {
		return 0.75, fmt.Sprintf("Its tasks waited for memory %.0f %% of the time before the end: the host was out of memory.", p.Memory)
	}
	if line, ok := c.errorLine("outofmemory", "memoryerror", "cannot allocate memory", "std::bad_alloc", "out of memory", "java heap space", "oom_kill", "oom-kill"); ok {
		return 0.9, line
	}
	return 0, ""
}

func hostRebooted(c Clues) (float64, string) {
	if c.reason() == job.HostRebooted {
		return 1, "The host was rebooted: the next agent on it has another boot id."
	}
	return 0, ""
}

func diskFull(c Clues) (float64, string) {
	if line, ok := c.errorLine("no space left on device", "disk quota exceeded", "enospc", "disk full"); ok {
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
	text := c.Run.Outcome.Message
	if x := c.Run.Expected; x != nil && c.reason() == job.Timeout {
		text = fmt.Sprintf("Of its last %d good runs half took %s and 95 %% at most %s.", x.Runs, rules.Span(rules.Seconds(x.DurationSeconds.P50)), rules.Span(rules.Seconds(x.DurationSeconds.P95)))
	}
	return 0.92, text
}

func madeNoProgress(c Clues) (float64, string) {
	f, stalls := rules.FindingOf(c.Run.Findings, policy.Stalled)
	if !stalls {
		return 0, ""
	}
	var sentences []string
	if n := c.Evidence.Beat.Processes; n > 0 {
		sentences = append(sentences, fmt.Sprintf("Its processes (%d) are alive and wait.", n))
	}
	if last := c.Ending.Evidence; last != nil {
		sentences = append(sentences, "Last line: "+last.Text)
	}
	if len(sentences) == 0 {
		return 0.6, f.Evidence
	}
	return 0.6, strings.Join(sentences, " ")
}

func killed(c Clues) (float64, string) {
	o := c.Run.Outcome
	if o == nil || c.reason() != job.BySignal {
		return 0, ""
	}
	switch o.Signal {
	case "SIGKILL":
		return 0.6, "It was killed with SIGKILL from outside: the kernel did not kill it for lack of memory."
	case "SIGTERM", "SIGINT", "SIGHUP":
		return 0.9, "Another process sent it " + o.Signal + "."
	}
	return 0, ""
}

func crashed(c Clues) (float64, string) {
	o := c.Run.Outcome
	if o == nil || c.reason() != job.BySignal || !slices.Contains([]string{"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"}, o.Signal) {
		return 0, ""
	}
	return 0.93, "The program crashed with " + o.Signal + ": the error is in the program or in a library that it uses."
}

// tokenRefused explains the silence of an agent whose heartbeats the server refuses.
func tokenRefused(c Clues) (float64, string) {
	if !c.isLost() || c.reason() != job.AgentLost || !c.TokenInvalid {
		return 0, ""
	}
	return 0.9, "The server refuses the token of its agent, which was revoked or has expired."
}

// agentKilled explains a lost run, unless its host was rebooted.
func agentKilled(c Clues) (float64, string) {
	if !c.isLost() || c.reason() == job.HostRebooted || c.Run.Outcome == nil {
		return 0, ""
	}
	if c.Run.Outcome.Disconnected {
		return 0.7, "The agent was killed: the kernel of its host closed its connection in the middle of the run."
	}
	if c.Run.EndedAt != nil { // another agent of the host has completed and delivered the journal
		return 0.7, "The agent was killed: its journal ends in the middle of the run, and its host was not rebooted."
	}
	return 0.4, "The host failed or lost its network: the agent fell silent, and its connection was not closed."
}

func hostOverloaded(c Clues) (float64, string) {
	if _, starved := rules.FindingOf(c.Run.Findings, policy.Starved); starved {
		return 0.65, "The host is overloaded: the agent's own timers fired late."
	}
	if r := c.Evidence.Recent; c.isLost() && len(r) > 0 && r[len(r)-1].DelayMS >= 2000 {
		return 0.5, fmt.Sprintf("The host was overloaded: the agent's last timer fired %s late.", rules.Span(time.Duration(r[len(r)-1].DelayMS)*time.Millisecond))
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
	return 0.7, fmt.Sprintf("The install step %s failed, so the command did not run.", job.Quote(c.Run.Outcome.Step))
}

// statedError quotes the line of the log that states the error. It has less weight for a run that did not end by
// itself.
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

// changed names what has changed since the last good run.
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

// unexplained reports that the output of a job that failed by itself states no error.
func unexplained(c Clues) (float64, string) {
	if c.reason() != job.ExitCode || c.Ending.Evidence != nil || c.Run.Output.Bytes == 0 && len(c.Ending.Lines) == 0 {
		return 0, ""
	}
	return 0.1, "No line of its output states an error."
}

// statedBy returns the function of a cause that the line which states the error names by one of signs. It
// has half the weight for a run that was ended from outside.
func statedBy(weight float64, signs ...string) func(Clues) (float64, string) {
	return func(c Clues) (float64, string) {
		line, ok := c.errorLine(signs...)
		switch {
		case !ok:
			return 0, ""
		case c.Run.State == job.Lost || c.Run.State == job.TimedOut:
			return weight / 2, line
		}
		return weight, line
	}
}
