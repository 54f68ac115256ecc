package agent

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The job has its caller's environment in the same order, with names that are there twice and
// bytes that are no text, without what opens a server.
func TestJobEnvironment(t *testing.T) {
	c := Config{
		Run: "r", Job: "inner", Attempt: 2, ServerURL: "http://here",
		Env: []string{
			"A=1", "STINT_TOKEN=secret", "B=\xff\xfe", "A=2", "bare", "=odd", "", "STINT_REPORT_TO=http://u:p@h/",
			"STINT_JOB=outer", "STINT_RETRIES=3", "C=", "STINT_TOKEN=again", "STINT_SERVER=http://u:p@elsewhere", "STINT_PARENT_JOB=outermost",
		},
	}
	want := []string{
		"A=1", "B=\xff\xfe", "A=2", "bare", "=odd", "", "STINT_RETRIES=3", "C=",
		"STINT_RUN_ID=r", "STINT_JOB=inner", "STINT_PARENT_JOB=inner", "STINT_ATTEMPT=2", "STINT_SERVER=http://here",
	}
	if got := jobEnvironment(c); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		c.Env = rapid.SliceOf(rapid.SampledFrom([]string{"A=1", "A=2", "STINT_TOKEN=x", "STINT_REPORT_TO=y", "B", "STINT_RUN_ID=z", "\x80=\x81"})).Draw(t, "env")
		got := jobEnvironment(c)
		kept := slices.DeleteFunc(slices.Clone(c.Env), func(kv string) bool { return strings.HasPrefix(kv, "STINT_") })
		if len(got) < len(kept) || !slices.Equal(got[:len(kept)], kept) {
			t.Fatalf("of %q the job has %q", c.Env, got)
		}
		for _, kv := range got {
			if strings.HasPrefix(kv, "STINT_TOKEN=") || strings.HasPrefix(kv, "STINT_REPORT_TO=") || kv == "STINT_RUN_ID=z" {
				t.Fatalf("the job has %q", kv)
			}
		}
	})
}
