package definition

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// everything is a definition with every key.
const everything = `# Every key of a definition.
job: nightly-report
description: Orders of the day, as PDF
command: [python, report.py]
dir: /srv/report
install: [pip install -r requirements.txt]
install_cache: {files: [requirements.txt], dirs: [.venv]}
env: {REGION: eu, LEVEL: 3, EMPTY: ""}
secrets: {DB_PASSWORD: warehouse-db}
zone: Europe/Berlin
parameters:
  - {name: DAY, type: date, default: yesterday, help: the day to report}
  - {name: SCALE, type: number, min: 0.1, max: 10, default: 1}
  - {name: FORMAT, type: choice, choices: [pdf, html], default: pdf}
  - {name: NOTE, type: text, pattern: "[a-z]*"}
limits: {timeout: 2h, install_timeout: 10m, memory: 4GiB, cpu: 2, no_output: 30m}
retries: {limit: 2, backoff: 1m, on: [agent_lost, exit_code], hold: 0s, memory: 2x}
requires: {gpu: "true", zone: fra}
priority: normal
group: warehouse
start_within: 6h
overlap: skip
schedules:
  - {cron: "30 2 * * *", catch_up: latest, window: 24h, spread: 5m, parameters: {FORMAT: html, NOTE: abc}}
  - {every: 90m, anchor: "2026-01-01T01:00:00+01:00", zone: UTC, catch_up: none, parameters: {NOTE: ""}}
policy: {rules: {stalled: {after: 2h}}, actions: {failed: {notify: false}}}
engine: {image: "debian:12", deep: [1, {a: }]}
keep: {days: 90, runs: 500}
`

const everythingCanonical = `{"job":"nightly-report","description":"Orders of the day, as PDF","command":["python","report.py"],"dir":"/srv/report",` +
	`"install":["pip install -r requirements.txt"],"install_cache":{"files":["requirements.txt"],"dirs":[".venv"]},` +
	`"env":{"EMPTY":"","LEVEL":"3","REGION":"eu"},"secrets":{"DB_PASSWORD":"warehouse-db"},"zone":"Europe/Berlin","parameters":[` +
	`{"name":"DAY","type":"date","default":"yesterday","help":"the day to report"},` +
	`{"name":"SCALE","type":"number","default":"1","min":"0.1","max":"10"},` +
	`{"name":"FORMAT","type":"choice","default":"pdf","choices":["pdf","html"]},{"name":"NOTE","type":"text","pattern":"[a-z]*"}],` +
	`"limits":{"timeout":"2h","install_timeout":"10m","memory":"4GiB","cpu":2,"no_output":"30m"},` +
	`"retries":{"limit":2,"backoff":"1m","on":["agent_lost","exit_code"],"hold":"0s","memory":"2x"},` +
	`"requires":{"gpu":"true","zone":"fra"},"priority":"normal","group":"warehouse","start_within":"6h","overlap":"skip",` +
	`"schedules":[{"cron":"30 2 * * *","catch_up":"latest","window":"24h","spread":"5m","parameters":{"FORMAT":"html","NOTE":"abc"}},` +
	`{"every":"1h30m","anchor":"2026-01-01T00:00:00Z","zone":"UTC","catch_up":"none","parameters":{"NOTE":""}}],` +
	`"policy":{"actions":{"failed":{"notify":"false"}},"rules":{"stalled":{"after":"2h"}}},` +
	`"engine":{"deep":["1",{"a":null}],"image":"debian:12"},"keep":{"days":90,"runs":500}}`

// mustParse reads a text that has no mistakes, with the keys of later versions.
func mustParse(t interface{ Fatalf(string, ...any) }, text string) Definition {
	d, mistakes := parse([]byte(text), nil, policy.Check)
	if len(mistakes) > 0 {
		t.Fatalf("%s: %v", text, mistakes)
	}
	return d
}

func canonical(t interface{ Fatalf(string, ...any) }, d Definition) string {
	text, err := d.Canonical()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(text)
}

func TestEveryKeyIsRead(t *testing.T) {
	d := mustParse(t, everything)
	if diff := cmp.Diff(everythingCanonical, canonical(t, d)); diff != "" {
		t.Error("(-want +got)", diff)
	}
	spec := d.Spec(map[string]string{"DAY": "2026-11-27"})
	want := job.Spec{
		Version: job.SpecVersion, Args: []string{"python", "report.py"}, Dir: "/srv/report", Install: d.Install,
		CacheFiles: []string{"requirements.txt"}, CacheDirs: []string{".venv"}, Zone: "Europe/Berlin",
		Env:       map[string]string{"REGION": "eu", "LEVEL": "3", "EMPTY": "", "DAY": "2026-11-27"},
		TimeoutMS: 7_200_000, InstallMS: 600_000, NoOutputMS: 1_800_000, MemoryBytes: 4 << 30, CPUs: 2,
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Error("(-want +got)", diff)
	}
	script := mustParse(t, "job: a\nscript: |\n  set -e\n  echo $DAY\n").Spec(nil)
	if diff := cmp.Diff([]string{"sh", "-c", "set -e\necho $DAY\n"}, script.Args); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

// The same content is the same version, however it is written.
func TestHashIsOfContent(t *testing.T) {
	want := Hash([]byte(canonical(t, mustParse(t, "job: a\ncommand: [b, c]\nenv: {B: 1, A: 2}\nlimits: {timeout: 60m}\n"))))
	for text, same := range map[string]bool{
		"# a comment\nenv:\n  A: \"2\"\n  B: '1'\nlimits:\n  timeout: 1h\ncommand:\n- b\n- c\njob: a\n":        true,
		"job: a\ncommand: [b, c]\nenv: {B: 1, A: 2}\nlimits: {timeout: 3600s}\nrequires: {}\nparameters: []\n": true,
		"job: a\ncommand: [b, c]\nenv: {B: 1, A: 3}\nlimits: {timeout: 1h}\n":                                  false,
		"job: a\ncommand: [c, b]\nenv: {B: 1, A: 2}\nlimits: {timeout: 1h}\n":                                  false,
	} {
		if got := Hash([]byte(canonical(t, mustParse(t, text)))); (got == want) != same {
			t.Errorf("%q: %s; the same as %s: %t, want %t", text, got, want, !same, same)
		}
	}
}

func TestMistakes(t *testing.T) {
	const head = "job: a\ncommand: [b]\n"
	for text, want := range map[string][]string{
		"":                                  {"1:1 needs the name of its job", "1:1 needs a command"},
		"job: a#b\nscript: x\n":             {"1:6 has the character"},
		"job: a\n":                          {"1:1 needs a command"},
		head + "script: x\n":                {"3:1 there is a command and a script"},
		"job: a\ncommand: python x\n":       {"2:10 a list of words"},
		"job: a\ncommand: []\n":             {"2:10 no words"},
		"job: a\ncommand: [\"\", b]\n":      {"2:11 a command has a program"},
		"job: a\ncommand: [b, \"\\0\"]\n":   {"2:14 NUL"},
		"job: a\ncommand: [b, , c]\n":       {"2:14 an item is expected"},
		"job: a\ncommand:\n- b\n-\n- c\n":   {"4:2 a value is missing"},
		"job: a\nscript: null\n":            {"2:9 a value is missing"},
		"job: \"\"\nscript: x\n":            {"1:6 the text is empty"},
		head + "comand: [c]\n":              {`3:1 "comand" is not known in a definition: there is job, description`},
		head + "dir: srv\n":                 {"3:6 absolute path"},
		head + "install: pip\n":             {"3:10 must be a list"},
		head + "install: [\"\"]\n":          {"3:11 the text is empty"},
		head + "install_cache: {}\n":        {"3:1 there are none", "3:16 needs files"},
		head + "env: {1A: b, STINT_X: c}\n": {`3:7 "1A" is no name of a variable`, `3:14 "STINT_X" is reserved`},
		head + "env: [A]\n":                 {"3:6 env must be a list of keys and values"},
		head + "env: {A: }\n":               {"3:10 a value is missing"},
		head + "env: {A: [b]}\n":            {"3:10 one plain value"},
		head + "zone: Berlin\n":             {"3:7 no name of a time zone"},
		head + "zone: Local\n":              {"3:7 no name of a time zone"},
		head + "zone: ../etc/passwd\n":      {"3:7 no name of a time zone"},
		head + "limits: {timeout: 5, memory: much, cpu: 0, no_output: 0, install_timeout: -1s}\n": {
			"3:19 not a duration", "3:30 not a size", "3:41 not a number from", "3:55 0 is no time", "3:75 not between 0",
		},
		head + "retries: {backoff: 1m}\n":                         {"3:10 need a limit"},
		head + "retries: {limit: 1.5}\n":                          {"3:18 whole number from 0 to 100"},
		head + "retries: {limit: 1, on: [exit_code, canceled]}\n": {`3:37 "canceled" is not known here`},
		head + "retries: {limit: 1, on: [signal, signal]}\n":      {"3:34 there twice"},
		head + "retries: {limit: 1, memory: 2}\n":                 {"3:29 a factor"},
		head + "retries: {limit: 1, memory: 17x}\n":               {"3:29 a factor"},
		head + "requires: {\"\": b}\n":                            {"3:12 label key"},
		head + "priority: urgent\n":                               {"3:11 there is low, normal, high"},
		head + "overlap: replace\n":                               {"3:10 there is skip, queue, allow"},
		head + "group: a/b\n":                                     {"3:8 cannot be a name"},
		head + "start_within: 0\n":                                {"3:15 0 is no time"},
		head + "keep: {days: 0}\n":                                {"3:14 whole number from 1"},
		head + "engine: 5\n":                                      {"3:9 keys and values"},
		head + "policy: {rules: {stuck: {}}}\n":                   {`3:18 "stuck" is not known in rules`},
		head + "policy: {actions: {failed: {retry: 2, backoff: 1m}}}\n": {
			"3:29 tried again by its queue", "3:39 tried again by its queue",
		},
		head + "schedules: [{window: 1h}, {cron: 5 5}, {cron: '@hourly', catch_up: all}]\n": {
			"3:13 needs cron", "3:34 five fields", "3:68 there is none, latest",
		},
		head + "schedules: [{cron: '@daily', every: 1h}, {every: 30s}, {cron: '@daily', anchor: '2026-01-01T00:00:00Z'}]\n": {
			"3:37 write one of them", "3:50 the least time", "3:81 is for every",
		},
		head + "schedules: [{every: 1h, anchor: monday}, {cron: '@daily', zone: Local}, {every: 1h, catch_up: none, window: 1h}]\n": {
			"3:33 is not a time", "3:65 no name of a time zone", "3:109 catch_up is none",
		},
		head + "schedules:\n- cron: '@daily'\n  parameters: {A: x, B: y}\nparameters: [{name: A, type: integer}]\n": {
			`5:25 "B": the job has no such parameter`,
		},
		head + "schedules:\n- cron: '@daily'\n  parameters: {A: x}\nparameters: [{name: A, type: integer}]\n": {
			`5:19 A: "x" is not a whole number`,
		},
		head + "schedules:\n- cron: '@daily'\nparameters: [{name: A, type: integer}]\n": {"4:3 must give the parameter A"},
		"job: a\njob: b\ncommand: [c]\n":                                                {`2:1 "job" is already defined`},
		"- job: a\n":                                                                    {"1:1 keys and values"},
		head + "---\njob: b\n":                                                          {"4:1 a second one"},
		"job: &a b\nscript: *a\n":                                                       {"1:6 anchors"},
	} {
		checkMistakes(t, text, want)
	}
	checkMistakes(t, "#"+strings.Repeat("x", MaxSize), []string{"1:1 at most 262144 bytes, and this one has 262145"})
}

func TestMistakesOfParameters(t *testing.T) {
	for parameter, want := range map[string][]string{
		"{type: text}":                                       {"3:14 needs a name and a type"},
		"{name: A}":                                          {"3:14 needs a name and a type"},
		"{name: A, type: secret}":                            {`3:30 "secret" is not known here`},
		"{name: day, type: date}":                            {"3:21 no name of a parameter"},
		"{name: PATH, type: text}":                           {"3:21 reserved (PATH)"},
		"{name: LD_PRELOAD, type: text}":                     {"3:21 reserved (LD_*)"},
		"{name: A, type: choice}":                            {"3:14 at least one"},
		"{name: A, type: text, choices: [b]}":                {"3:45 at least one"},
		"{name: A, type: choice, choices: [b, b]}":           {"3:51 there twice"},
		"{name: A, type: choice, choices: [b], default: c}":  {`3:61 "c" is none of the choices: b`},
		"{name: A, type: text, min: 1}":                      {"3:41 min is for the types"},
		"{name: A, type: number, pattern: x}":                {"3:47 for the type text"},
		"{name: A, type: text, pattern: '('}":                {"3:45 not a regular expression"},
		"{name: A, type: text, pattern: 'a)|(b'}":            {"3:45 not a regular expression"},
		"{name: A, type: text, pattern: 'a|b', default: ab}": {"3:61 does not match"},
		"{name: A, type: integer, min: 1.5}":                 {"3:44 not a whole number"},
		"{name: A, type: integer, min: 3, max: 2}":           {"3:52 max (2) is less than min (3)"},
		"{name: A, type: integer, min: 3, default: 2}":       {"3:56 less than the smallest value, 3"},
		"{name: A, type: boolean, default: yes}":             {"3:48 neither true nor false"},
		"{name: A, type: date, default: tomorrow}":           {"3:45 is not a date"},
		"{name: A, type: date, default: today-3h}":           {"3:45 is not a date"},
		"{name: A, type: date, default: 2026-02-29}":         {"3:45 is not a date"},
		"{name: A, type: text}, {name: A, type: text}":       {"3:44 A is there twice"},
		"{name: B, type: text}":                              {`3:21 "B" is set in env too`},
		"{name: C, type: text}":                              {`3:21 "C" is set in secrets too`},
		"{name: A, type: text, default: }":                   {"3:45 a value is missing"},
		"{name: A, type: text, help: ''}":                    {"3:42 the text is empty"},
		"{name: A, type: text, required: true}":              {`3:36 "required" is not known in a parameter`},
		"A":                                                  {"3:14 keys and values"},
		"{name: A, type: text, default: " + strings.Repeat("x", MaxValueBytes+1) + "}": {"3:45 has 32769 bytes, and may have 32768"},
	} {
		checkMistakes(t, "job: a\ncommand: [b]\nparameters: ["+parameter+"]\nenv: {B: x}\nsecrets: {C: y}\n", want)
	}
	var many strings.Builder
	for i := range 5 {
		fmt.Fprintf(&many, "- {name: A%d, type: text, default: %s}\n", i, strings.Repeat("x", MaxValueBytes))
	}
	checkMistakes(t, "job: a\ncommand: [b]\nparameters:\n"+many.String(), []string{"3:1 may have 131072 together"})
}

func checkMistakes(t *testing.T, text string, want []string) {
	t.Helper()
	shown := text[:min(len(text), 200)]
	_, mistakes := parse([]byte(text), nil, policy.Check)
	if len(mistakes) != len(want) {
		t.Errorf("%q: %v, want %q", shown, mistakes, want)
		return
	}
	for i, m := range mistakes {
		place, why, _ := strings.Cut(want[i], " ")
		if got := fmt.Sprintf("%d:%d", m.Line, m.Column); got != place || !strings.Contains(m.Why, why) {
			t.Errorf("%q: %s %s, want %s", shown, got, m.Why, want[i])
		}
	}
}

// What no server does yet is refused, and nothing of it ignored.
func TestKeysOfLaterVersionsAreRefused(t *testing.T) {
	_, mistakes := Parse([]byte(everything), policy.Check)
	var lines []string
	for _, m := range mistakes {
		lines = append(lines, fmt.Sprintf("%d:%d %s", m.Line, m.Column, strings.SplitN(m.Why, ":", 2)[0]))
	}
	if diff := cmp.Diff([]string{"9:1 secrets", "27:1 engine", "28:1 keep"}, lines); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

func TestPolicyHasItsOwnText(t *testing.T) {
	d := mustParse(t, "job: a\ncommand: [b]\npolicy:\n  rules: {stalled: {after: 2h}, memory: {percent: 80%}, quiet: }\n  actions:\n    lost: {notify: no}\n  keep: {days: 0.5, runs: 500}\n")
	got, err := policy.Parse([]byte(d.PolicyText()))
	if err != nil {
		t.Fatalf("%s: %v", d.PolicyText(), err)
	}
	want, err := policy.Parse([]byte("rules: {stalled: {after: 2h}, memory: {percent: 80}}\nactions: {lost: {notify: false}}\nkeep: {days: 0.5, runs: 500}\n"))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error("(-want +got)", diff, err)
	}
	if text := mustParse(t, "job: a\nscript: b\n").PolicyText(); text != "" {
		t.Errorf("no policy is %q", text)
	}
}

// definitions are arbitrary ones without mistakes.
func definitions() *rapid.Generator[Definition] {
	texts := rapid.OneOf(rapid.SampledFrom([]string{"x", "null", "a: b", "- c", "#", "it's \"q\"", "l1\nl2\n", " ", "é\u2028", "<&>", "\t"}), rapid.StringN(1, 30, 100))
	names := rapid.StringMatching(`[A-Z][A-Z0-9_]{0,5}X`)
	spans := rapid.Custom(func(t *rapid.T) Duration {
		return Duration(time.Duration(rapid.Int64Range(1, 86_400_000).Draw(t, "ms")) * time.Millisecond)
	})
	return rapid.Custom(func(t *rapid.T) Definition {
		d := Definition{Job: rapid.StringMatching(`[a-z][a-z -]{0,10}[a-z]`).Draw(t, "job"), Zone: rapid.SampledFrom([]string{"", "UTC", "Asia/Kolkata"}).Draw(t, "zone")}
		if rapid.Bool().Draw(t, "script") {
			d.Script = visible(texts.Draw(t, "text"))
		} else {
			d.Command = []string{visible(texts.Draw(t, "program")), visible(texts.Draw(t, "word"))}
		}
		for range rapid.IntRange(0, 3).Draw(t, "variables") {
			if d.Env == nil {
				d.Env = map[string]string{}
			}
			d.Env["E_"+names.Draw(t, "variable")] = visible(texts.Draw(t, "value"))
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "parameters") {
			value := visible(texts.Draw(t, "default"))
			d.Parameters = append(d.Parameters, Parameter{Name: fmt.Sprintf("P%d", i), Type: Text, Default: &value})
		}
		if rapid.Bool().Draw(t, "limits") {
			d.Limits = &Limits{Timeout: spans.Draw(t, "timeout"), Memory: Size(rapid.Int64Range(1, 1<<45).Draw(t, "memory")), CPU: rapid.Float64Range(0.1, 100).Draw(t, "cpu")}
		}
		if rapid.Bool().Draw(t, "retries") {
			hold := spans.Draw(t, "hold")
			d.Retries = &Retries{Limit: rapid.IntRange(0, 100).Draw(t, "limit"), Hold: &hold, Memory: Factor(rapid.IntRange(1, 16).Draw(t, "factor"))}
		}
		return d
	})
}

// visible drops what JSON has as it is, and no text of a definition may have.
func visible(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == 0 || r >= 0x7f && r <= 0x9f || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return "x"
	}
	return text
}

// Canonical JSON is a definition, of itself.
func TestCanonicalIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := canonical(t, definitions().Draw(t, "definition"))
		if got := canonical(t, mustParse(t, want)); got != want {
			t.Fatalf("%s is read as %s", want, got)
		}
		d, err := FromCanonical([]byte(want))
		if err != nil {
			t.Fatal(err)
		}
		if got := canonical(t, d); got != want {
			t.Fatalf("%s is decoded as %s", want, got)
		}
	})
}

// Whatever a text is, it is read or refused with places; what is read has one canonical form.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(everythingCanonical))
	f.Add([]byte("job: a\nscript: |+\n  x\n\nparameters:\n- name: A\n  type: date\n  default: now-1h\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, mistakes := parse(text, nil, policy.Check)
		for _, m := range mistakes {
			if m.Line < 1 || m.Column < 1 || m.Why == "" {
				t.Fatalf("a mistake without a place or reason: %v", m)
			}
		}
		if len(mistakes) > 0 {
			return
		}
		first := canonical(t, d)
		again, err := FromCanonical([]byte(first))
		if err != nil || canonical(t, again) != first {
			t.Fatalf("%s is decoded as %+v, %v", first, again, err)
		}
		if changes, err := Diff(d, again); err != nil || len(changes) > 0 {
			t.Fatalf("%s differs from itself: %q, %v", first, changes, err)
		}
		if _, err := d.Resolve(nil, time.Unix(1_700_000_000, 0)); err != nil && !strings.Contains(err.Error(), ": ") {
			t.Fatal(err)
		}
		if text := d.PolicyText(); text != "" {
			if _, err := policy.Parse([]byte(text)); err != nil {
				t.Fatalf("the policy %q cannot be read: %v", text, err)
			}
		}
	})
}

// Bombs cost no more than their length: they are refused at the first place that is none.
func TestBombsAreRefused(t *testing.T) {
	laughs := "a: &a [lol, lol, lol, lol]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n"
	for name, text := range map[string]string{
		"aliases":    laughs,
		"brackets":   "command: " + strings.Repeat("[", MaxSize-20),
		"braces":     "env: " + strings.Repeat("{a: ", MaxSize/4-20),
		"dashes":     "install:\n" + strings.Repeat("- ", MaxSize/2-20),
		"keys":       strings.Repeat("a: 1\n", MaxSize/5-20),
		"large":      strings.Repeat("x", 10<<20),
		"one line":   "env: {" + strings.Repeat("A: 1,", MaxSize/5-20) + "}",
		"parameters": "parameters: [" + strings.Repeat("{},", MaxSize/3-20) + "]",
		"numbers":    "limits: {cpu: " + strings.Repeat("9", MaxSize-20) + "}",
		"lines":      "script: |\n" + strings.Repeat("  x\n", MaxSize/4-20) + "b",
		"nul":        "job: a\nscript: x\x00",
	} {
		if _, mistakes := Parse([]byte(text), policy.Check); len(mistakes) == 0 || len(mistakes) > mostMistakes {
			t.Errorf("%s: %d mistakes", name, len(mistakes))
		}
	}
}

func TestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", time.Hour: "1h", 26 * time.Hour: "26h", time.Hour + time.Second: "1h0m1s", 1500 * time.Millisecond: "1.5s",
	} {
		var back Duration
		if got := Duration(d).String(); got != want || back.UnmarshalText([]byte(got)) != nil || back != Duration(d) {
			t.Errorf("%v is %s and back %v, want %s", d, got, back, want)
		}
	}
	for s, want := range map[Size]string{1: "1", 1 << 10: "1KiB", 3 << 29: "1536MiB", 5e9: "5000000000", 2 << 40: "2TiB"} {
		var back Size
		if got := s.String(); got != want || back.UnmarshalText([]byte(got)) != nil || back != s {
			t.Errorf("%d is %s and back %d, want %s", s, got, back, want)
		}
	}
	var f Factor
	if err := f.UnmarshalText([]byte("infx")); err == nil {
		t.Errorf("infx is %v", f)
	}
	if text, err := Factor(1.5).MarshalText(); err != nil || !bytes.Equal(text, []byte("1.5x")) {
		t.Errorf("%s, %v", text, err)
	}
}
