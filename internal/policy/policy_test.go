package policy

import (
	"encoding/json"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte(`
# A nightly job that is silent for long.
rules:
  stalled: {after: 2h}
  no_output:
    after: 90s
  overdue:
    limit: 1d12h
    factor: 0
  memory: { percent: 80%, within: 5m }
  spool:
    bytes: 10MB
  quiet: {on: no}
  skipped: {times: 5}
keep: {days: 0.5, runs: 0}
actions:
  missed: {severity: warning}
  skipped: {notify: false}
  stalled:
    severity: critical
    cancel_after: 10m
  lost: {notify: false, retry: 2, backoff: 1m}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Stalled.After, want.Stalled.Critical = Span(2*time.Hour), Span(2*time.Hour)
	want.NoOutput = NoOutputRule{On: true, After: Span(90 * time.Second)}
	want.Overdue.Limit, want.Overdue.Factor = Span(36*time.Hour), 0
	want.Memory.Percent, want.Memory.Within = 80, Span(5*time.Minute)
	want.Spool.Bytes = 10_000_000
	want.Quiet.On, want.Skipped.Times = false, 5
	days, runs := 0.5, int64(0)
	want.Keep = Keep{Days: &days, Runs: &runs}
	want.Actions[Missed], want.Actions[Skipped] = Action{Notify: true, Severity: job.Warning}, Action{}
	want.Actions[Stalled] = Action{Notify: true, Severity: job.Critical, Cancel: true, CancelAfter: Span(10 * time.Minute)}
	want.Actions[Lost] = Action{Retry: 2, Backoff: Span(time.Minute), After: Span(time.Minute)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

// The ways to write the same.
func TestFormsOfYAML(t *testing.T) {
	want := Default()
	want.Quiet.On, want.Stalled.After, want.Stalled.Critical = false, Span(2*time.Hour), Span(3*time.Hour)
	for _, text := range []string{
		"rules: {quiet: {on: false}, stalled: {after: 2h, critical: 3h}}",
		"rules: {quiet: {on: \"f\\u0061lse\"}, stalled: {after: 2h, critical: 3h}}",
		"rules:\n quiet:\n  on: >-\n   false\n stalled: {after: 2h, critical: 3h}\n",
		"\ufeffrules: {quiet: {on: false}, stalled: {after: 2h, critical: 3h,},}\r\n",
		"--- # begin\nrules:\n\n  quiet:\n    on: off\n\n  # a word\n  stalled: # another\n         critical: 3h # and\n\n         after: 2h\n...\n",
		"{\"rules\":{\"quiet\":{\"on\":false},\"stalled\":{\"after\":\"2h\",\"critical\":'3h'}}}",
		"actions:\nrules: {\n quiet: {\n  on: no # }\n }, stalled: { after: 2h\n , critical: 3h }\n}\n",
		"actions: ~\nrules:\r\n  stalled:\r\n    after: 2h\r\n    critical: 3h\r\n  quiet: {on: false}\r\n",
		"rules:\n stalled: {after: 2h, critical: 3h}\n quiet: {on: false}\n starved: null\n spool: {}\n---\n",
	} {
		got, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got) %s", text, diff)
		}
	}
}

func TestNothingSaidIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "# only words\n", "rules:\n", "rules: {}\nactions: {}\n", "---\n", "---", "...", "{}", "rules: null\nactions: ~", "rules: {quiet: , stalled: {}}", " \n\t\n"} {
		got, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q (-default +got) %s", text, diff)
		}
	}
}

func TestMistakesAreRefusedInPlace(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		why          string
	}{
		{"rulez: {}", 1, 1, `"rulez" is not known in policy: there is rules, actions, keep`},
		{"rules:\n  stalled:\n    aftr: 5m\n", 3, 5, `"aftr" is not known in stalled`},
		{"actions:\n  failed: {after: 1m}\n", 2, 12, `"after" is not known in failed`},
		{"actions:\n  lost: {after: soon}\n", 2, 17, "not a duration"},
		{"rules:\n  stuck: {}\n", 2, 3, "there is quiet, stalled"},
		{"rules:\n  stalled: {after: 5}\n", 2, 20, "not a duration"},
		{"rules:\n  stalled: {after: 0}\n", 2, 20, "on: false"},
		{"rules:\n  stalled: {after: -5m}\n", 2, 20, "not between 0"},
		{"rules:\n  stalled: {after: 9999d}\n", 2, 20, "not between 0"},
		{"rules:\n  stalled: {after: [1, 2]}\n", 2, 20, "one plain value"},
		{"rules:\n  stalled: {after: 2h, critical: 1h}\n", 2, 0, "comes before"},
		{"rules:\n  memory: {percent: 101}\n", 2, 21, "not between 1 and 100"},
		{"rules:\n  memory: {percent: .nan}\n", 2, 21, "not a number"},
		{"rules:\n  overdue: {factor: 0.5}\n", 2, 0, "below 1"},
		{"rules:\n  spool: {bytes: many}\n", 2, 18, "not a size"},
		{"rules:\n  quiet: {on: maybe}\n", 2, 15, "neither true nor false"},
		{"rules:\n  quiet: {on: true}\n  quiet: {on: false}\n", 3, 3, "already defined"},
		{"rules: {}\nrules: {}\n", 2, 1, "already defined"},
		{"actions:\n  stalled: {retry: 3}\n", 2, 13, `"retry" is not known`},
		{"actions:\n  failed: {cancel: true}\n", 2, 12, `"cancel" is not known`},
		{"actions:\n  failed: {retry: 1.5}\n", 2, 19, "whole number"},
		{"actions:\n  quiet: {cancel: true}\n", 2, 0, "cannot be canceled"},
		{"actions:\n  lost: {severity: healthy}\n", 2, 20, "neither warning nor critical"},
		{"rules:\n  missed: {on: false}\n", 2, 0, "stint job due"},
		{"rules:\n  skipped: {times: 1.5}\n", 2, 20, "whole number"},
		{"rules:\n  skipped: {times: 0}\n", 2, 20, "not between 1 and 1000"},
		{"rules:\n  skipped: {after: 1h}\n", 2, 13, "there is on, times"},
		{"actions:\n  skipped: {cancel: true}\n", 2, 21, "no run to stop"},
		{"actions:\n  missed: {retry: 3}\n", 2, 19, "no run to stop or to try again"},
		{"keep: {day: 4}\n", 1, 8, `"day" is not known in keep: there is days, runs`},
		{"keep: {days: 4d}\n", 1, 14, "not a number"},
		{"keep: {days: 4%}\n", 1, 14, "not a number"},
		{"keep: {days: -1}\n", 1, 14, "not between 0 and 100000"},
		{"keep: {days: 0.0001}\n", 1, 14, "less than 0.001"},
		{"keep: {days: .inf}\n", 1, 14, "not a number"},
		{"keep: {days: forever}\n", 1, 14, "not a number"},
		{"keep: {runs: 1.5}\n", 1, 14, "whole number"},
		{"keep: {runs: 5%}\n", 1, 14, "not a number"},
		{"keep: {runs: 2000000000}\n", 1, 14, "not between"},
		{"keep: 30\n", 1, 7, "keys and values"},
		{"rules: 5", 1, 8, "keys and values"},
		{"- a\n- b\n", 1, 1, "keys and values"},
		{"rules: {}\n---\nactions: {}\n", 3, 0, "second one"},
		{"rules: {\n", 2, 1, "YAML"},
		{"a: &x {b: 1}\nc: *x\n", 1, 1, "not known"},
		{"rules: &x {}\n", 1, 8, "keys and values"},
		{"rules: !!map {}\n", 1, 8, "keys and values"},
		{"rules:\n  quiet: {on: *x}\n", 2, 15, "one plain value"},
		{"rules:\n  quiet: {on: |\n  }}\n", 2, 15, "one plain value"},
		{"rules:\n  quiet:\n    on: >\n      true\n", 3, 9, "neither true nor false"},
		{"rules:\n  - quiet\n", 2, 3, "keys and values"},
		{"? rules\n: {}\n", 1, 1, "one plain value"},
		{"rules:\n    quiet: {}\n  stalled: {}\n", 3, 3, "indented"},
		{"rules:\n  quiet: {}\n    stalled: {}\n", 3, 5, "indented"},
		{"rules:\n  quiet: {} {}\n", 2, 13, "the line goes on"},
		{"rules:\n  quiet: {on: true on}\n", 2, 15, "neither true nor false"},
		{"rules:\n  quiet: {on:true}\n", 2, 11, "blank behind it"},
		{"rules\n", 1, 1, "blank behind it"},
		{"rules: {quiet: {on: \"tr\\que\"}}\n", 1, 24, "escape"},
		{"rules: {quiet: {on: 'true\n'}}\n", 1, 21, "close on the same line"},
		{"rules: {quiet: {on: true}\n", 2, 1, "closing brace"},
		{"rules: {quiet: {on: true};}\n", 1, 26, "comma"},
		{"\trules: {}\n", 1, 1, "spaces only"},
		{"rules:\n \tquiet: {}\n", 2, 2, "spaces only"},
		{"  rules: {}\nactions: {}\n", 2, 1, "indented"},
		{"rules: {}\xff\n", 1, 1, "UTF-8"},
		{"rules:\n  stalled: # 5m\r  on: false\n", 2, 16, "carriage return"},
		{"rules: {}\r", 1, 10, "carriage return"},
		{strings.Repeat("#", MaxSize+1), 1, 1, "at most"},
	} {
		got, err := Parse([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v (%+v)", c.text, err, got.Stalled)
			continue
		}
		if c.line != 0 && e.Line != c.line || c.column != 0 && e.Column != c.column || !strings.Contains(e.Why, c.why) {
			t.Errorf("%q: %v, want line %d, column %d: … %s", c.text, e, c.line, c.column, c.why)
		}
	}
}

// The text of a policy is anybody's: whatever it is, it is read or refused with a place.
func FuzzParse(f *testing.F) {
	f.Add([]byte("rules:\n  stalled: {after: 5m}\nactions:\n  lost: {retry: 2}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("rules: !!binary x\n? y\n: z"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("an error without a place: %v", err)
		}
		if err != nil && (e.Line < 1 || e.Column < 1) {
			t.Fatalf("a place that does not exist: %v", e)
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
		// What is read is also YAML to a complete parser.
		if err == nil && len(text) < 4<<10 {
			var doc any
			if err := yaml.Unmarshal(text, &doc); err != nil {
				t.Fatalf("%q is read, and is not YAML: %v", text, err)
			}
		}
	})
}

// worstTexts are texts of a size that are hard on parsers: deep, long, many.
func worstTexts(size int) map[string]string {
	worst := map[string]string{}
	for _, piece := range []string{
		"[", "{", "{a: ", "[{", "- ", "? ", "a: ", "&a ", "*a ", "!a ", "\n", "#\n", "a:\n", "a: 1\n", "[],", ",", "-\n", "|\n", "\"", "'", "x", " ", "\t",
		"---\n", "...\n", "rules: {", "rules:\n", "a: &a [*a]\n", "\\", "\"\\u0041", "{}", "\r", "é", "%",
	} {
		worst[piece] = strings.Repeat(piece, size/len(piece))
		worst["rules: {quiet: {on: "+piece] = "rules: {quiet: {on: " + strings.Repeat(piece, (size-20)/len(piece))
		worst["rules:\n quiet:\n  "+piece] = "rules:\n quiet:\n  " + strings.Repeat(piece, (size-20)/len(piece))
	}
	var steps strings.Builder
	for i := 0; steps.Len() < size; i++ {
		steps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	worst["steps"] = steps.String()[:size]
	worst["late mistake"] = strings.Repeat("# a comment\n", size/12-2) + "rulez: {}\n"
	worst["a whole policy"] = "rules: {quiet: {on: true}}" + strings.Repeat("\n# a comment", size/12-3)
	return worst
}

// No text costs more memory than eight times its size, and that of a policy without a text.
func TestMemoryOfTheWorstTexts(t *testing.T) {
	const own = 32 << 10 // the default, and a mistake in words
	for name, text := range worstTexts(MaxSize) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Parse([]byte(text))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > uint64(8*len(text)+own) {
			t.Errorf("%d bytes of %q cost %d bytes of memory, %d times their size", len(text), name, got, got/uint64(len(text)))
		}
	}
}

func BenchmarkWorstTexts(b *testing.B) {
	for name, text := range worstTexts(MaxSize) {
		b.Run(strconv.Quote(name), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = Parse([]byte(text))
			}
		})
	}
}

func TestEveryRuleAndEndHasItsRow(t *testing.T) {
	p := Default()
	for _, name := range append(Rules(), Ends()...) {
		if _, ok := p.Actions[name]; !ok {
			t.Errorf("no action for %s", name)
		}
	}
	if p.On("nonsense") || !p.On(Stalled) || p.On(NoOutput) {
		t.Error("which rules are on by default")
	}
	text, err := json.Marshal(p)
	if err != nil || !strings.Contains(string(text), `"after_seconds":900`) {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}
