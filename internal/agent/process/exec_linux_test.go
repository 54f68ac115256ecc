package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// programs makes a directory of what may be executed, or not.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"a/folder", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put("here", `echo "here: $0 $*"; exit 3`, 0o755)
	put("a/plain", `echo "a: $0 $*"; exit 4`, 0o755)
	put("a/unready", `echo wrong`, 0o644)
	put("b/unready", `echo "b: $0 $*"; exit 5`, 0o755)
	put("a/broken", "#!/no/such/interpreter\n", 0o755)
	put("b/broken", "#!/bin/sh\n"+`echo "b: $0 $*"; exit 6`, 0o755)
	put("a/void", "", 0o755)
	put("b/folder", `echo "b: $0"`, 0o755)
	put("a/bare", "#!\necho bare", 0o755)
	put("a/marked", "\xef\xbb\xbfecho after a byte order mark; exit 7\nexit 8\n", 0o755)
	put("a/locked", `echo "locked: $0"`, 0o111)
	put("a/payload", "exit 9\n\x00\x01\x02", 0o755)
	put("a/foreign", foreignELF(), 0o755)
	put("a/windows.exe", "MZ\x90\x00\x03\x00", 0o755)
	put("a/binary", "\x00\x01\x02\x03", 0o755)
	put("file", "no directory", 0o644)
	return dir
}

type ran struct {
	out  string
	code int
}

// byStart is what comes of a program under Start.
func byStart(t *testing.T, args []string, dir string, env []string) ran {
	t.Helper()
	g, err := Contain(Options{Run: "0193c000-0000-7000-8000-0000000000e0", Attempt: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := g.Start(Spec{Args: args, Dir: dir, Env: env, Stdout: w})
	w.Close()
	if err != nil {
		var e *job.StartError
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		return ran{"", job.Classify(job.Ending{Kind: job.CommandStep, StartErr: e}).ProcessExitCode()}
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return ran{string(out), p.Exit().Code}
}

// byProgram is what comes of it under another program that executes it.
func byProgram(t *testing.T, args []string, dir string, env []string) ran {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ran{string(out), cmd.ProcessState.ExitCode()}
}

// What is executed, and with which code it fails, is as with env, nice and timeout.
func TestExecutedAsByOthers(t *testing.T) {
	if _, err := os.Stat("/usr/bin/timeout"); err != nil {
		t.Skipf("there is nothing to compare with: %v", err)
	}
	dir := programs(t)
	a, b := dir+"/a", dir+"/b"
	for _, c := range []struct {
		name string
		path string // PATH; "-" for none
		args []string
	}{
		{"no #! line", "/bin", []string{"./here", "one", "two words", ""}},
		{"no #! line, absolute", "/bin", []string{a + "/plain", "x"}},
		{"no #! line on the PATH", a, []string{"plain", "x"}},
		{"on a relative PATH", "a", []string{"plain", "x"}},
		{"empty PATH", "", []string{"here", "x"}},
		{"empty element first", ":/bin", []string{"here"}},
		{"empty element last", "/bin:", []string{"here"}},
		{"empty element in the middle", a + "::" + b, []string{"here"}},
		{"not in the directory without an empty element", a, []string{"here"}},
		{"no PATH", "-", []string{"sh", "-c", "exit 11"}},
		{"not executable, then one that is", a + ":" + b, []string{"unready", "x"}},
		{"not executable", a, []string{"unready"}},
		{"not executable, with a slash", a, []string{"./a/unready"}},
		{"a directory, then a file", a + ":" + b, []string{"folder"}},
		{"a directory", a, []string{"folder"}},
		{"a directory, with a slash", a, []string{"./a/folder"}},
		{"interpreter missing, then a good one", a + ":" + b, []string{"broken", "x"}},
		{"interpreter missing", a, []string{"broken"}},
		{"interpreter missing, with a slash", a, []string{"./a/broken"}},
		{"not found", a + ":" + b, []string{"nosuch"}},
		{"not found, with a slash", a, []string{"./nosuch"}},
		{"a file on the PATH that is no directory", dir + "/file:" + a, []string{"plain"}},
		{"a missing directory on the PATH", dir + "/gone:" + a, []string{"plain"}},
		{"empty file", a, []string{"void"}},
		{"empty file, with a slash", a, []string{"./a/void"}},
		{"#! and nothing", a, []string{"bare"}},
		{"byte order mark", a, []string{"marked"}},
		{"may not be read", a, []string{"locked"}},
		{"binary data behind the first line", a, []string{"payload"}},
		{"name with a dash", a, []string{"./-no-such"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := []string{"PATH=" + c.path}
			if c.path == "-" {
				env = []string{"NONE="}
			}
			got := byStart(t, c.args, dir, env)
			for _, wrapper := range [][]string{{"/usr/bin/env"}, {"/usr/bin/nice"}, {"/usr/bin/timeout", "60"}} {
				want := byProgram(t, append(wrapper, c.args...), dir, env)
				if got != want {
					t.Errorf("got %+v, with %s %+v", got, wrapper[0], want)
				}
			}
		})
	}
}

// Of a name that is there twice the first counts, as for getenv.
func TestDoubledPATH(t *testing.T) {
	dir := programs(t)
	env := []string{"PATH=" + dir + "/b", "PATH=" + dir + "/a"}
	if got, want := byStart(t, []string{"unready"}, dir, env), (ran{"b: " + dir + "/b/unready \n", 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// What is no text is not given to a shell: it ends as a shell would end it, with 126.
func TestBinaryFilesAreNotScripts(t *testing.T) {
	dir := programs(t)
	for _, name := range []string{"foreign", "windows.exe", "binary"} {
		if got, want := byStart(t, []string{"./a/" + name}, dir, os.Environ()), (ran{"", 126}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		bash, err := exec.LookPath("bash")
		if err != nil {
			t.Logf("there is no bash to compare with: %v", err)
			continue
		}
		if want := byProgram(t, []string{bash, "-c", "./a/" + name}, dir, os.Environ()); want.code != 126 {
			t.Errorf("%s: bash ends with %d", name, want.code)
		}
	}
}

// That a script ran through the shell is a note.
func TestScriptWithoutInterpreterIsNoted(t *testing.T) {
	dir := programs(t)
	g, err := Contain(Options{Run: "0193c000-0000-7000-8000-0000000000e1", Attempt: os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	p, err := g.Start(Spec{Args: []string{"./here"}, Dir: dir, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	if code := p.Exit().Code; code != 3 || !strings.Contains(strings.Join(g.Notes(), "\n"), "./here has no #! line; it runs through /bin/sh") {
		t.Errorf("exit code %d, notes %q", code, g.Notes())
	}
}
