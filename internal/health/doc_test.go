package health

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/policy"
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
		fmt.Sprintf("| `%s` | the connection of its heartbeats closed and the attempt had not ended | `warning` at once; `lost` %s after the close; where the agent does not beat again at once when that happens, %s after the next heartbeat was due if that is later; never after the lease |\n",
			policy.Quiet, ConfirmGone, latenessGone) +
		"| `lost` | the lease has ended | the state becomes `lost`, reason `agent_lost` |\n" +
		fmt.Sprintf("| network | at least %d%% of at least %d active runs are silent at the same time | none is called lost for up to %s; when most are heard again, the others have %s left |\n",
			Together, TogetherAtLeast, HoldFor, HoldAfter) +
		fmt.Sprintf("| server away | it starts, its database failed, or it was more than %s late for a look that is due every %s | every active run is trusted for at least %s more |\n",
			Late, Every, Grace.Round(time.Second))
}
