package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// wrongTexts are wrong values of options of stint run that are texts or lists; for the other kinds see wrongValue. Every value
// of the options in anyText can be used.
var wrongTexts = map[string]string{
	"server": "localhost:7846", "token": "tök", "token-file": "/nowhere/at/all", "tls-ca": "/nowhere/at/all", "tls-cert": "/nowhere/at/all", "tls-key": "/nowhere/at/all",
	"report-to": "localhost:1/x", "job": "a/b", "install-cache": "lock", "cache-dir": "made", "dir": "/nowhere/at/all", "env": "NAME", "redact": "A=b", "no-redact": "A=b", "label": "foo",
	"stop-signal": "STOP", "containment": "docker", "oom-score-adj": "high", "overlap": "never", "host": strings.Repeat("n", 10_000), "run-id": "nightly",
}

var anyText = map[string]bool{"install": true, "script": true, "print-run": true}

// wrongValue returns a wrong value of an option; empty if there is none.
func wrongValue(o option.Option) string {
	switch o.Kind {
	case option.Duration:
		return "soon"
	case option.Size:
		return "plenty"
	case option.Number:
		return "many"
	case option.Switch:
		return "perhaps"
	}
	return wrongTexts[o.Name]
}

// configured runs a job with a configuration file and more variables of the environment.
func configured(t *testing.T, h *host, program, text string, env []string, args ...string) (got result, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "agent.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := h.command(program, append(append([]string{"run"}, args...), "--", "sh", "-c", "echo out; exit 3")...)
	cmd.Env = append(append(cmd.Env, "STINT_CONFIG="+file), env...)
	return finish(t, cmd), file
}

// ran checks that the job ran as without Stint, and that stderr is one line that begins with a place.
func ran(t *testing.T, got result, place string) {
	t.Helper()
	if got.code != 3 || got.stdout != "out\n" || strings.Count(got.stderr, "\n") != 1 || !strings.HasPrefix(got.stderr, "stint: "+place) {
		t.Errorf("%+v, want the job to run, and one line that begins with %q", got, place)
	}
}

// A typing error in any key of a configuration file keeps no job from running, and one in a value only where the value decides
// how the job runs. The same holds for values in the environment.
func TestTypingErrorsInConfiguration(t *testing.T) {
	s := startServer(t)
	for _, o := range agentcmd.RunRows() {
		if o.FlagOnly {
			continue
		}
		value := wrongValue(o)
		if value == "" && !anyText[o.Name] {
			t.Errorf("what is a wrong value of %s? Add it to the table of this test", o.Name)
		}
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			misspelt := o.Name[:1] + "q" + o.Name[1:]
			got, file := configured(t, h, stintAgent, misspelt+" = x\n", nil, "--server", s.url, "--job", "key-"+o.Name)
			ran(t, got, file+":1: there is no key")
			if o.InFiles() && !strings.Contains(got.stderr, "did you mean "+o.Name) {
				t.Errorf("it does not name %s: %s", o.Name, got.stderr)
			}
			noted(t, s, "key-"+o.Name, file+":1: there is no key")
			if value == "" {
				return
			}
			for _, from := range []string{"file", "environment"} {
				name := "value-" + o.Name + "-" + from
				args := []string{"--server", s.url, "--job", name}
				switch o.Name {
				case "server":
					args = args[2:]
				case "job": // else the flag takes precedence
					args = args[:2]
				}
				text, env, place := "# a line\n"+o.Name+" = "+value+"\n", []string(nil), ""
				if from == "environment" {
					text, env = "", []string{o.Env() + "=" + value}
				}
				got, file := configured(t, h, stintAgent, text, env, args...)
				if place = file + ":2: "; from == "environment" {
					place = o.Env() + ": "
				}
				if o.Effect == option.Shapes {
					if got.code != 2 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, strings.TrimSuffix(place, ": ")) {
						t.Errorf("%s: %+v, want exit code 2 and one line with %s", from, got, place)
					}
					continue
				}
				ran(t, got, place)
				if o.Effect == option.Connects && o.Name != "report-to" {
					if flushed := h.run("flush", "--server", s.url, "--any"); flushed.code != 0 || !strings.Contains(flushed.stdout, "delivered") {
						t.Errorf("flush: %+v", flushed)
					}
				}
				if o.Name == "job" {
					name = "sh"
				}
				noted(t, s, name, place)
			}
		})
	}
}

// noted checks that a note of the last run of a job begins with a place.
func noted(t *testing.T, s *server, name, place string) {
	t.Helper()
	r := s.ended(name + "#-1")
	if !strings.Contains("\n"+strings.Join(r.Notes, "\n"), "\n"+place) {
		t.Errorf("%s has the notes %q, want one that begins with %s", name, r.Notes, place)
	}
	if r.State != job.Failed || !r.Output.Complete {
		t.Errorf("the run is %+v", r)
	}
}

// Whatever a configuration file is, the job runs as without it, at once and with one line.
func TestConfigurationThatCannotBeRead(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 100<<20); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"missing": dir + "/none", "large": large, "fifo": fifo, "directory": dir, "endless": "/dev/zero", "loop": link, "below-a-file": large + "/x"} {
		h := newHost(t)
		cmd := h.command(stint, "run", "--server", s.url, "--job", name, "--", "sh", "-c", "echo out; exit 3")
		cmd.Env = append(cmd.Env, "STINT_CONFIG="+path)
		begun := time.Now()
		ran(t, finish(t, cmd), path+": ")
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
		noted(t, s, name, path+": ")
		// A command that is not for a job refuses it.
		cmd = h.command(stint, "runs", "--server", s.url)
		cmd.Env = append(cmd.Env, "STINT_CONFIG="+path)
		if got := finish(t, cmd); got.code != 2 || strings.Count(got.stderr, "\n") != 1 || !strings.HasPrefix(got.stderr, "stint: "+path+": ") {
			t.Errorf("stint runs, %s: %+v", name, got)
		}
	}
}

// The user's file and the tokens in files lead every command to the server; the job sees no token, and a job inside of it
// reads them too, but nothing else.
func TestConfigurationLeadsToTheServer(t *testing.T) {
	s := startServer(t, "--require-token")
	h, dir := newHost(t), t.TempDir()
	admin, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	create := h.command(stint, "token", "create", "--server", s.url, "--name", "hosts", "--scope", "agent", "--json")
	create.Env = append(create.Env, "STINT_TOKEN="+string(admin))
	var made struct{ Token string }
	if got := finish(t, create); json.Unmarshal([]byte(got.stdout), &made) != nil {
		t.Fatalf("make a token: %+v", got)
	}
	for name, text := range map[string]string{
		"stint/config": "\xef\xbb\xbf# of a user\r\nserver = " + s.url + "\r\ntoken-file = token\r\nlabel = team=data\r\nlabel = note=a # b\r\nenv = A=from the file\r\nquiet = no",
		"stint/token":  made.Token + "\n", "stint/admin": string(admin),
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	user := func(args ...string) result {
		cmd := h.command(stint, args...)
		cmd.Env = append(cmd.Env, "STINT_CONFIG=", "XDG_CONFIG_HOME="+dir)
		return finish(t, cmd)
	}
	got := user("run", "--job", "outer", "-c", `echo "$A"; cat `+dir+`/stint/token; env | grep -c stint_; A=own `+stint+` run --job inner -c 'echo "$A"'`)
	if got.code != 0 || got.stdout != "from the file\n[masked]\n0\nown\n" || got.stderr != "" {
		t.Errorf("%+v", got)
	}
	shownRun := func(ref string) job.Run {
		var r job.Run
		shown := user("show", ref, "--json", "--token-file", dir+"/stint/admin")
		if shown.code != 0 {
			t.Errorf("stint show: %+v", shown)
		}
		if err := json.Unmarshal([]byte(shown.stdout), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := shownRun("outer#1"); r.Labels["team"] != "data" || r.Labels["note"] != "a # b" || r.State != job.Succeeded {
		t.Errorf("the run is %+v", r)
	}
	if r := shownRun("inner#1"); r.Labels["team"] != "" || r.State != job.Succeeded {
		t.Errorf("the inner run is %+v", r)
	}
	// A flag takes precedence, and a list is replaced as a whole.
	if got := user("run", "--job", "flagged", "--label", "a=b", "--env", "A=flag", "-c", `echo "$A"`); got.stdout != "flag\n" || got.code != 0 {
		t.Errorf("%+v", got)
	}
	if r := shownRun("flagged#1"); fmt.Sprint(r.Labels) != "map[a:b]" {
		t.Errorf("labels %v", r.Labels)
	}
	if got := user("run", "--token", "stint_wrong", "--flush-timeout", "0s", "--", "true"); got.code != 0 || !strings.Contains(got.stderr, "waits at") {
		t.Errorf("with another token: %+v", got)
	}
	if got := user("flush"); got.code != 0 || !strings.Contains(got.stdout, "delivered") {
		t.Errorf("stint flush: %+v", got)
	}
	if err := os.Chmod(filepath.Join(dir, "stint", "token"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := user("run", "--", "true"); got.code != 0 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "other users can read the token in "+dir) {
		t.Errorf("with a token that others can read: %+v", got)
	}
}
