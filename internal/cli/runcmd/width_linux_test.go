package runcmd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// No line of a run, of its explanation and of its history is wider than the terminal, but those that are copied: the id, the command and
// the directory. Nothing of the sentences is lost.
func TestTextsFitTerminals(t *testing.T) {
	long := func(what string) string {
		return what + " because " + strings.Repeat("of many words ", 12) + "and/of/a/path/" + strings.Repeat("that-is-long/", 9) + "end"
	}
	at := noon.Add(time.Minute)
	run := job.Run{
		ID: "01a22a41-108d-744b-bb69-3d4eb55bef7f", Job: "etl", Number: 7, Attempt: 2, State: job.Running, Health: job.Critical, StartedAt: &noon,
		Command: long("command"), Dir: "/" + long("directory"), Status: long("status"), Host: "夜間のバックアップ", Labels: map[string]string{"team": long("label")},
		Outcome: &job.Outcome{Message: long("message")}, Notes: []string{long("note") + "\n" + long("second")},
		Findings:  []job.Finding{{Rule: "memory", Evidence: long("finding")}},
		Output:    job.Output{Gaps: []job.Gap{{Stream: "stdout", Bytes: 1 << 20, Reason: long("gap")}}},
		Diagnosis: &job.Diagnosis{Sentence: long("diagnosis"), Evidence: &job.Evidence{Line: 12345, Text: long("line")}, Causes: []job.Cause{{Cause: "out_of_memory", Weight: 1, Evidence: long("cause")}}},
	}
	e := api.Explanation{
		Rules:   []api.RuleResult{{Rule: "clock_skew", On: true, Fires: true, Health: job.Critical, Sentence: long("sentence"), Next: long("next"), NextAt: &at, Inputs: map[string]any{"input": long("figure")}}},
		Waiting: &job.QueuedRun{Since: noon, Gates: []job.Gate{{Gate: "group", Text: long("gate")}}},
	}
	changes := api.Changes{Since: &api.ChangesSince{Number: 6}, Changes: []api.Change{{What: "command", Before: long("before"), After: long("after")}}}
	h := history{Events: []job.RunEvent{{At: noon, Attempt: 2, Kind: "health", To: "critical", Rule: "memory", Evidence: long("evidence")}}}
	for _, columns := range []int{60, 80, 120, 200} {
		master, slave, err := terminal.Open(terminal.Size{Columns: uint16(columns), Rows: 50})
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close() //nolint:errcheck // nothing is written to it
		defer slave.Close()  //nolint:errcheck // nothing is written to it
		p := &program{&command.Program{Console: &console.Console{Out: slave, Getenv: func(name string) string {
			return map[string]string{"NO_COLOR": "1"}[name]
		}}}}
		for name, text := range map[string]string{
			"show": p.runPage(shown{Run: run}, at), "explain": p.explanation(run, e, changes, at), "events": p.historyText(h),
		} {
			for line := range strings.Lines(text) {
				first, _, _ := strings.Cut(line, " ")
				if n := console.Cells(strings.TrimSuffix(line, "\n")); n > columns && first != "command" && first != "directory" {
					t.Errorf("%s at %d columns: a line of %d cells: %q", name, columns, n, line)
				}
			}
			without := func(s string) string { return strings.Join(strings.Fields(s), "") }
			for _, what := range map[string][]string{
				"show":    {"command", "directory", "status", "label", "message", "note", "second", "finding", "gap", "diagnosis", "line"},
				"explain": {"diagnosis", "line", "cause", "sentence", "next", "figure", "gate", "before", "after"}, "events": {"evidence"},
			}[name] {
				if !strings.Contains(without(text), without(long(what))) {
					t.Errorf("%s at %d columns does not show the whole %s:\n%s", name, columns, what, text)
				}
			}
			t.Log(fmt.Sprintf("%s at %d columns\n", name, columns) + text)
		}
	}
}
