package environment

import (
	"fmt"
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
		Caller: []string{
			"A=1", "STINT_TOKEN=secret", "B=\xff\xfe", "A=2", "bare", "=odd", "", "STINT_REPORT_TO=http://u:p@h/",
			"STINT_JOB=outer", "STINT_RETRIES=3", "C=", "STINT_TOKEN=again", "STINT_SERVER=http://u:p@elsewhere", "STINT_PARENT_JOB=outermost",
		},
	}
	want := []string{
		"A=1", "B=\xff\xfe", "A=2", "bare", "=odd", "", "STINT_RETRIES=3", "C=",
		"STINT_RUN_ID=r", "STINT_JOB=inner", "STINT_PARENT_JOB=inner", "STINT_ATTEMPT=2", "STINT_SERVER=http://here",
	}
	if got := Of(c); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		c.Caller = rapid.SliceOf(rapid.SampledFrom([]string{"A=1", "A=2", "STINT_TOKEN=x", "STINT_REPORT_TO=y", "B", "STINT_RUN_ID=z", "\x80=\x81"})).Draw(t, "env")
		got := Of(c)
		kept := slices.DeleteFunc(slices.Clone(c.Caller), func(kv string) bool { return strings.HasPrefix(kv, "STINT_") })
		if len(got) < len(kept) || !slices.Equal(got[:len(kept)], kept) {
			t.Fatalf("of %q the job has %q", c.Caller, got)
		}
		for _, kv := range got {
			if strings.HasPrefix(kv, "STINT_TOKEN=") || strings.HasPrefix(kv, "STINT_REPORT_TO=") || kv == "STINT_RUN_ID=z" {
				t.Fatalf("the job has %q", kv)
			}
		}
	})
}

func TestEnvironmentNames(t *testing.T) {
	got := Names([]string{"PATH=/bin", "B=x=y", "A=", "=C:=x", "odd name=1", "A=2"})
	if got != "A B PATH" {
		t.Errorf("names %q", got)
	}
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("SOME_NAME_%d=1", i))
	}
	if got := Names(many); len(got) > maxNames {
		t.Errorf("%d bytes of names", len(got))
	}
}
