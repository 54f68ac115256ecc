package overlap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool/owner"
)

// TestMain makes the test's program also a process that takes the lock of a job: see playStart.
func TestMain(m *testing.M) {
	if mode := os.Getenv("STINT_TEST_OVERLAP"); mode != "" {
		os.Exit(playStart(Mode(mode)))
	}
	os.Exit(m.Run())
}

// playStart is a start in a process of its own: it prints "has it" or why it does not start, and
// has the lock until its stdin ends. It leaves a process behind, as a job may.
func playStart(mode Mode) int {
	g, err := Take(context.Background(), Config{
		Mode: mode, StateDir: os.Getenv("STINT_TEST_STATE"), Job: "nightly", Run: os.Getenv("STINT_TEST_RUN"),
		Host: testHost, Print: func(line string) { fmt.Println(line) }, Waits: func(string) { fmt.Println("waits") },
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv("STINT_TEST_DAEMON") != "" {
		pid, err := exec.Command("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").Output()
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Printf("daemon %s", pid)
	}
	if inner := os.Getenv("STINT_TEST_INNER"); inner != "" {
		cmd := exec.Command("sh", "-c", `"$0"; echo "code $?"`, os.Args[0])
		cmd.Env = append(os.Environ(), "STINT_TEST_INNER=", "STINT_TEST_RUN=inner", "STINT_TEST_OVERLAP="+inner)
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("has it")
	_, _ = io.Copy(io.Discard, os.Stdin)
	g.Follow(func(text string) { fmt.Println("note: " + text) })
	g.Attempted(false)
	fmt.Println("gave it back")
	return 0
}

var testHost = owner.Host{Name: "h", BootID: "b"}

// process is a start in a process of its own.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProcess(t *testing.T, mode Mode, state, run string, env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "STINT_TEST_OVERLAP="+string(mode), "STINT_TEST_STATE="+state, "STINT_TEST_RUN="+run)
	p.cmd.Env = append(p.cmd.Env, env...)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() }) // most have ended
	return p
}

// says waits for the next line of the process, which begins like this.
func (p *process) says(t *testing.T, want string) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if line = strings.TrimSpace(line); err != nil || !strings.HasPrefix(line, want) {
		t.Fatalf("the process says %q (%v), want %q", line, err, want)
	}
	return line
}

// end ends the process by itself.
func (p *process) end(t *testing.T) {
	t.Helper()
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
}

// kill kills the process with SIGKILL.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // killed, as was asked
}

func config(state string, mode Mode, run string) Config {
	return Config{Mode: mode, StateDir: state, Job: "nightly", Run: run, Host: testHost, Print: func(string) {}}
}

// files lists what is in the directory of the tickets.
func files(t *testing.T, state string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(state, "overlap"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// wantFree fails unless the job has no living ticket, and takes the lock to show it.
func wantFree(t *testing.T, state string) {
	t.Helper()
	g, err := Take(t.Context(), config(state, Skip, "free"))
	if err != nil || g.File() == nil {
		t.Fatalf("the lock is not free: %v", err)
	}
	g.Release()
	if got := files(t, state); !slices.Equal(got, []string{"lock"}) {
		t.Errorf("the directory has %v", got)
	}
}

// Of two starts at the same time the second is skipped, and the first notes it; the third starts.
func TestSkip(t *testing.T) {
	state := t.TempDir()
	first, err := Take(t.Context(), config(state, Skip, "first"))
	if err != nil || first.File() == nil {
		t.Fatal(err)
	}
	var notes []string
	first.Follow(func(text string) { notes = append(notes, text) })
	for range 2 {
		_, err = Take(t.Context(), config(state, Skip, "second"))
		var not *NotStartedError
		if !errors.As(err, &not) || not.Code != 75 || not.Die != 0 || !strings.HasPrefix(not.Text, "job nightly was not started (--overlap skip): run first has been running since ") {
			t.Fatalf("the second: %v", err)
		}
	}
	if g, err := Take(t.Context(), config(state, Allow, "allowed")); g != nil || err != nil {
		t.Errorf("with allow: %v", err)
	}
	other := config(state, Skip, "other")
	other.Job = "other"
	if g, err := Take(t.Context(), other); err != nil {
		t.Errorf("another job: %v", err)
	} else {
		g.Release()
	}
	first.Attempted(false)
	first.Release()
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "2 starts were skipped so far") || !strings.Contains(notes[0], fmt.Sprintf("(pid %d, user ", os.Getpid())) {
		t.Errorf("notes %q", notes)
	}
	wantFree(t, state)
}

// A run that goes on with another attempt keeps the lock. What is skipped between the attempts, and
// never noted because no other follows, is noted by the next run.
func TestAttempts(t *testing.T) {
	state := t.TempDir()
	g, err := Take(t.Context(), config(state, Skip, "first"))
	if err != nil {
		t.Fatal(err)
	}
	skip := func() {
		t.Helper()
		if _, err := Take(t.Context(), config(state, Skip, "second")); err == nil {
			t.Fatal("the second started")
		}
	}
	var notes [2][]string
	for i := range notes {
		g.Follow(func(text string) { notes[i] = append(notes[i], text) })
		g.Attempted(true)
		skip()
	}
	if len(notes[0]) != 0 || len(notes[1]) != 1 || !strings.HasPrefix(notes[1][0], "another start of the job was skipped at ") {
		t.Errorf("notes %q", notes)
	}
	g.Release()
	next, err := Take(t.Context(), config(state, Queue, "next"))
	if err != nil {
		t.Fatal(err)
	}
	var last []string
	next.Follow(func(text string) { last = append(last, text) })
	next.Attempted(false)
	if want := "before this run, 1 start was skipped because run first had the lock of the job, and not noted there"; !slices.Equal(last, []string{want}) {
		t.Errorf("the next run notes %q", last)
	}
	wantFree(t, state)
}

// When the process that has the lock is killed, the next one has it at once, whatever processes live on.
func TestKilledHolder(t *testing.T) {
	state := t.TempDir()
	holder := startProcess(t, Skip, state, "holder", "STINT_TEST_DAEMON=1")
	daemon, err := strconv.Atoi(strings.TrimPrefix(holder.says(t, "daemon "), "daemon "))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
			t.Errorf("the process that lives on: %v", err)
		}
	}()
	holder.says(t, "has it")
	skipped := startProcess(t, Skip, state, "skipped")
	if line := skipped.says(t, "job nightly was not started"); !strings.Contains(line, fmt.Sprintf("run holder has been running since %s", time.Now().Format("2006-"))) || !strings.HasSuffix(line, fmt.Sprintf("(pid %d)", holder.cmd.Process.Pid)) {
		t.Errorf("the second start says %q", line)
	}
	waiting := startProcess(t, Queue, state, "waiting")
	waiting.says(t, "waits")
	holder.kill(t)
	waiting.says(t, "has it")
	waiting.end(t)
	waiting.says(t, "note: before this run, 1 start was skipped because run holder had the lock")
	waiting.says(t, "note: the start waited ")
	waiting.says(t, "gave it back")
	wantFree(t, state)
}

// Those that wait get the lock in the order in which they came, also when some of them are killed.
func TestQueueIsFair(t *testing.T) {
	state := t.TempDir()
	holder := startProcess(t, Queue, state, "holder")
	holder.says(t, "has it")
	const most = 20
	var waiting []*process
	for i := range most {
		p := startProcess(t, Queue, state, fmt.Sprint(i))
		p.says(t, "waits")
		waiting = append(waiting, p)
	}
	if _, err := Take(t.Context(), config(state, Skip, "skipped")); err == nil {
		t.Error("a start with skip went before those that wait")
	}
	for _, i := range []int{0, 7, 8, 19} {
		waiting[i].kill(t)
	}
	var mu sync.Mutex
	var order []int
	var all sync.WaitGroup
	for i, p := range waiting {
		if i == 0 || i == 7 || i == 8 || i == 19 {
			continue
		}
		all.Go(func() {
			if line, err := p.out.ReadString('\n'); err != nil || line != "has it\n" {
				t.Errorf("%d says %q, %v", i, line, err)
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			p.in.Close()
		})
	}
	holder.end(t)
	all.Wait()
	if len(order) != most-4 || !slices.IsSorted(order) {
		t.Errorf("the order is %v", order)
	}
	for i, p := range waiting {
		if p.cmd.ProcessState == nil {
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
	}
	wantFree(t, state)
}

// A start that is skipped while the run with the lock ends is noted there, or is not skipped.
func TestSkipAtTheEnd(t *testing.T) {
	state := t.TempDir()
	for round := range 200 {
		g, err := Take(t.Context(), config(state, Skip, fmt.Sprint("run-", round)))
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		g.Follow(func(text string) { notes = append(notes, text) })
		skipped := make(chan bool)
		go func() {
			second, err := Take(t.Context(), config(state, Skip, "second"))
			second.Release()
			skipped <- err != nil
		}()
		g.Attempted(false)
		if was := <-skipped; was != (len(notes) == 1) {
			t.Fatalf("round %d: skipped %v, notes %q", round, was, notes)
		}
	}
	wantFree(t, state)
}

// A signal ends the wait, and the process dies of it; the ticket is gone.
func TestSignalEndsTheWait(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		state := t.TempDir()
		g, err := Take(t.Context(), config(state, Queue, "first"))
		if err != nil {
			t.Fatal(err)
		}
		c, in := config(state, Queue, "second"), make(chan os.Signal, 4)
		in <- syscall.SIGUSR1 // concerns nobody yet
		c.Signals, c.Waits = in, func(string) { in <- sig }
		_, err = Take(t.Context(), c)
		var not *NotStartedError
		if !errors.As(err, &not) || not.Code != 128+int(sig) || not.Die != sig || not.Text != "job nightly was not started: stopped while it waited for run first to end" {
			t.Errorf("%v: %+v", sig, err)
		}
		if n := len(files(t, state)); n != 2 {
			t.Errorf("%v: the directory has %v", sig, files(t, state))
		}
		g.Release()
		wantFree(t, state)
	}
}

// A signal of job control suspends a start that waits; it goes on waiting, and has its turn.
func TestSuspendedWait(t *testing.T) {
	state := t.TempDir()
	g, err := Take(t.Context(), config(state, Queue, "first"))
	if err != nil {
		t.Fatal(err)
	}
	c, in := config(state, Queue, "second"), make(chan os.Signal, 4)
	suspended := 0
	c.Signals, c.Waits = in, func(string) { in <- syscall.SIGTSTP }
	c.SuspendSelf = func(syscall.Signal) { suspended++; g.Release() }
	second, err := Take(t.Context(), c)
	if err != nil || suspended != 1 {
		t.Fatalf("suspended %d times: %v", suspended, err)
	}
	second.Release()
	wantFree(t, state)
}

// A start inside of the run that it would wait for is refused, however deep it is.
func TestInside(t *testing.T) {
	for _, inner := range []Mode{Skip, Queue} {
		state := t.TempDir()
		outer := startProcess(t, Queue, state, "outer", "STINT_TEST_INNER="+string(inner))
		if runtime.GOOS == "linux" {
			outer.says(t, fmt.Sprintf("--overlap %s: job nightly is started inside of its own run outer, which has the lock until it ends", inner))
			outer.says(t, "code 1")
		}
		outer.says(t, "has it")
		c := config(state, inner, "by environment")
		c.OuterRun = "outer"
		var not *NotStartedError
		if _, err := Take(t.Context(), c); !errors.As(err, &not) || not.Code != 2 {
			t.Errorf("%s: %v", inner, err)
		}
		outer.end(t)
		outer.says(t, "gave it back")
		wantFree(t, state)
	}
}

// Where the state directory cannot be used, the job starts and says so.
func TestUnguarded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"", file} {
		for _, mode := range []Mode{Skip, Queue} {
			var lines, notes []string
			c := config(state, mode, "run")
			c.Print = func(line string) { lines = append(lines, line) }
			g, err := Take(t.Context(), c)
			if err != nil || g.File() != nil {
				t.Fatalf("%q: %v", state, err)
			}
			g.Follow(func(text string) { notes = append(notes, text) })
			g.Attempted(false)
			g.Release()
			if len(lines) != 1 || !slices.Equal(lines, notes) || !strings.HasPrefix(lines[0], "the job starts without the lock of its name (--overlap "+string(mode)+"), and may run beside another one: ") {
				t.Errorf("%q: lines %q, notes %q", state, lines, notes)
			}
		}
	}
	var none *Guard
	none.Follow(nil)
	none.Attempted(false)
	none.Release()
}

// Files that nobody needs are removed, and those of others are not.
func TestSweep(t *testing.T) {
	state := t.TempDir()
	dir, err := openDirectory(state)
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-keptFor - time.Hour)
	put := func(name, text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(dir.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir.path(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	put("dead-1.1", `{"host":{"name":"h","boot_id":"b"}}`, time.Now())
	put("rebooted-1.1", `{"host":{"name":"h","boot_id":"before"}}`, time.Now())
	put("elsewhere-1.1", `{"host":{"name":"i","boot_id":"c"}}`, time.Now())
	put("long-ago-1.1", `{"host":{"name":"i","boot_id":"c"}}`, old)
	put("unreadable-1.1", "", time.Now())
	put("unreadable-old-1.1", "", old)
	put("recent-1.skips", "{}", time.Now())
	put("old-1.skips", "{}", old)
	put("stranger", "", old)
	other := config(state, Skip, "living")
	other.Job = "living"
	living, err := Take(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(living.File().Name(), old, old); err != nil {
		t.Fatal(err)
	}
	g, err := Take(t.Context(), config(state, Skip, "run"))
	if err != nil {
		t.Fatal(err)
	}
	g.Release()
	want := []string{"elsewhere-1.1", filepath.Base(living.File().Name()), "lock", "recent-1.skips", "stranger", "unreadable-1.1"}
	if got := files(t, state); !slices.Equal(got, want) {
		t.Errorf("the directory has %v, want %v", got, want)
	}
	living.Release()
}

// A ticket that a full disk has left without its content has its lock all the same.
func TestTicketWithoutContent(t *testing.T) {
	state := t.TempDir()
	g, err := Take(t.Context(), config(state, Skip, "first"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.File().Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(t.Context(), config(state, Skip, "second")); err == nil || err.Error() != "job nightly was not started (--overlap skip): another run is going on" {
		t.Errorf("the second: %v", err)
	}
	g.Release()
	next, err := Take(t.Context(), config(state, Skip, "third"))
	if err != nil {
		t.Fatal(err)
	}
	var notes []string
	next.Follow(func(text string) { notes = append(notes, text) })
	next.Attempted(false)
	if len(notes) != 1 {
		t.Errorf("notes %q", notes)
	}
	wantFree(t, state)
}

// A run that goes on notes what is skipped at its next tick, and writes its number where those who are skipped find
// it. What ends with it is its goroutine.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		g, err := Take(t.Context(), config(state, Skip, "first"))
		if err != nil {
			t.Fatal(err)
		}
		var notes []string
		g.Follow(func(text string) { notes = append(notes, text) })
		g.SetNumber(7)
		skip := func() string {
			t.Helper()
			_, err := Take(t.Context(), config(state, Skip, "second"))
			if err == nil {
				t.Fatal("the second started")
			}
			return err.Error()
		}
		tick := func() {
			<-time.After(notePeriod)
			synctest.Wait()
		}
		skip()
		tick()
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "another start of the job was skipped at ") {
			t.Errorf("notes %q", notes)
		}
		if text := skip(); !strings.Contains(text, ": run first (nightly#7) has been running since ") {
			t.Errorf("the second: %s", text)
		}
		for range 7 {
			skip()
		}
		tick()
		if len(notes) != 2 || !strings.HasPrefix(notes[1], "9 starts were skipped so far") {
			t.Errorf("notes %q", notes)
		}
		for range 2 {
			skip()
		}
		g.Attempted(false)
		if len(notes) != 3 || !strings.HasPrefix(notes[2], "11 starts were skipped so far") {
			t.Errorf("notes %q", notes)
		}
	})
}

// A queue that is full takes no more starts, and the run that goes on notes those that came in vain.
func TestFullQueue(t *testing.T) {
	state := t.TempDir()
	g, err := Take(t.Context(), config(state, Queue, "first"))
	if err != nil {
		t.Fatal(err)
	}
	dir, waiting := directory(filepath.Join(state, "overlap")), []*place{}
	for range mostWaiting {
		p := &place{Config: config(state, Queue, "waiting"), key: keyOf("nightly", testHost)}
		if ahead, err := p.arrive(time.Now()); err != nil || len(ahead) != len(waiting)+1 {
			t.Fatalf("%d ahead, %v", len(ahead), err)
		}
		waiting = append(waiting, p)
	}
	var not *NotStartedError
	if _, err := Take(t.Context(), config(state, Queue, "one too many")); !errors.As(err, &not) || not.Code != Skipped || !strings.Contains(not.Text, ": 100 starts of it wait already for run first, which has been running since ") {
		t.Errorf("one too many: %v", err)
	}
	for _, p := range waiting {
		if err := errors.Join(dir.giveBack(p.name, p.file), p.before.Close()); err != nil {
			t.Fatal(err)
		}
	}
	var notes []string
	g.Follow(func(text string) { notes = append(notes, text) })
	g.Attempted(false)
	if len(notes) != 1 {
		t.Errorf("notes %q", notes)
	}
	wantFree(t, state)
}
