package diagnose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

func ended(state job.State, reason job.Reason, change ...func(*Clues)) Clues {
	c := Clues{Run: job.Run{State: state, Outcome: &job.Outcome{State: state, Reason: reason, Message: "It ended."}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

// saying prints lines on stderr.
func saying(lines ...string) func(*Clues) {
	return func(c *Clues) {
		var all []ending.Line
		for i, text := range lines {
			all = append(all, ending.Line{Stream: job.Stderr, Number: int64(i + 1), Text: text})
		}
		c.Ending = ending.Of(all, c.Run)
	}
}

func stalling(change ...func(*Clues)) Clues {
	c := Clues{Run: job.Run{State: job.Running, Findings: []job.Finding{{Rule: "stalled", Evidence: "No output since noon."}}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func remembering(used, limit int64) func(*Clues) {
	return func(c *Clues) { c.Evidence.Beat.MemoryBytes, c.Evidence.Beat.MemoryLimitBytes = used, limit }
}

func TestDiagnose(t *testing.T) {
	signal := func(name string) func(*Clues) { return func(c *Clues) { c.Run.Outcome.Signal = name } }
	disk := int64(1 << 20)
	for _, c := range []struct {
		name   string
		clues  Clues
		cause  string // of the first; "" for no diagnosis
		says   string
		second string
	}{
		{"nothing is known", ended(job.Failed, job.ExitCode), "", "", ""},
		{"proved out of memory", ended(job.Failed, job.OutOfMemory, func(c *Clues) { c.Run.Outcome.OOM = &job.OOM{LimitBytes: 1 << 30} }), "out_of_memory", "It ended.", ""},
		{"lost near its limit, growing", ended(job.Lost, job.AgentLost, remembering(95, 100), func(c *Clues) {
			for i := range 10 {
				c.Samples = append(c.Samples, job.Sample{At: at(float64(i * 10)), MemoryBytes: int64(i+1) * 95 << 20, LimitBytes: 1000 << 20, Pressure: &job.Pressure{Memory: 40}})
			}
		}), "out_of_memory", "95 % of the limit of 1000 MiB when it was last measured. It had grown by 570 MiB a minute for 90 s. Its tasks waited for memory 40 % of the time.", "agent_killed"},
		{"lost far from its limit", ended(job.Lost, job.AgentLost, remembering(10, 100), func(c *Clues) { c.Run.Outcome.Disconnected = true }), "agent_killed", "Probably: The agent was killed", ""},
		{"lost after its token was revoked", ended(job.Lost, job.AgentLost, func(c *Clues) { c.TokenInvalid = true }), "token_refused", "The server refuses the token of its agent", "agent_killed"},
		{"rebooted, and its token was revoked", ended(job.Lost, job.HostRebooted, func(c *Clues) { c.TokenInvalid = true }), "host_rebooted", "boot id", ""},
		{"lost without a word", ended(job.Lost, job.AgentLost), "agent_killed", "Possibly: The host failed", ""},
		{"killed, and its journal was completed", ended(job.Lost, job.AgentLost, func(c *Clues) {
			at := noon
			c.Run.EndedAt, c.Run.Outcome.Message = &at, job.Unfinished(false, noon).Message
		}), "agent_killed", "Probably: The agent was killed", ""},
		{"rebooted", ended(job.Lost, job.HostRebooted), "host_rebooted", "boot id", ""},
		{"memory of the program", ended(job.Failed, job.ExitCode, saying("Traceback (most recent call last):", "  File x", "MemoryError")), "out_of_memory", `MemoryError`, "said_so_itself"},
		{"disk full, printed", ended(job.Failed, job.ExitCode, saying("cp: error writing 'x': No space left on device", "bye")), "disk_full", "No space left", ""},
		{"disk full, measured", ended(job.Failed, job.ExitCode, func(c *Clues) { c.Evidence.Beat.DiskFreeBytes = &disk }), "disk_full", "1 MiB left", ""},
		{"missing module", ended(job.Failed, job.ExitCode, saying("  File x", "ModuleNotFoundError: No module named 'numpy'")), "missing_module", "No module named 'numpy'", ""},
		{"network", ended(job.Failed, job.ExitCode, saying("curl: (7) Connection refused")), "network", "Connection refused", ""},
		{"permission", ended(job.Failed, job.ExitCode, saying("open /etc/shadow: Permission denied")), "permission", "Permission denied", ""},
		{"its own words", ended(job.Failed, job.ExitCode, saying("ValueError: bad shape", "  hint: read the docs")), "said_so_itself", "ValueError: bad shape", ""},
		{"killed", ended(job.Failed, job.BySignal, signal("SIGKILL")), "killed_from_outside", "SIGKILL", ""},
		{"killed near its limit", ended(job.Failed, job.BySignal, signal("SIGKILL"), remembering(90, 100)), "out_of_memory", "90 %", "killed_from_outside"},
		{"crashed", ended(job.Failed, job.BySignal, signal("SIGSEGV")), "crashed", "SIGSEGV", ""},
		{"timed out", ended(job.TimedOut, job.Timeout, func(c *Clues) {
			c.Run.Expected = &job.Expected{Runs: 5, DurationSeconds: job.Percentiles{P50: 60, P95: 90}}
		}), "time_limit", "half took 60 s", ""},
		{"install", ended(job.Failed, job.InstallFailed, func(c *Clues) { c.Run.Outcome.Step = "install 1" }, saying("ERROR: no matching distribution")), "install_failed", "ERROR: no matching distribution", ""},
		{"an install step that says nothing", ended(job.Failed, job.InstallFailed, func(c *Clues) { c.Run.Outcome.Step = "install 1" }), "install_failed", "Probably: The install step \"install 1\" failed, so the command did not run.", ""},
		{"stalled", stalling(saying("error: retry 1", "waiting for lock"), func(c *Clues) { c.Evidence.Beat.Processes = 2 }), "stopped_making_progress", `Its processes (2) are alive and wait. Last line: waiting for lock`, ""},
		{"stalled without a word", stalling(), "stopped_making_progress", "No output since noon.", ""},
		{"killed after an error", ended(job.Failed, job.BySignal, signal("SIGTERM"), saying("error: no leader")), "killed_from_outside", "SIGTERM", "said_so_itself"},
		{"lost after an error", ended(job.Lost, job.AgentLost, saying("error: no leader")), "agent_killed", "Possibly: The host failed", "said_so_itself"},
		{"memory in other words", ended(job.Failed, job.ExitCode, saying("CUDA out of memory is handled", "ValueError: no rows")), "said_so_itself", "ValueError: no rows", ""},
		{"only the change is known", ended(job.Failed, job.ExitCode, func(c *Clues) {
			c.Since, c.Changes = "#7", []api.Change{{What: "lock_file"}, {What: "host"}, {What: "host"}}
		}), "changed", "Possibly: Changed since the last good run, #7: lock file, host.", ""},
		{"a cause and a change", ended(job.Failed, job.BySignal, signal("SIGSEGV"), func(c *Clues) { c.Since, c.Changes = "#7", []api.Change{{What: "agent_version"}} }), "crashed", "since the last good run, #7: agent version.", "changed"},
		{"hostile words", ended(job.Failed, job.ExitCode, saying(ending.Screen([]byte("\x1b[31merror\x1b[0m \x1b]0;x\x07 \xff")))), "said_so_itself", "error", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Diagnose(c.clues)
			if c.cause == "" {
				if d != nil {
					t.Fatalf("%+v", d)
				}
				return
			}
			if d == nil || d.Causes[0].Cause != c.cause || !strings.Contains(d.Sentence, c.says) || strings.ContainsAny(d.Sentence, "\x1b\x07") {
				t.Fatalf("%+v", d)
			}
			if c.second != "" && (len(d.Causes) < 2 || d.Causes[1].Cause != c.second) {
				t.Errorf("causes %+v", d.Causes)
			}
			for i, one := range d.Causes {
				if one.Weight <= 0 || one.Weight > 1 || one.Evidence == "" || i > 0 && one.Weight > d.Causes[i-1].Weight {
					t.Errorf("causes %+v", d.Causes)
				}
			}
		})
	}
}

// A line of the log is quoted as it is, with no word of ours, and says where it is. What changed
// since the last good run follows it.
func TestDiagnoseQuotesALine(t *testing.T) {
	changed := func(c *Clues) { c.Since, c.Changes = "#7", []api.Change{{What: "host"}} }
	long := "ValueError: " + strings.Repeat("\"wrapped\" ", 100)
	for name, c := range map[string]Clues{
		"no such module": ended(job.Failed, job.ExitCode, saying("x", "ModuleNotFoundError: No module named 'numpy'"), changed),
		"its own words":  ended(job.Failed, job.ExitCode, saying("x", `psycopg.errors.UndefinedTable: relation "orders_tmp" does not exist`), changed),
		"out of memory":  ended(job.Failed, job.ExitCode, saying("x", "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity)")),
		"install":        ended(job.Failed, job.InstallFailed, saying("x", "ERROR: no matching distribution"), changed),
		"long":           ended(job.Failed, job.ExitCode, saying("x", long)),
	} {
		d := Diagnose(c)
		want := &job.Evidence{Stream: job.Stderr, Line: 2, Text: c.Ending.Lines[1].Quoted()}
		sentence := want.Text
		if c.Since != "" {
			sentence += ". Changed since the last good run, #7: host."
		}
		if d == nil || !cmp.Equal(d.Evidence, want) || d.Sentence != sentence || d.Causes[0].Evidence != want.Text {
			t.Errorf("%s: %+v, evidence %+v", name, d, d.Evidence)
		}
	}
	if d := Diagnose(ended(job.Failed, job.ExitCode, func(c *Clues) {
		c.Ending = ending.Of([]ending.Line{{Stream: job.Stdout, Number: 1, Text: "hi"}}, c.Run)
	})); d == nil || d.Evidence != nil || d.Sentence != "No line of its output states an error." {
		t.Errorf("output that states nothing: %+v", d)
	}
}

func TestMoreCertain(t *testing.T) {
	at := func(weight float64, line int64) *job.Diagnosis {
		d := &job.Diagnosis{Sentence: fmt.Sprint(weight), Causes: []job.Cause{{Weight: weight, Evidence: "It was killed."}}}
		if line > 0 {
			d.Evidence = &job.Evidence{Line: line}
		}
		return d
	}
	quoting := func(weight float64, line int64, cause string) *job.Diagnosis {
		text := fmt.Sprint("line ", line)
		return &job.Diagnosis{Sentence: text, Causes: []job.Cause{{Cause: cause, Weight: weight, Evidence: text}}, Evidence: &job.Evidence{Line: line, Text: text}}
	}
	for _, tt := range []struct{ before, now, want *job.Diagnosis }{
		{quoting(0.7, 3, "network"), at(0.4, 9), quoting(0.7, 3, "network")}, // the sentence is of line 3
		{quoting(0.7, 3, "network"), quoting(0.7, 9, "network"), quoting(0.7, 9, "network")},
		{quoting(0.7, 3, "network"), quoting(0.7, 9, "permission"), quoting(0.7, 3, "network")},
		{quoting(0.7, 3, "network"), quoting(0.71, 9, "permission"), quoting(0.71, 9, "permission")},
		{nil, at(0.4, 0), at(0.4, 0)},
		{at(0.4, 0), nil, at(0.4, 0)},
		{at(0.7, 0), at(0.4, 0), at(0.7, 0)},
		{at(0.7, 3), at(0.4, 0), at(0.7, 3)},
		{at(0.7, 3), at(0.4, 9), at(0.7, 9)},
		{at(0.7, 3), at(0.7, 9), at(0.7, 9)},
		{at(0.7, 3), at(1, 0), at(1, 0)},
	} {
		if diff := cmp.Diff(tt.want, MoreCertain(tt.before, tt.now)); diff != "" {
			t.Errorf("%+v, %+v: (-want +got)\n%s", tt.before, tt.now, diff)
		}
	}
}

func TestEveryCauseHasItsCase(t *testing.T) {
	seen := map[string]bool{"starved": true} // below
	if w, words := hostOverloaded(ended(job.Lost, job.AgentLost, func(c *Clues) { c.Evidence.Recent = []lease.Recent{{DelayMS: 5000}} })); w == 0 || !strings.Contains(words, "5 s late") {
		t.Errorf("overloaded: %v %s", w, words)
	}
	if w, _ := couldNotStart(ended(job.Failed, job.CouldNotStart)); w != 1 {
		t.Error("could not start")
	}
	for _, c := range causes {
		if c.name == "" || seen[c.name] && c.name != "starved" {
			t.Errorf("cause %q is there twice or has no name", c.name)
		}
		seen[c.name] = true
	}
}

func TestChanges(t *testing.T) {
	a := journal.Attempt{
		Args: []string{"python", "a.py"}, Install: []string{"pip install x"}, Dir: "/srv", Host: "h1", AgentVersion: "1",
		Labels: map[string]string{"team": "a", "old": "1"}, LockFiles: map[string]string{"r.txt": "11", "gone": "2"},
		Environment: "HOME PATH STINT_RUN_ID VENV _", TimeoutMS: 60_000, MemoryLimitBytes: 1 << 30,
	}
	before := Side{Identity: a, Usage: job.Usage{CPUSeconds: 10, PeakMemoryBytes: 100 << 20}, Duration: 20e9}
	if got := Changes(before, before); len(got) != 0 {
		t.Errorf("nothing changed: %+v", got)
	}
	b := a
	b.Args, b.Install, b.Dir, b.Host, b.AgentVersion = []string{"python", "b c.py"}, nil, "/tmp", "h2", "2"
	b.Labels = map[string]string{"team": "b", "new": "1"}
	b.LockFiles = map[string]string{"r.txt": "12"}
	b.Environment, b.TimeoutMS = "HOME LANG PATH", 0
	after := Side{Identity: b, Usage: job.Usage{CPUSeconds: 14, PeakMemoryBytes: 300 << 20}, Duration: 29e9}
	want := []api.Change{
		{What: "command", Before: "python a.py", After: "python 'b c.py'"},
		{What: "command", Before: "in /srv", After: "in /tmp"},
		{What: "install", Before: "pip install x"},
		{What: "lock_file", Before: "gone 2"},
		{What: "lock_file", Before: "r.txt 11", After: "r.txt 12"},
		{What: "agent_version", Before: "1", After: "2"},
		{What: "host", Before: "h1", After: "h2"},
		{What: "labels", After: "new=1"},
		{What: "labels", Before: "old=1"},
		{What: "labels", Before: "team=a", After: "team=b"},
		{What: "environment", Before: "VENV", After: "LANG"},
		{What: "limits", Before: "timeout 60 s, memory 1 GiB", After: "memory 1 GiB"},
		{What: "profile", Before: "peak memory 100 MiB", After: "peak memory 300 MiB"},
	}
	if diff := cmp.Diff(want, Changes(before, after)); diff != "" {
		t.Error("(-want +got)", diff)
	}
}
