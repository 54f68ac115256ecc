package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// otherUser is the user for commands that root would have too many rights for: nobody.
const otherUser = "65534"

// asOther returns words that run the command after them as another user, with variables in
// its environment, and a copy of stint that this user can run.
func asOther(t *testing.T, variables ...string) (words []string, program string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run a command as another user")
	}
	dir, err := os.MkdirTemp("", "stint-other-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program = filepath.Join(dir, "stint")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(stintAgent)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(otherUser)
	if err == nil {
		err = os.Chown(state, uid, uid)
	}
	if err != nil {
		t.Fatal(err)
	}
	words = append([]string{"setpriv", "--reuid", otherUser, "--regid", otherUser, "--clear-groups", "env"}, variables...)
	return append(words, "STINT_STATE="+state), program
}

// Without --dir a job stays in the directory in which it was started, whatever has become of
// the path to it, and so do install steps and further attempts.
func TestWorkingDirectoryStays(t *testing.T) {
	s := startServer(t)
	other, program := asOther(t, "STINT_TOKEN="+s.token("agent"))
	for _, c := range []struct {
		name, enter string
		words       []string
		program     string
		known       bool // the record has a path
		skip        func() string
	}{
		{name: "reachable", enter: `mkdir d; cd d`, program: stint, known: true},
		{name: "reached by a link", enter: `mkdir d; ln -s d l; cd l`, program: stint, known: true},
		{name: "below a closed parent", enter: `mkdir -p shut/d; chmod 777 shut/d; cd shut/d; chmod 700 ..`, words: other, program: program, known: true},
		{name: "renamed", enter: `mkdir d; cd d; mv ../d ../e`, program: stint, known: true},
		{name: "replaced by another", enter: `mkdir d; cd d; mv ../d ../e; mkdir ../d; touch ../d/wrong`, program: stint, known: true},
		{name: "deleted", enter: `mkdir d; cd d; rmdir ../d`, program: stint},
		{name: "not readable", enter: `mkdir d; cd d; chmod 311 .`, words: other, program: program, known: true},
		{name: "not searchable", enter: `mkdir d; cd d; chmod 0 .`, words: other, program: program, known: true},
		{name: "mounted over", enter: `mkdir d; cd d; mount -t tmpfs none "$PWD"; touch "$PWD/wrong"`, words: []string{"unshare", "-m"}, program: stint, known: true, skip: cannotUnshare},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.skip != nil {
				if why := c.skip(); why != "" {
					t.Skip(why)
				}
			}
			h := newHost(t)
			dir, err := os.MkdirTemp("", "stint-dir-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = exec.Command("rm", "-rf", dir).Run() })
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			// What identifies the directory whatever its path: its inode, as the kernel has it.
			const where = `stat -L -c %i /proc/self/cwd; echo "$PWD"`
			name := strings.ReplaceAll(c.name, " ", "-")
			run := append(append([]string{}, c.words...), c.program, "run", "--server", s.url, "--job", name)
			run = append(run, "--retries", "1", "--retry-backoff", "1ms", "--no-stdin",
				"--install", where, "-c", where+`; [ $STINT_ATTEMPT = 2 ]`)
			plain := append(append([]string{}, c.words...), "sh", "-c", where)
			both := func(words []string, enterBy []string) result {
				script := "set -e; cd " + dir + "; rm -rf d e l shut; " + c.enter + `; stat -L -c %i /proc/self/cwd; exec "$@"`
				args := append(append([]string{}, enterBy...), "sh", "-c", script, "sh")
				cmd := h.command("env", append(args, words...)...)
				return finish(t, cmd)
			}
			var before []string
			if len(c.words) > 0 && c.words[0] == "unshare" {
				before, run, plain = c.words, run[len(c.words):], plain[len(c.words):]
			}
			want := both(plain, before)
			got := both(run, before)
			lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
			wantLines := strings.Split(strings.TrimSuffix(want.stdout, "\n"), "\n")
			if got.code != 0 || want.code != 0 || len(lines) != 9 || len(wantLines) != 3 {
				t.Fatalf("stint run: %+v; plain: %+v", got, want)
			}
			for i := 1; i < len(lines); i += 2 {
				if lines[i] != lines[0] || lines[i+1] != wantLines[2] {
					t.Errorf("step %d: inode %s, PWD %s; want %s, %s", i/2, lines[i], lines[i+1], lines[0], wantLines[2])
				}
			}
			r := s.ended(name + "#1")
			noted := strings.Contains(strings.Join(r.Notes, "\n"), "the path of the working directory is not known")
			if noted == c.known {
				t.Errorf("the run's notes say that the path is not known: %v; notes %q", noted, r.Notes)
			}
		})
	}
}

// cannotUnshare says why no mount namespace can be made here; empty if one can.
func cannotUnshare() string {
	if out, err := exec.Command("unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt").CombinedOutput(); err != nil {
		return "no mount namespace can be made: " + string(out)
	}
	return ""
}
