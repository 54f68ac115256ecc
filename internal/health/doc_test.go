package health

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/health.md")

const healthDoc = "../../docs/health.md"

// The figures in docs/health.md are generated from the rules; this test fails when they
// differ. go test ./internal/health -run TestHealthDoc -update writes them again.
func TestHealthDocHasTheRules(t *testing.T) {
	raw, err := os.ReadFile(healthDoc)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- generated from package health: begin -->\n", "<!-- generated from package health: end -->\n"
	before, rest, found := strings.Cut(string(raw), begin)
	old, after, found2 := strings.Cut(rest, end)
	if !found || !found2 {
		t.Fatalf("%s lacks the marks %q and %q", healthDoc, begin, end)
	}
	now := "\n" + rulesTable() + "\n"
	if diff := cmp.Diff(old, now); diff != "" {
		if *update {
			if err := os.WriteFile(healthDoc, []byte(before+begin+now+end+after), 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		t.Errorf("%s is not what the rules do (-doc +code); run this test with -update:\n%s", healthDoc, diff)
	}
}

func rulesTable() string {
	period := rules.DefaultPeriod
	return "| rule | holds when | then |\n|---|---|---|\n" +
		fmt.Sprintf("| `%s` | no heartbeat for more than 1.5 periods, at least %s (with the usual period of %s: %s) | `warning`, with a countdown to the end of the lease |\n",
			policy.Quiet, rules.Span(rules.MinQuietAfter), rules.Span(period), rules.Span(rules.QuietAfter(period))) +
		fmt.Sprintf("| `%s` | the other side closed the connection of the heartbeats, and the attempt had not ended | `warning` at once; `lost` %s later unless a request arrives, or %s later if [something else may have closed it](leases.md#when-the-connection-closes); if the agent does not send another heartbeat at once, %s after the next one was due if that is later; never after the end of the lease |\n",
			policy.Quiet, rules.Span(rules.ConfirmTimeout), rules.Span(rules.LongConfirmTimeout), rules.Span(rules.LateHeartbeatLimit)) +
		fmt.Sprintf("| `%s` | that connection timed out, or the server closed it | `warning` at once; `lost` when the lease ends |\n", policy.Quiet) +
		"| `lost` | the lease has ended | the state becomes `lost`, reason `agent_lost` |\n" +
		fmt.Sprintf("| network | at least %d%% of at least %d active runs are silent at the same time, not counting those of the other token that has the most | none is called lost for up to %s; when most report again, the others have %s left |\n",
			TogetherPercent, MinTogether, rules.Span(rules.HoldLimit), rules.Span(HoldAfter)) +
		fmt.Sprintf("| [outage](leases.md#when-leases-are-extended) | the server could take no heartbeats: it was down or did not run for more than %s, or its database failed | a run is trusted until %s after it, but for no more than its lease and one such extension, not counting outages |\n",
			rules.Span(LateLimit), rules.Span(rules.GraceAfter)) +
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
	return row(policy.Stalled, fmt.Sprintf("no output, no CPU, no disk IO and no new status for %s, or for one and a half times as long as its successful runs were silent", rules.Span(s.After.D())),
		fmt.Sprintf("`warning`; `critical` after %s", rules.Span(s.Critical.D()))) +
		row(policy.NoOutput, fmt.Sprintf("nothing was printed for %s", rules.Span(p.NoOutput.After.D())), "`warning`") +
		row(policy.Overdue, fmt.Sprintf("longer than `--expect`, than the policy's limit, or than %g times the p95 of its successful runs (at least %s more)", p.Overdue.Factor, rules.Span(p.Overdue.AtLeast.D())),
			"`warning`; `critical` at twice that, and at the end of the grace for a run that [pings](pings.md) report") +
		row(policy.Memory, fmt.Sprintf("memory is at %g %% of its limit, or reaches it within %s if it keeps growing, or is above %g times the usual peak", p.Memory.Percent, rules.Span(p.Memory.Within.D()), p.Memory.Factor),
			fmt.Sprintf("`warning`; `critical` at %g %%, and when the kernel has killed processes for lack of memory", p.Memory.Critical)) +
		row(policy.ClockSkew, fmt.Sprintf("the best of the last %d heartbeats has a time that is off by more than %s", 5, rules.Span(p.ClockSkew.Over.D())), "`warning`") +
		row(policy.Spool, fmt.Sprintf("the agent reports, and %s of its journal have waited for %s", job.Bytes(p.Spool.Bytes), rules.Span(p.Spool.After.D())), "`warning`") +
		row(policy.Starved, fmt.Sprintf("3 of the last 5 heartbeats were sent %s late, or tasks waited for a processor %g %% of the time and hardly got one", rules.Span(p.Starved.Delay.D()), p.Starved.Pressure), "`warning`") +
		row(policy.Waiting, fmt.Sprintf("[a queued run](#runs-in-the-queue) has waited for %s, an occurrence of a schedule for %s; or for %s no worker could take it", rules.Span(p.Waiting.After.D()), rules.Span(p.Waiting.Occurrence.D()), rules.Span(queue.WorkerGrace)),
			"`warning`, with a countdown to the end of `start_within`") +
		row(policy.Skipped, fmt.Sprintf("%d occurrences of a [schedule](#schedules-that-do-not-start-their-job) in a row did not become runs, or one was refused", p.Skipped.Times),
			"`warning` of the job, with the time at which it is due again") +
		fmt.Sprintf("| `%s` | a job that somebody else starts was [due](due.md) and has not started | `critical` for the job |\n", policy.Missed)
}
