package job_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/states.md")

const statesDoc = "../docs/states.md"

// The diagram and the table in docs/states.md are generated from Next; this test fails
// when they differ. go test ./job -run TestStatesDoc -update writes them again.
func TestStatesDocIsTheTable(t *testing.T) {
	raw, err := os.ReadFile(statesDoc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- generated from job.Next: begin -->\n", "<!-- generated from job.Next: end -->\n"
	before, rest, found := strings.Cut(string(raw), begin)
	old, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatalf("%s lacks the marks %q and %q", statesDoc, begin, end)
	}
	now := "\n" + diagram() + "\n" + transitions() + "\n"
	if diff := cmp.Diff(old, now); diff != "" {
		if *update {
			if err := os.WriteFile(statesDoc, []byte(before+begin+now+end+after), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("%s is not what job.Next does (-doc +code); run this test with -update:\n%s", statesDoc, diff)
	}
}

// leads lists where an event can lead from a state, the state itself left out; nil when
// it is refused.
func leads(from job.State, kind job.EventKind) []job.State {
	var to []job.State
	allowed := false
	for _, given := range append(job.States(), "") {
		tr, err := job.Next(from, job.Event{Kind: kind, State: given}, time.Time{})
		if err != nil {
			continue
		}
		allowed = true
		if tr.Changed() && !slices.Contains(to, tr.To) {
			to = append(to, tr.To)
		}
	}
	if allowed && to == nil {
		return []job.State{}
	}
	return to
}

// Groups of states that the diagram draws as one where an event treats them alike.
var (
	active = []job.State{job.Starting, job.Installing, job.Running, job.Stopping}
	over   = []job.State{job.Succeeded, job.Failed, job.Canceled, job.TimedOut}
)

// diagram draws every transition that changes the state.
func diagram() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> queued\n")
	group := func(name string, states []job.State) {
		fmt.Fprintf(&b, "    state %s {\n", name)
		for _, s := range states {
			fmt.Fprintf(&b, "        %s\n", s)
		}
		b.WriteString("    }\n")
	}
	group("active", active)
	group("over", over)
	for _, kind := range job.EventKinds() {
		arrows := map[[2]string]bool{}
		for _, from := range job.States() {
			for _, to := range leads(from, kind) {
				arrows[[2]string{string(from), string(to)}] = true
			}
		}
		joinArrows(arrows)
		var lines []string
		for a := range arrows {
			lines = append(lines, fmt.Sprintf("    %s --> %s : %s\n", a[0], a[1], kind))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	b.WriteString("```\n")
	return b.String()
}

// joinArrows puts one arrow in the place of those that all members of a group have.
func joinArrows(arrows map[[2]string]bool) {
	join := func(from, to []string, name [2]string) {
		for _, f := range from {
			for _, t := range to {
				if f != t && !arrows[[2]string{f, t}] {
					return
				}
			}
		}
		for _, f := range from {
			for _, t := range to {
				delete(arrows, [2]string{f, t})
			}
		}
		arrows[name] = true
	}
	groups := map[string][]string{"active": words(active), "over": words(over)}
	for _, name := range []string{"over", "active"} {
		for _, s := range job.States() {
			join([]string{string(s)}, groups[name], [2]string{string(s), name})
		}
	}
	for _, name := range []string{"active", "over"} {
		for _, to := range append(words(job.States()), "active", "over") {
			if !slices.Contains(groups[name], to) {
				join(groups[name], []string{to}, [2]string{name, to})
			}
		}
	}
}

func words(states []job.State) []string {
	out := make([]string, len(states))
	for i, s := range states {
		out[i] = string(s)
	}
	return out
}

// transitions is the whole table: a row for each state, a column for each event.
func transitions() string {
	var b strings.Builder
	b.WriteString("| state |")
	for _, kind := range job.EventKinds() {
		fmt.Fprintf(&b, " %s |", kind)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(job.EventKinds())) + "\n")
	for _, from := range job.States() {
		fmt.Fprintf(&b, "| `%s` |", from)
		for _, kind := range job.EventKinds() {
			fmt.Fprintf(&b, " %s |", cell(leads(from, kind)))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func cell(to []job.State) string {
	switch {
	case to == nil:
		return "refused"
	case len(to) == 0:
		return "–"
	case len(to) == 1:
		return "`" + string(to[0]) + "`"
	}
	return "as reported"
}
