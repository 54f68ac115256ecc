package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
	"stint.dev/stint/job"
)

// capture returns a console that writes to files, and what it wrote to stderr.
func capture(t *testing.T) (*Console, func() string) {
	t.Helper()
	f, err := os.Create(t.TempDir() + "/err")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &Console{In: f, Out: f, Err: f, Getenv: func(string) string { return "" }}, func() string {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"none":        {nil, ""},
		"plain":       {errors.New("it broke"), "stint: it broke\n"},
		"job's code":  {&ExitError{Code: 3}, ""},
		"could not":   {&ExitError{Code: 125, Err: errors.New("no dir")}, "stint: no dir\n"},
		"hostile":     {errors.New("a\x1b[31mred\nline"), `stint: a\x1b[31mred\nline` + "\n"},
		"closed pipe": {Broken(syscall.EPIPE), ""},
	} {
		t.Run(name, func(t *testing.T) {
			con, stderr := capture(t)
			if con.Report("stint", c.err); stderr() != c.says {
				t.Errorf("got %q, want %q", stderr(), c.says)
			}
		})
	}
}

func TestCleanLeavesOneSafeLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := rapid.String().Draw(rt, "text") + rapid.SampledFrom([]string{"", "\x1b]8;;x\a", "\u202e", "\u200b", "\r", "\xff"}).Draw(rt, "evil")
		out := Clean(in)
		if !utf8.ValidString(out) || strings.ContainsAny(out, "\x1b\r\n\a\u202e\u200b") {
			rt.Fatalf("%q became %q", in, out)
		}
	})
	for _, same := range []string{"plain", "naïve — ✓", "日本語", "a b"} {
		if Clean(same) != same {
			t.Errorf("%q became %q", same, Clean(same))
		}
	}
}

func TestColoursOnlyOnATerminal(t *testing.T) {
	con, _ := capture(t)
	if con.Colours(con.Out) || con.StyleFor(con.Out).Red("x") != "x" {
		t.Error("a file was written to in colour")
	}
	if got := (Style{on: true}).Red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
}

func TestEveryStateHasAShapeOfItsOwn(t *testing.T) {
	shapes := map[string]job.State{}
	for _, s := range job.States() {
		if !s.Terminal() {
			continue
		}
		shape := strings.Fields(StateCell(s, Style{}).Text)[0]
		if other, taken := shapes[shape]; taken {
			t.Errorf("%s and %s have the same shape", s, other)
		}
		shapes[shape] = s
	}
}

func TestProgressIsSilentOffATerminal(t *testing.T) {
	con, stderr := capture(t)
	p := con.Wait("waiting")
	p.Update("still waiting")
	p.Done()
	if stderr() != "" {
		t.Errorf("wrote %q", stderr())
	}
}

func TestStateDir(t *testing.T) {
	env := map[string]string{}
	con := &Console{Getenv: func(k string) string { return env[k] }}
	env["XDG_STATE_HOME"] = "/xdg"
	if dir, err := con.StateDir(); err != nil || dir != "/xdg/stint" {
		t.Errorf("got %s, %v", dir, err)
	}
	env["STINT_STATE"] = "/state"
	if dir, err := con.StateDir(); err != nil || dir != "/state" {
		t.Errorf("got %s, %v", dir, err)
	}
}

func TestWriteAllTellsRealTrouble(t *testing.T) {
	var exit *ExitError
	if err := WriteAll(brokenWriter{syscall.ENOSPC}, "x"); err == nil || errors.As(err, &exit) {
		t.Errorf("got %v, want the full disk", err)
	}
	if err := WriteAll(&bytes.Buffer{}, "x"); err != nil {
		t.Error(err)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// A terminal would interpret some characters that JSON allows in a text, and not show others.
func TestJSONHasNoInvisibleCharacters(t *testing.T) {
	c, printed := capture(t)
	text := "a\x1b]0;T\a\u009b31m\u007f \u202eb\u2066\u200b\u2028\U000e0041 \u00e9\U0001f600\n"
	if err := c.PrintJSON(map[string]string{"text": text}); err != nil {
		t.Fatal(err)
	}
	got := printed()
	if i := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && unsafe(r) }); i >= 0 {
		t.Errorf("%q has %q", got, got[i:])
	}
	if !strings.Contains(got, "\u00e9\U0001f600") {
		t.Errorf("%q does not show what can be shown", got)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(got), &back); err != nil || back["text"] != text {
		t.Errorf("%q means %q, %v; want %q", got, back["text"], err, text)
	}
}
