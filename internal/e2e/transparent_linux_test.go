package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// situation is a command and what is around it when it is run.
type situation struct {
	name string
	// by is a shell script that makes the surroundings and runs "$@": the command itself, or
	// stint run in front of it. Empty runs it directly.
	by      string
	command []string
	stdin   func(t *testing.T) *os.File // nil is /dev/null
	extra   int                         // this many more descriptors are open, from 3 on
	env     []string                    // besides the usual
	stderr  bool                        // compare it too
	needs   []string                    // programs without which there is nothing to compare
	cannot  func() string               // why this machine cannot do it; may be nil
	clean   func(string) string         // what is to be compared of stdout; nil is all
}

// sees is what came of a command.
type sees struct {
	stdout, stderr string
	code           int
}

// run runs the command of s in a directory of its own, with words in front of it.
func (s situation) run(t *testing.T, h *host, words ...string) sees {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	files := []*os.File{nil, nil, nil}
	open := func(name string, flags int) *os.File {
		f, err := os.OpenFile(name, flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	if s.stdin != nil {
		files[0] = s.stdin(t)
	} else {
		files[0] = open(os.DevNull, os.O_RDONLY)
	}
	files[1] = open(filepath.Join(out, "stdout"), os.O_CREATE|os.O_WRONLY)
	files[2] = open(filepath.Join(out, "stderr"), os.O_CREATE|os.O_WRONLY)
	for range s.extra {
		files = append(files, open(os.DevNull, os.O_RDONLY))
	}
	args := append(words, s.command...)
	if s.by != "" {
		args = append([]string{"sh", "-c", s.by, "sh"}, args...)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		t.Fatal(err)
	}
	// Not os/exec, which leaves out doubled names of the environment.
	p, err := os.StartProcess(path, args, &os.ProcAttr{Dir: dir, Env: append(h.environment(), s.env...), Files: files})
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(b), dir, "DIR")
	}
	code := state.ExitCode()
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		code = 128 + int(status.Signal()) // as a shell says it
	}
	got := sees{stdout: read("stdout"), stderr: read("stderr"), code: code}
	if s.clean != nil {
		got.stdout = s.clean(got.stdout)
	}
	var lines []string
	for _, line := range strings.SplitAfter(got.stderr, "\n") {
		if !strings.HasPrefix(line, "stint: ") {
			lines = append(lines, line)
		}
	}
	if got.stderr = ""; s.stderr {
		got.stderr = strings.Join(lines, "")
	}
	return got
}

// bothWays runs it bare and under stint run.
func (s situation) bothWays(t *testing.T, h *host, options ...string) (bare, under sees) {
	t.Helper()
	for _, name := range s.needs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("there is nothing to compare: %v", err)
		}
	}
	if s.cannot != nil {
		if why := s.cannot(); why != "" {
			t.Skip(why)
		}
	}
	words := append([]string{stintAgent, "run", "--server", "http://127.0.0.1:1", "--flush-timeout", "1ms"}, options...)
	return s.run(t, h), s.run(t, h, append(words, "--")...)
}

// in is a command for the shell.
func in(script string, args ...string) []string {
	return append([]string{"/bin/sh", "-c", script, "sh"}, args...)
}

func pipeOf(text string) func(*testing.T) *os.File {
	return func(t *testing.T) *os.File {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return r
	}
}

func socketOf(text string) func(*testing.T) *os.File {
	return func(t *testing.T) *os.File {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		r, w := os.NewFile(uintptr(pair[0]), "read"), os.NewFile(uintptr(pair[1]), "write")
		t.Cleanup(func() { r.Close() })
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return r
	}
}

// notBlocking is a pipe in the mode that some event loops give to their children.
func notBlocking(t *testing.T) *os.File {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[1])
	r := os.NewFile(uintptr(fds[0]), "pipe")
	t.Cleanup(func() { r.Close() })
	return r
}

// ownVariables leaves out of an environment what stint run adds.
func ownVariables(environ string) string {
	kept := slices.DeleteFunc(strings.Split(environ, "\x00"), func(kv string) bool {
		for _, name := range []string{"STINT_", "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "PWD="} {
			if strings.HasPrefix(kv, name) {
				return true
			}
		}
		return false
	})
	return strings.Join(kept, "\n")
}

func many(n int) []string {
	args := make([]string, n)
	for i := range args {
		args[i] = fmt.Sprintf("argument %d", i)
	}
	return args
}

const (
	limits   = `cat /proc/self/limits`
	signals  = `grep -E '^Sig(Ign|Blk):' /proc/self/status`
	ownFiles = `for fd in /proc/self/fd/*; do [ "$(readlink $fd)" = /dev/null ] && echo ${fd##*/}; done; ls /proc/self/fd | wc -l`
)

// equal are the situations in which a command sees the same with stint run in front of it.
var equal = []situation{
	{name: "stdin is a pipe", command: in(`stat -L -c %F /proc/self/fd/0; cat`), stdin: pipeOf("one\ntwo\n")},
	{name: "stdin is a socket", command: in(`stat -L -c %F /proc/self/fd/0; cat`), stdin: socketOf("one\ntwo\n")},
	{name: "stdin is /dev/null", command: in(`readlink /proc/self/fd/0; wc -c`)},
	{name: "stdin is a device", by: `"$@" </dev/zero`, command: in(`readlink /proc/self/fd/0; head -c 5 | od -c`)},
	{name: "stdin is a file at its offset", by: `seq 9 >f; { read x; "$@"; cat; } <f`, command: in(`readlink /proc/self/fd/0; dd bs=1 count=4 2>/dev/null`)},
	{name: "stdin is a here document", by: "\"$@\" <<E\ntext\nE\n", command: in(`cat`)},
	{name: "stdin does not block", command: in(`grep flags /proc/self/fdinfo/0`), stdin: notBlocking},
	{name: "the writer of stdin ends with its reader", by: `{ yes; echo $? >code; } | "$@"; cat code`, command: in(`head -n 1`)},

	{name: "descriptors 3 to 9", by: `echo x >f; exec 3<f 4>>f 5<>f 6</dev/null 9>g; exec "$@"`, command: in(`for i in 3 4 5 6 7 8 9; do echo "$i $(readlink /proc/self/fd/$i) $(grep flags /proc/self/fdinfo/$i 2>&1)"; done; cat <&3; ls /proc/self/fd | wc -l`)},
	{name: "no descriptor of the agent", command: in(`ls /proc/self/fd | wc -l`)},
	{name: "many descriptors", extra: 60, command: in(ownFiles)},
	{name: "a lock held through a descriptor", by: `exec 9>lock; flock 9; "$@"; exec 9>&-; flock -n lock echo free`, command: in(`flock -n lock echo free || echo held`), needs: []string{"flock"}},
	{name: "the jobserver of make", by: `printf 'all:\n\t+@$(JOB)\n' >Makefile; printf 'all:\n\t@echo "$(filter -j%% --jobserver%%,$(MAKEFLAGS))"\n' >inner; exec make -s -j2 JOB="$*"`, command: []string{"make", "-s", "-f", "inner"}, stderr: true, needs: []string{"make"}},

	{name: "directory that is reachable", by: `mkdir d; cd d; exec "$@"`, command: in(`echo "$PWD"; pwd -P`)},
	{name: "directory reached by a link", by: `mkdir d; ln -s d l; cd l; exec "$@"`, command: in(`echo "$PWD"; pwd; pwd -P`)},
	{name: "directory that is deleted", by: `mkdir d; cd d; rmdir ../d; exec "$@"`, command: in(`echo "$PWD"; stat -L -c %h /proc/self/cwd; ls -a`)},

	{name: "umask", by: `umask 027; exec "$@"`, command: in(`umask; touch f; stat -c %a f`)},
	{name: "nice", by: `exec nice -n 7 "$@"`, command: []string{"nice"}},
	{name: "IO priority", by: `exec ionice -c 3 "$@"`, command: []string{"ionice"}, needs: []string{"ionice"}},
	{name: "CPU affinity", by: `exec taskset -c 0 "$@"`, command: in(`grep Cpus_allowed_list /proc/self/status; nproc`), needs: []string{"taskset"}},
	{name: "scheduling policy", by: `exec chrt -b 0 "$@"`, command: in(`chrt -p $$ | sed 's/.*current//'`), needs: []string{"chrt"}},
	{name: "personality", by: `exec setarch -R "$@"`, command: in(`cat /proc/self/personality`), needs: []string{"setarch"}},
	{name: "limits as they are", command: in(limits)},
	{name: "NOFILE", by: `exec prlimit --nofile=64:128 "$@"`, command: in(limits), needs: []string{"prlimit"}},
	{name: "NOFILE at its hard limit", by: `exec prlimit --nofile=200:200 "$@"`, command: in(limits), needs: []string{"prlimit"}},
	{name: "CORE", by: `exec prlimit --core=0:4096 "$@"`, command: in(limits), needs: []string{"prlimit"}},
	{name: "STACK", by: `exec prlimit --stack=4194304:8388608 "$@"`, command: in(limits), needs: []string{"prlimit"}},
	{name: "FSIZE", by: `exec prlimit --fsize=1048576:2097152 "$@"`, command: in(limits), needs: []string{"prlimit"}},
	{name: "FSIZE that is exceeded", by: `prlimit --fsize=4096:4096 "$@"; stat -c %s big`, command: in(`head -c 10000 /dev/zero >big`), needs: []string{"prlimit"}},
	{name: "CPU", by: `exec prlimit --cpu=100:200 "$@"`, command: in(limits), needs: []string{"prlimit"}},
	{name: "NPROC", by: `exec prlimit --nproc=4000:5000 "$@"`, command: in(limits), needs: []string{"prlimit"}},

	{name: "locale", env: []string{"LC_ALL=C.UTF-8", "LANG=de_DE", "LANGUAGE=de:en"}, command: in(`locale 2>/dev/null; echo "$LANGUAGE"`)},
	{name: "time zone", env: []string{"TZ=Asia/Kathmandu"}, command: []string{"date", "-d", "@0", "+%F %T %z"}},
	{name: "environment", command: []string{"/bin/cat", "/proc/self/environ"}, env: []string{"B=2", "A=1", "EMPTY=", "LINES=a\nb", "WITH=x=y"}, clean: ownVariables},
	{name: "doubled names", command: []string{"/bin/cat", "/proc/self/environ"}, env: []string{"TWICE=1", "OTHER=x", "TWICE=2", "TWICE=3"}, clean: ownVariables},
	{name: "names that a shell does not know", command: []string{"/bin/cat", "/proc/self/environ"}, env: []string{"no equals sign", "with.dot=1", "with space=2", "=3"}, clean: ownVariables},
	{name: "bytes that are no UTF-8", command: []string{"/bin/cat", "/proc/self/environ"}, env: []string{"BYTES=\xff\xfe\x80", "N\xe4me=1"}, clean: ownVariables},
	{name: "20,000 arguments", command: in(`echo $#; printf '%s\n' "$@" | cksum`, many(20_000)...)},
	{name: "arguments that are no UTF-8", command: in(`printf '%s|' "$@" | od -c`, "\xff\xfe", "a\xe4", "", " ", "*", "--", "-x", "two\nlines")},
	{name: "options of the command", command: in(`printf '%s\n' "$@"`, "--server", "x", "-i", "--help", "-c")},

	{name: "no signal ignored", command: in(signals)},
	{name: "SIGINT ignored", by: `exec env --ignore-signal=INT "$@"`, command: in(signals)},
	{name: "SIGHUP ignored", by: `exec env --ignore-signal=HUP "$@"`, command: in(signals)},
	{name: "SIGQUIT ignored", by: `exec env --ignore-signal=QUIT "$@"`, command: in(signals)},
	{name: "SIGPIPE ignored", by: `exec env --ignore-signal=PIPE "$@"`, command: in(signals)},
	{name: "SIGTERM, SIGUSR1, SIGUSR2 and SIGALRM ignored", by: `exec env --ignore-signal=TERM,USR1,USR2,ALRM "$@"`, command: in(signals)},
	{name: "signals of job control ignored", by: `exec env --ignore-signal=TSTP,TTIN,TTOU "$@"`, command: in(signals)},
	{name: "real-time signals ignored", by: `exec env --ignore-signal=RTMIN,RTMAX "$@"`, command: in(signals)},
	{name: "ignored by nohup", by: `exec nohup "$@" 2>/dev/null`, command: in(signals)},
	{name: "ignored in the background", by: `"$@" & wait $!`, command: in(signals)},
	{name: "SIGUSR1 and SIGALRM blocked", by: `exec env --block-signal=USR1,ALRM "$@"`, command: in(signals)},
	{name: "signals that stop blocked", by: `exec env --block-signal=TERM,INT,HUP,QUIT,PIPE,CHLD,TSTP,RTMIN "$@"`, command: in(signals)},
	{name: "a pipe that breaks inside", command: in(`yes | head -n 1; echo done`)},

	{name: "supplementary groups", by: `exec setpriv --groups 12,34 "$@"`, command: []string{"id"}, needs: []string{"setpriv"}, cannot: onlyRoot},
	{name: "no_new_privs", by: `exec setpriv --no-new-privs "$@"`, command: in(`grep NoNewPrivs /proc/self/status`), needs: []string{"setpriv"}},
	{name: "capabilities", by: `exec setpriv --bounding-set -net_raw,-chown --inh-caps -all "$@"`, command: in(`grep ^Cap /proc/self/status`), needs: []string{"setpriv"}, cannot: onlyRoot},
	{name: "oom_score_adj", by: `echo 300 >/proc/self/oom_score_adj; exec "$@"`, command: in(`cat /proc/self/oom_score_adj`)},
	{name: "oom_score_adj as it is", command: in(`cat /proc/self/oom_score_adj`)},
	{name: "filter of core dumps", by: `echo 0x3f >/proc/self/coredump_filter; exec "$@"`, command: in(`cat /proc/self/coredump_filter`)},

	{name: "not found", by: `exec "$@"`, command: []string{"no-such-program"}},
	{name: "not found, with a slash", by: `exec "$@"`, command: []string{"./no-such-program"}},
	{name: "not executable", by: `echo echo >f; exec "$@"`, command: []string{"./f"}},
	{name: "a directory", by: `mkdir d; exec "$@"`, command: []string{"./d"}},
	{name: "no interpreter", by: `echo '#!/no/such' >f; chmod +x f; exec "$@"`, command: []string{"./f"}},
	{name: "no #! line", by: `echo 'echo "$0 $*"; exit 5' >f; chmod +x f; exec "$@"`, command: []string{"./f", "x", "y z"}},
	{name: "empty file", by: `: >f; chmod +x f; exec "$@"`, command: []string{"./f"}},
	{name: "no #! line, on the PATH", by: `echo 'echo "$0 $*"' >prog; chmod +x prog; PATH=$PATH: exec "$@"`, command: []string{"prog", "x"}},
	{name: "code 0", command: in(`exit 0`)},
	{name: "code 3", command: in(`exit 3`)},
	{name: "code 255", command: in(`exit 255`)},
	{name: "death by SIGSEGV", command: in(`kill -SEGV $$`)},
	{name: "death by SIGABRT", command: in(`kill -ABRT $$`)},
	{name: "death by SIGKILL", command: in(`kill -KILL $$`)},
	{name: "death by SIGTERM of its own", command: in(`kill -TERM $$`)},
	{name: "output of both streams", command: in(`echo out; echo err >&2; printf '\377\000\r'`), stderr: true},
}

func onlyRoot() string {
	if os.Getuid() != 0 {
		return "only root can do that"
	}
	return ""
}

// A command sees the same with stint run in front of it.
func TestCommandSeesTheSame(t *testing.T) {
	h := newHost(t)
	for _, s := range equal {
		t.Run(s.name, func(t *testing.T) {
			if bare, under := s.bothWays(t, h); bare != under {
				t.Errorf("bare:  %+v\nunder: %+v", bare, under)
			}
		})
	}
}

// different are the situations in which a command can notice stint run. Each is in the
// table of docs/running.md, under the words of docs.
var different = []struct {
	situation
	docs string
}{
	{situation{name: "stdin closed", by: `"$@" <&-`, command: in(`readlink /proc/self/fd/0 || echo closed`)}, "a stdin that is closed"},
	{situation{name: "stdout closed", by: `"$@" 2>&1 >&- | cat`, command: in(`readlink /proc/self/fd/1 >/dev/null && echo open >&2 || echo closed >&2`)}, "a stdout or stderr that is closed"},
	{situation{name: "stderr closed", by: `"$@" 2>&-`, command: in(`readlink /proc/self/fd/2 >/dev/null && echo open || echo closed`)}, "a stdout or stderr that is closed"},
	{situation{name: "stdout is a file", by: `"$@" >f; cat f`, command: in(`stat -L -c %F /proc/self/fd/1`)}, "stdout and stderr"},
	{situation{name: "stderr is a file", by: `"$@" 2>f; grep -v ^stint: f`, command: in(`stat -L -c %F /proc/self/fd/2 >&2`)}, "stdout and stderr"},
	{situation{name: "session", by: `export CALLER=$(cut -d' ' -f6 /proc/$$/stat); exec "$@"`, command: in(`[ $(cut -d' ' -f6 /proc/$$/stat) = $CALLER ] && echo same || echo another`)}, "session and process group"},
	{situation{name: "process group", by: `export CALLER=$(cut -d' ' -f5 /proc/$$/stat); exec "$@"`, command: in(`[ $(cut -d' ' -f5 /proc/$$/stat) = $CALLER ] && echo same || echo another`)}, "session and process group"},
	{situation{name: "PPID", by: `export CALLER=$$; "$@"`, command: in(`[ $PPID = $CALLER ] && echo same || echo another`)}, "`$PPID`"},
	{situation{name: "LISTEN_PID", by: `export LISTEN_PID=$$; exec "$@"`, command: in(`[ $LISTEN_PID = $$ ] && echo mine || echo not mine`)}, "`LISTEN_PID`"},
	{situation{name: "environment", command: in(`echo ${STINT_RUN_ID:+set}`)}, "`STINT_RUN_ID`"},
	{situation{name: "SIGCHLD ignored", by: `exec env --ignore-signal=CHLD "$@"`, command: []string{"grep", "^SigIgn:", "/proc/self/status"}}, "SIGCHLD"},
	{situation{name: "token", env: []string{"STINT_TOKEN=secret"}, command: in(`echo "$STINT_TOKEN"`)}, "`STINT_TOKEN`"},
	{situation{name: "notify socket", command: in(`echo ${NOTIFY_SOCKET:+set}`)}, "`NOTIFY_SOCKET`"},
}

// What differs, differs as the documentation says.
func TestCommandSeesAnotherThing(t *testing.T) {
	docs, err := os.ReadFile("../../docs/running.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(docs), "## What a job can notice\n")
	table, _, _ = strings.Cut(table, "\n## ")
	if !found {
		t.Fatal("docs/running.md has no section What a job can notice")
	}
	row := func(words string) bool {
		for _, line := range strings.Split(table, "\n") {
			if cells := strings.Split(line, "|"); len(cells) > 2 && strings.Contains(cells[1], words) {
				return true
			}
		}
		return false
	}
	h := newHost(t)
	for _, d := range different {
		t.Run(d.name, func(t *testing.T) {
			if bare, under := d.bothWays(t, h); bare == under {
				t.Errorf("both ways %+v", bare)
			}
			if !row(d.docs) {
				t.Errorf("the table of docs/running.md has no row for %s", d.docs)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		const ask = `{ true </dev/tty; } 2>/dev/null && echo terminal || echo none; [ -t 0 ] && echo typed || echo nothing typed`
		for i, want := range []string{"terminal\ntyped\n", "none\nnothing typed\n", "terminal\ntyped\n"} {
			words := [][]string{nil, {stintAgent, "run", "--server", "http://127.0.0.1:1", "--flush-timeout", "1ms", "--"}, {stintAgent, "run", "-it", "--server", "http://127.0.0.1:1", "--flush-timeout", "1ms", "--"}}[i]
			screen, tty := terminal(t)
			args := append(words, in(ask)...)
			cmd := h.command(args[0], args[1:]...)
			inTerminal(cmd, tty)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tty.Close()
			seen := watchScreen(screen)
			var exit *exec.ExitError
			if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			<-seen.done
			text := strings.ReplaceAll(seen.all(), "\r", "")
			if line, rest, _ := strings.Cut(text, "\n"); strings.HasPrefix(line, "stint: run sh ") { // says which run is made
				text = rest
			}
			if !strings.HasPrefix(text, want) {
				t.Errorf("%v: the screen shows %q, want %q first", args[:min(3, len(args))], text, want)
			}
		}
		for _, words := range []string{"controlling terminal", "a stdin that is a terminal"} {
			if !row(words) {
				t.Errorf("the table of docs/running.md has no row for %s", words)
			}
		}
	})
	if !row("order of stdout and stderr") {
		t.Error("the table of docs/running.md has no row for the order of the streams")
	}
}
