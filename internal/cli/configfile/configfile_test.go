package configfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
	"stint.dev/stint/internal/cli/option"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Line{
		"":                               nil,
		"a = b":                          {{1, "a", "b"}},
		"a=b\n":                          {{1, "a", "b"}},
		"  a\t=  b  ":                    {{1, "a", "b"}},
		"# a = b\n\n \t# c\na = # d\n":   {{4, "a", "# d"}},
		"label = a=b # c":                {{1, "label", "a=b # c"}},
		"\xef\xbb\xbfa = b\r\nc = d\r\n": {{1, "a", "b"}, {2, "c", "d"}},
		"a =\n":                          {{1, "a", ""}},
		"a = \"b\"":                      {{1, "a", `"b"`}},
		"a = caf\u00e9 \xff":             {{1, "a", "caf\u00e9 \xff"}},
	} {
		lines, wrong := Parse([]byte(text))
		if !reflect.DeepEqual(lines, want) || len(wrong) > 0 {
			t.Errorf("%q: %v, %v; want %v", text, lines, wrong, want)
		}
	}
	for text, want := range map[string]bad{
		"a = b\nquiet\n":   {2, "it is not key = value"},
		" = b":             {1, "there is no key before the ="},
		"a = \x00b\nc = d": {1, "it has a control character"},
		"a\rb = c":         {1, "it has a control character"},
	} {
		if _, wrong := Parse([]byte(text)); len(wrong) != 1 || wrong[0] != want {
			t.Errorf("%q: %v, want %v", text, wrong, want)
		}
	}
}

// What is written as lines is read as these lines, with other ends of lines and comments between them, too.
func TestParseOfWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text bytes.Buffer
		if rapid.Bool().Draw(t, "mark") {
			text.WriteString(byteOrderMark)
		}
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		var want []Line
		number := 0
		for range rapid.IntRange(0, 20).Draw(t, "lines") {
			number++
			if other := rapid.SampledFrom([]string{"", "#", " \t", "# a = b", "pair"}).Draw(t, "line"); other != "pair" {
				text.WriteString(other + end)
				continue
			}
			l := Line{number, rapid.StringMatching(`[a-z][a-z-]*`).Draw(t, "key"), rapid.StringMatching(`([!-~é#=][ -~é#=]*[!-~é#=])?`).Draw(t, "value")}
			want = append(want, l)
			blank := rapid.SampledFrom([]string{"", " ", "\t "}).Draw(t, "blank")
			text.WriteString(blank + l.Key + blank + "=" + blank + l.Value + blank + end)
		}
		got, wrong := Parse(text.Bytes())
		if !reflect.DeepEqual(got, want) || len(wrong) > 0 {
			t.Fatalf("%q: %v, %v; want %v", text.String(), got, wrong, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a = b", "# c\r\na=b", "\xef\xbb\xbf=", "\x00", strings.Repeat("=", 100_000)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines, wrong := Parse(text)
		most := bytes.Count(text, []byte("\n")) + 1
		if len(lines)+len(wrong) > most {
			t.Fatalf("%d lines and %d mistakes of %d lines", len(lines), len(wrong), most)
		}
		last := 0
		for _, l := range lines {
			if l.Number <= last || l.Number > most || l.Key == "" || strings.ContainsAny(l.Key, "=\n") || strings.ContainsAny(l.Value, "\n\x00") ||
				strings.Trim(l.Key, " \t\r") != l.Key || strings.Trim(l.Value, " \t\r") != l.Value {
				t.Fatalf("line %+v of %q", l, text)
			}
			last = l.Number
		}
	})
}

var rows = []option.Option{
	{Name: "server"},
	{Name: "token"},
	{Name: "heartbeat-period", Kind: option.Duration},
	{Name: "label", Kind: option.List},
	{Name: "timeout"},
	{Name: "every", FlagOnly: true},
	{Name: "run-id", NotInFiles: true},
	{Name: "tls-ca", HostFile: true},
}

func allRows() []option.Option { return rows }

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestPaths(t *testing.T) {
	for want, getenv := range map[string]func(string) string{
		"/h":                              environment(),
		"/home/a/.config/stint/config /h": environment("HOME", "/home/a"),
		"/x/stint/config /h":              environment("HOME", "/home/a", "XDG_CONFIG_HOME", "/x"),
		"/home/b/.config/stint/config /h": environment("HOME", "/home/b", "XDG_CONFIG_HOME", "x"),
		"conf":                            environment("HOME", "/home/a", "STINT_CONFIG", "conf"),
	} {
		var got []string
		for _, f := range Paths(getenv, "/h") {
			got = append(got, f.Path)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

// Values come from the file that takes precedence; files that are not there are no mistakes.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	user := write(t, dir, "stint/config", "label = u\nserver =\ntls-ca = ca.pem\n")
	host := write(t, dir, "agent.conf", "label = h\nlabel = i\nserver = http://h\ntimeout = 5s\nevery = 1d\nrun-id = 7\n")
	files := Paths(environment("XDG_CONFIG_HOME", dir), host)
	files.Read(time.Minute)
	wrong := files.Keep(allRows)
	if len(wrong) != 2 || wrong[0].Place != host+":5" || !strings.Contains(wrong[0].Why, "every belongs to one run") || !wrong[1].Key {
		t.Errorf("mistakes %v", wrong)
	}
	for _, c := range []struct {
		file int
		name string
		want string
	}{
		{0, "label", user + ":1: label u"},
		{1, "label", host + ":1: label h, " + host + ":2: label i"},
		{0, "server", user + ":2: server (default)"},
		{0, "timeout", ""},
		{0, "tls-ca", user + ":3: tls-ca " + filepath.Join(dir, "stint", "ca.pem")},
		{1, "every", ""},
	} {
		i := strings.Index("server token heartbeat-period label timeout every run-id tls-ca", c.name)
		o := rows[strings.Count("server token heartbeat-period label timeout every run-id tls-ca"[:i], " ")]
		var got []string
		for _, v := range files[c.file].Settings(o) {
			if v.Default {
				v.Text += "(default)"
			}
			got = append(got, v.Place+" "+v.Text)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s of %s: %v; want %s", c.name, files[c.file].Path, got, c.want)
		}
	}
	none := Paths(environment("XDG_CONFIG_HOME", filepath.Join(dir, "none")), filepath.Join(host, "below-a-file"))
	none.Read(time.Minute)
	if wrong := none.Keep(allRows); len(wrong) > 0 || !none[0].Missing || !none[1].Missing {
		t.Errorf("of files that are missing: %v", wrong)
	}
}

// What is no small regular file is refused, and never waited for.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := write(t, dir, "large", "")
	if err := os.Truncate(large, 100<<20); err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{
		fifo:                        "it is not a regular file",
		dir:                         "it is a directory",
		large:                       "it is larger than 64 KiB",
		"/dev/zero":                 "it is not a regular file",
		filepath.Join(dir, "none"):  "it cannot be read: no such file or directory",
		filepath.Join(large, "sub"): "it cannot be read: not a directory",
	} {
		files := Paths(environment("STINT_CONFIG", path), "/h")
		files.Read(time.Minute)
		if wrong := files.Keep(allRows); len(wrong) != 1 || wrong[0].Error() != path+": "+why || wrong[0].Key {
			t.Errorf("%s: %v, want %s", path, wrong, why)
		}
	}
	files := Paths(environment("STINT_CONFIG", os.DevNull), "/h")
	files.Read(time.Minute)
	if wrong := files.Keep(allRows); len(wrong) > 0 {
		t.Errorf("the null device: %v", wrong)
	}
}

// A key that is none is named with what may be meant, but not if it may be a secret.
func TestUnknownKeys(t *testing.T) {
	for key, want := range map[string]string{
		"heartbeat-perod":  `there is no key "heartbeat-perod"; did you mean heartbeat-period?`,
		"heartbeat_period": "the key is written heartbeat-period",
		"STINT_SERVER":     "the key is written server",
		"--timeout":        "the key is written timeout",
		"Label":            "the key is written label",
		"sevrer":           `there is no key "sevrer"; did you mean server?`,
		"colour":           `there is no key "colour"`,
		"evry":             `there is no key "evry"`,
		"run-id":           "run-id belongs to one run and is no key of a file",
		"export A":         "there is no such key",
		"c2VjcmV0":         "there is no such key",
	} {
		if got := unknown(key, byName(rows)); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// No message repeats what may be a secret in a line that is not understood.
func TestMistakesKeepSecrets(t *testing.T) {
	const secret = "stint_s3cret"
	for i, text := range []string{"token " + secret, secret, "token: " + secret, "tokne = " + secret, "= " + secret, "token = " + secret + "\x00"} {
		files := Files{{Path: "f"}}
		files[0].lines, files[0].wrong = Parse([]byte(text))
		wrong := files.Keep(allRows)
		if len(wrong) != 1 || strings.Contains(fmt.Sprint(wrong), secret) || !strings.HasPrefix(wrong[0].Error(), "f:1: ") {
			t.Errorf("%d: %v", i, wrong)
		}
	}
}
