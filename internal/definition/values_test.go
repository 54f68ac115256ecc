package definition

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestValues(t *testing.T) {
	for _, c := range []struct {
		p     Parameter
		value string
		why   string // empty for a good value
	}{
		{Parameter{Type: Text}, "", ""},
		{Parameter{Type: Text}, "`rm -rf /`; $(x)\n\"", ""},
		{Parameter{Type: Text}, "a\x00b", "NUL"},
		{Parameter{Type: Text}, "a\xffb", "UTF-8"},
		{Parameter{Type: Text}, strings.Repeat("x", MaxValueBytes), ""},
		{Parameter{Type: Text}, strings.Repeat("x", MaxValueBytes+1), "may have 32768"},
		{Parameter{Type: Text, Pattern: "a|b"}, "a", ""},
		{Parameter{Type: Text, Pattern: "a|b"}, "ab", "does not match"},
		{Parameter{Type: Text, Pattern: "^a$"}, "a\n", "does not match"},
		{Parameter{Type: Number}, "1.50", ""},
		{Parameter{Type: Number}, "-2e3", ""},
		{Parameter{Type: Number}, "1e999", "not a number"},
		{Parameter{Type: Number}, "NaN", "not a number"},
		{Parameter{Type: Number}, "0x10", "not a number"},
		{Parameter{Type: Number}, "1_000", "not a number"},
		{Parameter{Type: Number}, " 1", "not a number"},
		{Parameter{Type: Number}, "", "not a number"},
		{Parameter{Type: Number, Min: "0.1", Max: "10"}, "0.1", ""},
		{Parameter{Type: Number, Min: "0.1", Max: "10"}, "0.09", "less than"},
		{Parameter{Type: Number, Min: "0.1", Max: "10"}, "10.1", "more than"},
		{Parameter{Type: Integer}, "0", ""},
		{Parameter{Type: Integer}, "-9223372036854775808", ""},
		{Parameter{Type: Integer}, "9223372036854775808", "64 bits"},
		{Parameter{Type: Integer}, "007", "zeros in front"},
		{Parameter{Type: Integer}, "+1", "not a whole number"},
		{Parameter{Type: Integer}, "1.0", "not a whole number"},
		{Parameter{Type: Integer, Min: "9223372036854775806"}, "9223372036854775805", "less than"},
		{Parameter{Type: Integer, Max: "-5"}, "-4", "more than"},
		{Parameter{Type: Boolean}, "true", ""},
		{Parameter{Type: Boolean}, "True", "neither"},
		{Parameter{Type: Boolean}, "1", "neither"},
		{Parameter{Type: Choice, Choices: []string{"pdf", ""}}, "", ""},
		{Parameter{Type: Choice, Choices: []string{"pdf", "html"}}, "PDF", "none of the choices: pdf, html"},
		{Parameter{Type: Date}, "2024-02-29", ""},
		{Parameter{Type: Date}, "2026-02-29", "not a date"},
		{Parameter{Type: Date}, "27.11.2026", "not a date"},
		{Parameter{Type: Date}, "2026-11-27T02:30:00+01:00", ""},
		{Parameter{Type: Date}, "yesterday", "not a date"},
		{Parameter{Type: Date, Min: "2026-01-01", Max: "2026-12-31"}, "2025-12-31", "less than"},
		{Parameter{Type: Date, Min: "2026-01-01", Max: "2026-12-31"}, "2027-01-01", "more than"},
		{Parameter{Type: Date, Max: "2026-12-31"}, "2026-12-31", ""},
	} {
		if why := c.p.Check(c.value); (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s %.40q: %q, want %q", c.p.Type, c.value, why, c.why)
		}
	}
}

func TestWords(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := time.Date(2026, 3, 29, 1, 30, 0, 0, berlin) // clocks go forward half an hour later
	autumn := time.Date(2026, 10, 25, 12, 0, 0, 0, berlin)
	for _, c := range []struct {
		word string
		at   time.Time
		want string
	}{
		{"today", night, "2026-03-29"},
		{"yesterday", night, "2026-03-28"},
		{"today-7d", night, "2026-03-22"},
		{"yesterday+1d", night, "2026-03-29"},
		{"today-4w", night, "2026-03-01"},
		{"today-29d", night, "2026-02-28"},
		{"now", night, "2026-03-29T01:30:00+01:00"},
		{"now+1h", night, "2026-03-29T03:30:00+02:00"},
		{"now+1d", night, "2026-03-30T01:30:00+02:00"},
		{"now-90m", night, "2026-03-29T00:00:00+01:00"},
		{"now-30s", night, "2026-03-29T01:29:30+01:00"},
		{"now-1d", autumn, "2026-10-24T12:00:00+02:00"},
		{"now-24h", autumn, "2026-10-24T13:00:00+02:00"},
		{"today", time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC).In(berlin), "2027-01-01"},
	} {
		p := Parameter{Type: Date, Default: &c.word}
		got, why := p.DefaultAt(c.at)
		if got != c.want || why != "" || p.Check(got) != "" {
			t.Errorf("%s at %s is %q %s, want %s", c.word, c.at, got, why, c.want)
		}
	}
	for _, none := range []string{"tomorrow", "today-", "today-d", "today-7", "today -7d", "Today", "yesterday-1h", "now-1y", "now-1234567d", "today-7d-1d"} {
		if _, ok := readWord(none); ok {
			t.Errorf("%q is a word", none)
		}
	}
	far := "today-999999d"
	if _, why := (Parameter{Type: Date, Default: &far}).DefaultAt(night); why == "" {
		t.Error("a year before the first is resolved")
	}
	word := "today"
	if got, _ := (Parameter{Type: Text, Default: &word}).DefaultAt(night); got != word {
		t.Errorf("the text today is %s", got)
	}
}

// A day is a day of the calendar, in every zone and on every day.
func TestDaysAreOfTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "at"), 0).In(zone)
		n := rapid.IntRange(0, 5000).Draw(t, "days")
		value, why := word{name: "today", offset: -n, unit: "d"}.at(at)
		then, err := time.Parse(time.DateOnly, value)
		if err != nil || why != "" {
			t.Fatalf("%q %s: %v", value, why, err)
		}
		today, err := time.Parse(time.DateOnly, at.Format(time.DateOnly))
		if err != nil || today.Sub(then) != time.Duration(n)*24*time.Hour {
			t.Fatalf("%d days before %s is %s", n, at, value)
		}
	})
}

func TestResolve(t *testing.T) {
	d := mustParse(t, everything)
	at := time.Date(2026, 11, 27, 23, 30, 0, 0, time.UTC) // in Berlin it is the 28th
	got, err := d.Resolve(map[string]string{"NOTE": "", "SCALE": "2.50"}, at)
	want := map[string]string{"DAY": "2026-11-27", "SCALE": "2.50", "FORMAT": "pdf", "NOTE": ""}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got) %s", err, diff)
	}

	_, err = d.Resolve(map[string]string{"SCALE": "11", "FORMAT": "doc", "FROMAT": "x", "day": "2026-11-27", "PATH": "/tmp"}, at)
	var wrong *ValuesError
	if !errors.As(err, &wrong) {
		t.Fatalf("%v", err)
	}
	var names []string
	for _, one := range wrong.All {
		names = append(names, one.Parameter)
	}
	if diff := cmp.Diff([]string{"SCALE", "FORMAT", "NOTE", `"FROMAT"`, `"PATH"`, `"day"`}, names); diff != "" {
		t.Errorf("%v (-want +got) %s", err, diff)
	}
	for _, part := range []string{"NOTE: it must be given", "FORMAT: \"doc\" is none of the choices: pdf, html", "there is DAY, SCALE, FORMAT, NOTE"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

func TestAllValuesTogetherAreBounded(t *testing.T) {
	d := mustParse(t, "job: a\nscript: b\nparameters: [{name: A, type: text}, {name: B, type: text}, {name: C, type: text}, {name: D, type: text}, {name: E, type: text}]\n")
	given := map[string]string{"E": ""}
	for _, name := range []string{"A", "B", "C", "D"} {
		given[name] = strings.Repeat("x", MaxValueBytes)
	}
	if _, err := d.Resolve(given, time.Unix(0, 0)); err != nil {
		t.Error(err)
	}
	given["E"] = "x"
	if _, err := d.Resolve(given, time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "may have 131072 together") {
		t.Error(err)
	}
	if _, err := mustParse(t, "job: a\nscript: b\n").Resolve(map[string]string{"A": "1"}, time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "none at all") {
		t.Error(err)
	}
}

func TestReservedNames(t *testing.T) {
	for _, name := range strings.Fields("PATH LD_PRELOAD LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES BASH_ENV ENV PYTHONPATH PYTHONSTARTUP NODE_OPTIONS GIT_SSH_COMMAND STINT_RUN_ID HOME IFS PS4 PERL5LIB PERL5OPT RUBYOPT JAVA_TOOL_OPTIONS GLIBC_TUNABLES HTTP_PROXY SSL_CERT_FILE PIP_INDEX_URL TZ LC_ALL XDG_CONFIG_HOME") {
		if checkParameterName(name) == "" {
			t.Errorf("a parameter may be named %s", name)
		}
	}
	for _, name := range strings.Fields("DAY FORMAT SCALE GITHUB_SHA PATHS PY LDAP_URL ENVIRONMENT A1 X_") {
		if why := checkParameterName(name); why != "" {
			t.Errorf("a parameter may not be named %s: %s", name, why)
		}
	}
	for name, good := range map[string]bool{"PATH": true, "lower": true, "_A": true, "STINT_X": false, "A-B": false, "A=B": false, "": false, "É": false} {
		if (checkVariable(name) == "") != good {
			t.Errorf("env may have %q: %t, want %t", name, !good, good)
		}
	}
}

func TestDiff(t *testing.T) {
	before := mustParse(t, "job: a\ncommand: [python, a.py]\nenv: {A: 1, B: 2}\nlimits: {timeout: 2h}\nparameters: [{name: DAY, type: date, default: today}, {name: X, type: integer}]\n")
	after := mustParse(t, "job: a\ncommand: [python, b.py]\nenv: {A: 1, B: 3, C: ''}\nlimits: {timeout: 3h, memory: 1GiB}\nparameters: [{name: X, type: number}, {name: DAY, type: date, default: yesterday}]\npriority: high\n")
	got, err := Diff(before, after)
	want := []string{
		`command: ["python", "a.py"] → ["python", "b.py"]`,
		`env.B: "2" → "3"`,
		`env.C: added, ""`,
		`parameters.DAY.default: "today" → "yesterday"`,
		`parameters.X.type: integer → number`,
		`limits.memory: added, 1GiB`,
		`limits.timeout: 2h → 3h`,
		`priority: added, high`,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got) %s", err, diff)
	}
	got, err = Diff(mustParse(t, "job: a\nscript: |\n  a\n  b\n  c\n"), mustParse(t, "job: a\nscript: |\n  a\n  x\n  y\n  c\n"))
	if diff := cmp.Diff([]string{"script: 2 lines added, 1 removed"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got) %s", err, diff)
	}
	got, err = Diff(mustParse(t, "job: a\nscript: |\n  a\n  b\n"), mustParse(t, "job: a\ncommand: [c]\n"))
	if diff := cmp.Diff([]string{`command: added, ["c"]`, "script: removed, was 2 lines"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got) %s", err, diff)
	}
}

// Parameters in another order are another form on the page and another version, with no change in
// words but that of the order.
func TestOrderOfParametersIsContent(t *testing.T) {
	a := mustParse(t, "job: a\nscript: b\nparameters: [{name: A, type: text}, {name: B, type: text}]\n")
	b := mustParse(t, "job: a\nscript: b\nparameters: [{name: B, type: text}, {name: A, type: text}]\n")
	got, err := Diff(a, b)
	if diff := cmp.Diff([]string{"parameters: the order changed"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got) %s", err, diff)
	}
}
