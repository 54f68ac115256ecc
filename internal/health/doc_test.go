package health

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/states.md")

const statesDoc = "../../docs/states.md"

// The figures in docs/states.md are generated from the rules; this test fails when they
// differ. go test ./internal/health -run TestStatesDoc -update writes them again.
func TestStatesDocHasTheRules(t *testing.T) {
	raw, err := os.ReadFile(statesDoc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- generated from package health: begin -->\n", "<!-- generated from package health: end -->\n"
	before, rest, found := strings.Cut(string(raw), begin)
	old, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatalf("%s lacks the marks %q and %q", statesDoc, begin, end)
	}
	now := "\n" + rulesTable() + "\n"
	if diff := cmp.Diff(old, now); diff != "" {
		if *update {
			if err := os.WriteFile(statesDoc, []byte(before+begin+now+end+after), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("%s is not what the rules do (-doc +code); run this test with -update:\n%s", statesDoc, diff)
	}
}

func rulesTable() string {
	period := DefaultPeriod
	return "| rule | holds when | then |\n|---|---|---|\n" +
		fmt.Sprintf("| `%s` | nothing was heard for more than 1.5 heartbeat periods, at least %s (with the usual period of %s: %s) | `warning`, with a countdown to the end of the lease |\n",
			policy.Quiet, MinQuiet, period, QuietAfter(period)) +
		fmt.Sprintf("| `%s` | the other side closed the connection of its heartbeats and the attempt had not ended | `warning` at once; `lost` %s after the close unless a request arrives, or %s after it where something else may have closed it (below); where the agent does not beat again at once, %s after the next heartbeat was due if that is later; never after the lease |\n",
			policy.Quiet, ConfirmGone, ConfirmDoubt, latenessGone) +
		fmt.Sprintf("| `%s` | that connection timed out, or the server closed it | `warning` at once; `lost` when the lease ends |\n", policy.Quiet) +
		"| `lost` | the lease has ended | the state becomes `lost`, reason `agent_lost` |\n" +
		fmt.Sprintf("| network | at least %d%% of at least %d active runs are silent at the same time, also without those of the other token of which most are | none is called lost for up to %s; when most report again, the others have %s left |\n",
			Together, TogetherAtLeast, HoldFor, HoldAfter) +
		fmt.Sprintf("| outage | this server could take no heartbeats: it was down or did not run for more than %s, or its database failed | a run is trusted until %s after it, but for no more than its lease and one such extension, outages not counted |\n",
			Late, Grace) +
		judgedRows(policy.Default())
}

// judgedRows are the rules that judge by heartbeats, with the figures of a policy.
func judgedRows(p policy.Policy) string {
	row := func(rule, holds, then string) string {
		if !p.On(rule) {
			holds += " (off by default)"
		}
		return fmt.Sprintf("| `%s` | %s | %s |\n", rule, holds, then)
	}
	s := p.Stalled
	return row(policy.Stalled, fmt.Sprintf("no output, no CPU, no disk IO and no new status for %s, or for half as much again as its good runs were silent", span(s.After.D())),
		fmt.Sprintf("`warning`; `critical` after %s", span(s.Critical.D()))) +
		row(policy.NoOutput, fmt.Sprintf("nothing was printed for %s", span(p.NoOutput.After.D())), "`warning`") +
		row(policy.Overdue, fmt.Sprintf("longer than `--expect`, than the policy's limit, or than %g times what 95 %% of its good runs needed (at least %s more)", p.Overdue.Factor, span(p.Overdue.AtLeast.D())),
			"`warning`; `critical` at twice that") +
		row(policy.Memory, fmt.Sprintf("memory is at %g %% of its limit, or reaches it within %s at this slope, or is above %g times what is usual", p.Memory.Percent, span(p.Memory.Within.D()), p.Memory.Factor),
			fmt.Sprintf("`warning`; `critical` at %g %%, and when the kernel has killed for lack of it", p.Memory.Critical)) +
		row(policy.ClockSkew, fmt.Sprintf("the quickest of the last %d heartbeats tells a time that is off by more than %s", 5, span(p.ClockSkew.Over.D())), "`warning`") +
		row(policy.Spool, fmt.Sprintf("the agent is heard, and %s of its journal have not arrived for %s", job.Bytes(p.Spool.Bytes), span(p.Spool.After.D())), "`warning`") +
		row(policy.Starved, fmt.Sprintf("3 of the last 5 heartbeats were sent %s late, or tasks waited for a processor %g %% of the time and hardly got one", span(p.Starved.Delay.D()), p.Starved.Pressure), "`warning`")
}
