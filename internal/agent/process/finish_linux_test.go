package process

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

	"stint.dev/stint/internal/agent/filelock"
	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/watch"
)

// playFinish is the program that a watcher runs: it writes what it got to the file that its
// settings name.
func playFinish(args []string) int {
	settings, err := io.ReadAll(os.NewFile(4, "settings"))
	if err == nil && !slices.Contains(args, "--deliver-only") {
		_, err = watch.Sweep(args[len(args)-2], 3)
	}
	if err == nil && slices.Contains(args, "--lock") {
		err = syscall.Close(5)
	}
	if err == nil {
		err = os.WriteFile(string(settings), []byte(strings.Join(args, " ")), 0o644)
	}
	if err != nil {
		return 1
	}
	return 0
}

// playMortal is an agent that does one thing after the other at lines of its stdin, until it
// is killed.
func playMortal() int {
	if os.Getenv("STINT_TEST_PROTECT") != "" && Protect() != nil {
		return 1
	}
	var held *os.File
	if path := os.Getenv("STINT_TEST_HELD"); path != "" {
		var err error
		if held, err = os.OpenFile(path, os.O_RDWR, 0); err == nil {
			err = filelock.Exclusive(int(held.Fd()))
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	g, err := Contain(Options{
		Run: os.Getenv("STINT_TEST_RUN"), Attempt: 3, AtMost: os.Getenv("STINT_TEST_LEVEL"), Held: held,
		Finish: &watch.Finish{Settings: []byte(os.Getenv("STINT_TEST_FILE"))},
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := g.Start(Spec{Args: []string{"sh", "-c", "(setsid sleep 1000 &); exec sleep 1000"}, Env: []string{"PATH=" + os.Getenv("PATH")}}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("started")
	var word string
	for {
		if _, err := fmt.Scanln(&word); err != nil {
			return 0
		}
		switch word {
		case "let-live":
			g.LetLive()
		case "kill":
			err = g.Kill()
		case "close":
			err = g.Close()
		case "dismiss":
			g.Dismiss()
		}
		fmt.Println(word, err)
	}
}

type mortal struct {
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        io.Reader
	run, wrote string
}

func (m *mortal) do(t *testing.T, word string) {
	t.Helper()
	if _, err := io.WriteString(m.in, word+"\n"); err != nil {
		t.Fatal(err)
	}
	var printed, result string
	if _, err := fmt.Fscanln(m.out, &printed, &result); err != nil || printed != word || result != "<nil>" {
		t.Fatalf("%s: %s %s, %v", word, printed, result, err)
	}
}

func (m *mortal) die(t *testing.T) {
	t.Helper()
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.cmd.Wait() // killed, as was asked
}

// finished waits for what the program got.
func (m *mortal) finished(t *testing.T) string {
	t.Helper()
	await(t, "the program that finishes", func() bool {
		text, err := os.ReadFile(m.wrote)
		return err == nil && len(text) > 0
	})
	text, err := os.ReadFile(m.wrote)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func startMortal(t *testing.T, level string, uid uint32, env ...string) *mortal {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "stint-process-test") // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	copySelf(t, filepath.Join(dir, "agent"), 0o755)
	if err := os.Chown(dir, int(uid), int(uid)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &mortal{run: testRun(), wrote: filepath.Join(dir, "finished"), cmd: exec.Command(filepath.Join(dir, "agent"))}
	m.cmd.Dir = dir
	m.cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=mortal", "STINT_TEST_RUN="+m.run, "STINT_TEST_LEVEL="+level, "STINT_TEST_FILE="+m.wrote, "STINT_TEST_PROTECT=1")
	m.cmd.Env = append(m.cmd.Env, env...)
	if int(uid) != os.Getuid() {
		m.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if m.out, err = m.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill() // most are dead
		_ = m.cmd.Wait()
		_, _ = watch.Sweep(m.run, 3)
	})
	var printed string
	if _, err := fmt.Fscanln(m.out, &printed); err != nil || printed != "started" {
		t.Fatalf("printed %q, %v", printed, err)
	}
	await(t, "the watcher", func() bool { return watcherPID(m.run) > 0 })
	return m
}

func watcherPID(run string) (found int) {
	eachCommandLine(func(pid int, cmdline string) {
		if isWatcher(cmdline) && strings.Contains(cmdline, run) {
			found = pid
		}
	})
	return found
}

// users are those as whom the tests of a watcher run.
func users(t *testing.T) []uint32 {
	t.Helper()
	if os.Getuid() != 0 {
		return []uint32{uint32(os.Getuid())}
	}
	return []uint32{0, 65534}
}

// The watcher of an agent that dies ends the job's processes and then runs the agent's own
// program, also when its file is gone, at every level and for every user.
func TestWatcherFinishes(t *testing.T) {
	for _, uid := range users(t) {
		for _, level := range levels(t) {
			t.Run(fmt.Sprintf("%s as %d", level, uid), func(t *testing.T) {
				m := startMortal(t, level, uid)
				if err := os.Remove(m.cmd.Path); err != nil {
					t.Fatal(err)
				}
				m.die(t)
				got := m.finished(t)
				if !strings.HasPrefix(got, "finish-attempt --left ") || !strings.HasSuffix(got, " "+m.run+" 3") {
					t.Errorf("the program got %q", got)
				}
				if inGroup := uid == 0 && level != contain.LevelProcessGroup; inGroup != strings.Contains(got, " sleep\n") {
					t.Errorf("what was left: %q", got)
				}
				await(t, "nothing to be left", func() bool {
					left, err := watch.Survivors(m.run, 3, nil)
					return err == nil && len(left) == 0 && watcherPID(m.run) == 0
				})
			})
		}
	}
}

// A lock of an agent that dies is free when nothing of the attempt lives, and not before; no process of
// the job has it.
func TestWatcherHoldsTheLock(t *testing.T) {
	for _, level := range levels(t) {
		t.Run(level, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			lock, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			m := startMortal(t, level, uint32(os.Getuid()), "STINT_TEST_HELD="+path)
			left, err := watch.Survivors(m.run, 3, nil)
			if err != nil || len(left) == 0 {
				t.Fatalf("the job has %v, %v", left, err)
			}
			for _, p := range left {
				if list, err := exec.Command("ls", "-l", fmt.Sprintf("/proc/%d/fd", p.PID)).Output(); err != nil || strings.Contains(string(list), path) {
					t.Errorf("%s has the lock open: %s%v", p.Name, list, err)
				}
			}
			watcher := watcherPID(m.run)
			if err := syscall.Kill(watcher, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			m.die(t)
			if err := filelock.Shared(int(lock.Fd())); !errors.Is(err, filelock.ErrLocked) {
				t.Errorf("when the agent has died: %v", err)
			}
			if err := syscall.Kill(watcher, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			await(t, "the lock", func() bool { return filelock.Shared(int(lock.Fd())) == nil })
			if left, err := watch.Survivors(m.run, 3, nil); err != nil || len(left) != 0 {
				t.Errorf("the lock is free, and %v live: %v", left, err)
			}
			m.finished(t)
		})
	}
}

// Once the group is given back the watcher ends nothing, and still finishes; once it is
// dismissed it does nothing at all.
func TestWatcherAfterTheEnd(t *testing.T) {
	t.Run("over", func(t *testing.T) {
		m := startMortal(t, "", uint32(os.Getuid()))
		m.do(t, "let-live")
		m.do(t, "close")
		m.die(t)
		if got := m.finished(t); got != "finish-attempt --deliver-only "+m.run+" 3" {
			t.Errorf("the program got %q", got)
		}
		await(t, "the watcher to end", func() bool { return watcherPID(m.run) == 0 })
		left, err := watch.Survivors(m.run, 3, nil)
		if err != nil || len(left) != 1 || left[0].Name != "sleep" { // the other's agent has died
			t.Errorf("what was left on purpose: %v, %v", left, err)
		}
	})
	t.Run("dismissed", func(t *testing.T) {
		m := startMortal(t, "", uint32(os.Getuid()))
		m.do(t, "kill")
		m.do(t, "close")
		m.do(t, "dismiss")
		if pid := watcherPID(m.run); pid != 0 {
			t.Errorf("the watcher is there: pid %d", pid)
		}
		m.die(t)
		if text, err := os.ReadFile(m.wrote); err == nil {
			t.Errorf("the program got %q", text)
		}
	})
}

// While the agent lives nobody of its user can read the settings: neither in the agent nor
// in its watcher.
func TestSettingsOfTheWatcherAreClosed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a user of its own for the agent")
	}
	m := startMortal(t, contain.LevelProcessGroup, 65534)
	for who, pid := range map[string]int{"agent": m.cmd.Process.Pid, "watcher": watcherPID(m.run)} {
		inspect := exec.Command("sh", "-c", `p=/proc/$0; for f in $p/environ $p/mem $p/fd/3 $p/fd/4 $p/maps; do head -c 1 $f >/dev/null 2>&1 && echo "$f is open"; done; ls $p/fd 2>/dev/null; exit 0`, fmt.Sprint(pid))
		inspect.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := inspect.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v %s", who, err, out)
		}
	}
	m.die(t)
	m.finished(t)
}
