package option

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

// lines is a source of values, each with the number of its line.
type lines []string

func (l lines) Settings(o Option) (values []Setting) {
	for i, line := range l {
		name, text, _ := strings.Cut(line, "=")
		if name != o.Name {
			continue
		}
		values = append(values, Setting{Text: text, Default: text == "", Place: fmt.Sprintf("file:%d: %s", i+1, name), File: "file"})
	}
	return values
}

func even(text string) error {
	if len(text)%2 != 0 {
		return errors.New("it is odd")
	}
	return nil
}

var checked = []Option{
	{Name: "server", Default: "http://here", Effect: Connects, Check: even},
	{Name: "label", Kind: List, Effect: Describes, Check: even},
	{Name: "period", Kind: Duration, Default: "5s", Effect: Describes},
	{Name: "env", Kind: List, Effect: Shapes, Check: even},
	{Name: "grace", Kind: Duration, Default: "10s", Effect: Shapes},
	{Name: "quiet", Kind: Switch, Effect: Shapes},
	{Name: "secret", NoFlag: true, Effect: Connects},
	{Name: "peer", Kind: List, Default: "http://here", Effect: Connects, Check: even},
}

func register(t *testing.T, args ...string) *Set {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	s := Register(fs, checked)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return s
}

// Each option is taken from the first source that has it, a list as a whole.
func TestPrecedence(t *testing.T) {
	env := Environment(func(name string) string {
		return map[string]string{"STINT_LABEL": "eeee\nef", "STINT_SECRET": "s"}[name]
	})
	user := lines{"label=user", "period=7s", "env=", "quiet=on"}
	host := lines{"label=ho", "label=st", "period=9s", "env=host", "server=http://host1", "quiet=off"}
	s := register(t, "--grace", "1m")
	if err := s.Resolve(env, user, host); err != nil {
		t.Fatal(err)
	}
	if got := s.List("label"); !slices.Equal(got, []string{"eeee", "ef"}) || s.Source("label") != "STINT_LABEL" || s.File("label") != "" {
		t.Errorf("label is %v from %s", got, s.Source("label"))
	}
	if s.Text("period") != "7s" || s.Source("period") != "file:2: period" || s.File("period") != "file" {
		t.Errorf("period is %s from %s", s.Text("period"), s.Source("period"))
	}
	if len(s.List("env")) != 0 || s.Given("env") || s.Source("env") != "file:3: env" {
		t.Errorf("an empty value is the default: %v from %s", s.List("env"), s.Source("env"))
	}
	if s.Text("server") != "http://host1" || !s.Given("server") || !s.On("quiet") || s.Text("secret") != "s" || s.Text("grace") != "1m" {
		t.Errorf("server %s, quiet %v, secret %q, grace %s", s.Text("server"), s.On("quiet"), s.Text("secret"), s.Text("grace"))
	}
	for _, c := range []struct {
		higher, lower string
	}{{"grace", "label"}, {"label", "period"}, {"period", "server"}, {"env", "server"}} {
		if !s.Outranks(c.higher, c.lower) || s.Outranks(c.lower, c.higher) {
			t.Errorf("%s does not outrank %s", c.higher, c.lower)
		}
	}
	if s.Outranks("period", "quiet") || s.Outranks("quiet", "period") {
		t.Error("values of one source outrank each other")
	}
}

// A list may have a default, which holds where nothing is given, or nothing that can be used.
func TestListWithADefault(t *testing.T) {
	for _, c := range []struct {
		args []string
		file lines
		want []string
	}{
		{nil, nil, []string{"http://here"}},
		{nil, lines{"peer="}, []string{"http://here"}},
		{nil, lines{"peer=aa", "peer=bb"}, []string{"aa", "bb"}},
		{[]string{"--peer", "cc"}, lines{"peer=aa", "peer=bb"}, []string{"cc"}},
		{[]string{"--peer", "odd", "--peer", "cc"}, nil, []string{"cc"}},
		{[]string{"--peer", "odd"}, nil, []string{"http://here"}},
	} {
		s := register(t, c.args...)
		s.Check(c.file)
		if got := s.List("peer"); !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: %q, want %q", c.args, c.file, got, c.want)
		}
	}
}

// Of wrong values only those of options that shape the job stop it, and those of flags that lead to no server.
func TestWrongValues(t *testing.T) {
	for _, c := range []struct {
		args    []string
		file    lines
		stops   string   // the error
		ignored []string // otherwise
	}{
		{nil, lines{"label=odd", "label=even", "period=soon"}, "", []string{"file:1: label: it is odd; it is left out", `file:3: period: "soon" is not a duration: write it like 90s, 5m, 2h or 1d; the default holds, 5s`}},
		{nil, lines{"server=odd"}, "", []string{"file:1: server: it is odd; the default holds, http://here"}},
		{nil, lines{"period=1s", "period=1s"}, "", []string{"file:2: period: it was given before, by file:1: remove one of the two; the default holds, 5s"}},
		{nil, lines{"grace=soon"}, `file:1: grace: "soon" is not`, nil},
		{nil, lines{"grace=1s", "grace=2s"}, "file:2: grace: it was given before, by file:1", nil},
		{nil, lines{"env=even", "env=odd"}, "file:2: env: it is odd", nil},
		{nil, lines{"quiet=perhaps"}, `file:1: quiet: "perhaps" is neither 1 nor 0`, nil},
		{[]string{"--period", "soon"}, nil, `--period: "soon"`, nil},
		{[]string{"--label", "odd"}, nil, "--label: it is odd", nil},
		{[]string{"--server", "odd"}, nil, "", []string{"--server: it is odd; the default holds, http://here"}},
		{[]string{"--grace", "1s"}, lines{"grace=soon"}, "", nil},
	} {
		s := register(t, c.args...)
		ignored, err := s.ResolveForJob(c.file)
		if c.stops != "" {
			var usage *UsageError
			if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), c.stops) {
				t.Errorf("%v %v: %v, want %s", c.args, c.file, err, c.stops)
			}
			continue
		}
		var got []string
		for _, w := range ignored {
			got = append(got, fmt.Sprintf("%v; %s", w, w.Instead()))
		}
		if err != nil || !slices.Equal(got, c.ignored) {
			t.Errorf("%v %v: %q, %v, want %q", c.args, c.file, got, err, c.ignored)
		}
		if len(ignored) > 0 {
			if err := register(t, c.args...).Resolve(c.file); err == nil || !strings.HasPrefix(err.Error(), ignored[0].Place) {
				t.Errorf("%v %v: other commands do not refuse it: %v", c.args, c.file, err)
			}
		}
		if o := ignored; len(o) > 0 && o[0].Option.Kind == Duration && (s.Duration("period").String() != "5s" || s.Given("period")) {
			t.Errorf("%v %v: the period is %s", c.args, c.file, s.Duration("period"))
		}
	}
}

// Whatever sources have, a value comes from the first of them, or is the default.
func TestPrecedenceOfAnySources(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		entry := rapid.SampledFrom([]string{"label=even", "label=no", "period=1s", "period=", "env=aa", "grace=3s", "server=ab"})
		var sources []Source
		var all []lines
		for range rapid.IntRange(0, 3).Draw(rt, "sources") {
			once := map[string]string{}
			for _, line := range rapid.SliceOf(entry).Draw(rt, "lines") {
				name, _, _ := strings.Cut(line, "=")
				once[name] = line
			}
			l := lines(slices.Sorted(maps.Values(once)))
			all, sources = append(all, l), append(sources, l)
		}
		s := register(t)
		if err := s.Resolve(sources...); err != nil {
			rt.Fatal(err)
		}
		for _, o := range checked {
			want, given := o.Default, false
			for _, l := range slices.Backward(all) {
				if values := l.Settings(o); len(values) > 0 {
					want, given = values[0].Text, !values[0].Default
					if !given {
						want = o.Default
					}
				}
			}
			got := s.Text(o.Name)
			if o.Kind == List {
				got = strings.Join(s.List(o.Name), ",")
			}
			if got != want || s.Given(o.Name) != given {
				rt.Fatalf("%s is %q (given: %v), want %q (%v), from %v", o.Name, got, s.Given(o.Name), want, given, all)
			}
		}
	})
}
