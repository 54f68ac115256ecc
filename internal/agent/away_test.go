package agent

import (
	"bytes"
	"context"
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
	"time"

	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestServerAwayFromBeginningToEnd(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, messages := config(t, s, "echo kept; exit 4")
	begun := time.Now()
	got := Run(t.Context(), c)
	if got.ExitCode != 4 || got.Complete || got.WaitsAt == "" || time.Since(begun) > 3*time.Second {
		t.Fatalf("result %+v after %s", got, time.Since(begun))
	}
	if text := messages.text(); strings.Count(text, "\n") != 0 || !strings.Contains(text, got.WaitsAt) || !strings.Contains(text, "stint flush") {
		t.Errorf("messages %q", text)
	}
	if strings.Contains(readAll(t, filepath.Join(got.WaitsAt, "meta.json")), "pw") {
		t.Error("the spool holds a password")
	}
	s.set(func() { s.before = nil })
	report, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL, Host: owner.Host{Name: "here", BootID: "boot"}})
	if err != nil || len(report.Journals) != 1 || !report.Journals[0].Delivered || report.Journals[0].Unfinished {
		t.Fatalf("flush %+v, error %v", report, err)
	}
	v := s.read(t, testRun)
	if string(v.output[streamKey{0, job.Stdout}]) != "kept\n" || *v.final.Outcome.ExitCode != 4 || v.finalAt.After(time.Now()) || v.finalAt.Before(begun) {
		t.Errorf("journal %+v", v)
	}
	if again, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s}); err != nil || len(again.Journals) != 0 {
		t.Errorf("a second flush found %+v, error %v", again, err)
	}
}

// goneServer answers no request.
type goneServer struct{ attemptsServer }

func (goneServer) Beat(context.Context, string, int, job.Heartbeat) (job.HeartbeatReply, error) {
	return job.HeartbeatReply{}, errAway
}

// Each attempt says where its journal waits, and only the first why.
func TestWhyAttemptsWaitIsSaidOnce(t *testing.T) {
	s, c, messages := retrying(t, "exit 7", retry.Policy{Most: 2, Backoff: time.Millisecond})
	s.before = func(int, int64, []byte) error { return errAway }
	c.Server = goneServer{s}
	if got := Supervise(t.Context(), c); got.ExitCode != 7 {
		t.Fatalf("result %+v", got)
	}
	text := messages.text()
	if strings.Count(text, "waits at") != 3 || strings.Count(text, errAway.Error()) != 1 {
		t.Errorf("printed %s", text)
	}
}

// While a job runs, its agent delivers what waits on this host, the oldest first.
func TestNextRunDeliversWhatWaits(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ := config(t, s, "echo waited")
	waiting := []string{"01890a5d-ac96-774b-bcce-b302099a8051", "01890a5d-ac96-774b-bcce-b302099a8052", "01890a5d-ac96-774b-bcce-b302099a8053"}
	for _, run := range []int{2, 0, 1} {
		c.Run = waiting[run]
		Run(t.Context(), c)
	}
	s.set(func() { s.before = nil })
	next := c
	next.Run, next.Args = testRun, []string{"cat"}
	stdin, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	next.Stdin = stdin
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), next) }()
	s.wait(t, func() bool { return bytes.Contains(s.journals[waiting[2]], []byte(`"reason":"exit_code"`)) })
	_ = end.Close()
	if got := result(t, done); !got.Complete {
		t.Fatalf("result %+v", got)
	}
	for _, run := range waiting {
		if v := s.read(t, run); v.final == nil || string(v.output[streamKey{0, job.Stdout}]) != "waited\n" {
			t.Errorf("journal of run %s %+v", run, v)
		}
	}
	s.set(func() {
		got := slices.DeleteFunc(slices.Clone(s.created), func(run string) bool { return run == testRun })
		if !slices.Equal(got, waiting) {
			t.Errorf("delivered in the order %v", got)
		}
	})
}

// The end of a job does not wait for the journals of others, however long they take.
func TestEndDoesNotWaitForOthers(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ := config(t, s, "echo waited")
	Run(t.Context(), c)
	s.set(func() { s.before = nil })
	stuck := &stuckServer{memoryServer: s, run: testRun, asked: make(chan struct{})}
	c.Run, c.Server = "01890a5d-ac96-774b-bcce-b302099a8058", stuck
	done := make(chan Result, 1)
	c.Args = []string{"cat"}
	stdin, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	c.Stdin = stdin
	go func() { done <- Run(t.Context(), c) }()
	<-stuck.asked // the other's journal is on its way, and will never arrive
	_ = end.Close()
	if got := result(t, done); !got.Complete {
		t.Errorf("result %+v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(c.StateDir, "spool", testRun+".1", "journal")); len(left) != 1 {
		t.Errorf("the journal that was not delivered is gone")
	}
}

// stuckServer never answers for one run.
type stuckServer struct {
	*memoryServer
	run   string
	asked chan struct{}
}

func (s *stuckServer) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	if run == s.run {
		close(s.asked)
		<-ctx.Done()
		return job.AppendReply{}, ctx.Err()
	}
	return s.memoryServer.Append(ctx, run, attempt, offset, data)
}

func TestFlushLeavesAloneWhatIsMeantForOthers(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ := config(t, s, "true")
	Run(t.Context(), c)
	s.set(func() { s.before = nil })
	f := flush.Config{StateDir: c.StateDir, Server: s, ServerURL: "https://elsewhere"}
	report, err := flush.Run(t.Context(), f)
	if err != nil || len(report.Journals) != 1 || report.Journals[0].Skipped == "" || len(s.journals) != 0 {
		t.Fatalf("flush %+v, error %v", report, err)
	}
	f.Any = true
	if report, err = flush.Run(t.Context(), f); err != nil || !report.Journals[0].Delivered {
		t.Fatalf("flush of any %+v, error %v", report, err)
	}
}

func TestRefusedJournalIsKeptAndMarked(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error {
		return &job.Problem{Type: job.ProblemJournalRefused, Status: 422, Detail: "byte 7 is corrupt"}
	}
	c, messages := config(t, s, "echo a; sleep 0.3; echo b")
	got := Run(t.Context(), c)
	if got.ExitCode != 0 || got.WaitsAt == "" || s.appends != 1 {
		t.Errorf("result %+v, %d appends", got, s.appends)
	}
	if text := messages.text(); strings.Count(text, "\n") != 0 || !strings.Contains(text, "byte 7 is corrupt") || !strings.Contains(text, got.WaitsAt) {
		t.Errorf("printed %q", text)
	}
	report, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL})
	if err != nil || report.Journals[0].Skipped != flush.Refused || !strings.Contains(report.Journals[0].Refusal, "byte 7") {
		t.Errorf("flush %+v, error %v", report, err)
	}
}

// The token is wrong or may not write: the journal is neither marked nor waited for, and goes
// out with the right token.
func TestJournalWaitsForTheRightToken(t *testing.T) {
	for status, kind := range map[int]string{401: job.ProblemUnauthorized, 403: job.ProblemForbidden} {
		s := newMemoryServer()
		s.before = func(int, int64, []byte) error {
			return &job.Problem{Type: kind, Status: status, Detail: "this token will not do"}
		}
		c, messages := config(t, s, "echo a")
		begun := time.Now()
		got := Run(t.Context(), c)
		if got.ExitCode != 0 || got.WaitsAt == "" || time.Since(begun) > 10*time.Second {
			t.Errorf("%d: result %+v after %s", status, got, time.Since(begun))
		}
		if text := messages.text(); strings.Count(text, "this token will not do") != 1 || strings.Count(text, "until the next stint run") != 1 || strings.Count(text, "\n") != 1 {
			t.Errorf("%d: printed %q", status, text)
		}
		f := flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL}
		if report, err := flush.Run(t.Context(), f); err != nil || report.Journals[0].Err == nil {
			t.Errorf("%d: flush with the wrong token %+v, error %v", status, report, err)
		}
		s.set(func() { s.before = nil })
		if report, err := flush.Run(t.Context(), f); err != nil || !report.Journals[0].Delivered {
			t.Errorf("%d: flush %+v, error %v", status, report, err)
		}
	}
}

// The run was deleted on the server: its journal goes too, here and in a flush, with one line.
func TestJournalOfADeletedRunIsRemoved(t *testing.T) {
	deleted := func(int, int64, []byte) error {
		return &job.Problem{Type: job.ProblemRunDeleted, Status: 410, Detail: "deleted"}
	}
	s := newMemoryServer()
	s.before = deleted
	c, messages := config(t, s, "echo a; exit 3")
	got := Run(t.Context(), c)
	left, _ := filepath.Glob(filepath.Join(c.StateDir, "spool", "*"))
	if text := messages.text(); got.ExitCode != 3 || got.Complete || got.WaitsAt != "" || len(left) > 0 || strings.Count(text, "\n") != 0 || !strings.Contains(text, "was deleted on the server") {
		t.Errorf("result %+v, left %v, printed %q", got, left, text)
	}
	s = newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ = config(t, s, "echo a")
	Run(t.Context(), c)
	s.set(func() { s.before = deleted })
	report, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL})
	left, _ = filepath.Glob(filepath.Join(c.StateDir, "spool", "*"))
	if err != nil || len(report.Journals) != 1 || !report.Journals[0].Deleted || report.Journals[0].Err != nil || len(left) > 0 {
		t.Errorf("flush %+v, error %v, left %v", report, err, left)
	}
}

func TestServerAheadOfTheJournal(t *testing.T) {
	s := newMemoryServer()
	size := int64(1 << 40)
	s.before = func(n int, _ int64, _ []byte) error {
		if n == 1 {
			return errAway
		}
		return &job.Problem{Type: job.ProblemWrongOffset, Status: 409, Size: &size}
	}
	c, messages := config(t, s, "sleep 0.5")
	got := Run(t.Context(), c)
	if got.WaitsAt == "" || !strings.Contains(messages.text(), "already has") {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
}

func TestKilledAgentsJournalIsCompleted(t *testing.T) {
	for _, tc := range []struct {
		name, boot string
		reason     job.Reason
	}{
		{"agent died", "boot-1", job.AgentLost},
		{"host rebooted", "boot-2", job.HostRebooted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			state := t.TempDir()
			cmd := exec.Command(os.Args[0], "agent", state, "echo ready; exec sleep 60")
			cmd.Env = append(os.Environ(), "AGENT_TEST_CHILD=agent", "TEST_BOOT=boot-1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
				t.Fatal(err)
			}
			s := newMemoryServer()
			f := flush.Config{StateDir: state, Server: s, Host: owner.Host{Name: "here", BootID: tc.boot}, Any: true}
			if report, err := flush.Run(t.Context(), f); err != nil || report.Journals[0].Skipped == "" {
				t.Errorf("flush beside the living agent: %+v, error %v", report, err)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			tear(t, state)
			report, err := flushWhenFree(t, f)
			if err != nil || !report.Journals[0].Unfinished || !report.Journals[0].Delivered {
				t.Fatalf("flush %+v, error %v", report, err)
			}
			v := s.read(t, testRun)
			if v.final.Outcome.Reason != tc.reason || len(v.ended) != 1 || string(v.output[streamKey{0, job.Stdout}]) != "ready\n" {
				t.Errorf("outcome %+v, ended %+v, output %v", v.final.Outcome, v.ended, v.output)
			}
		})
	}
}

// tear leaves half a record at the end of the one journal in a spool.
func tear(t *testing.T, state string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "spool", "*", "journal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("journals %v, error %v", files, err)
	}
	f, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rec := journal.AppendRecord(nil, journal.OutputRecord(time.Now(), journal.Output{Stream: job.Stdout, Data: []byte("torn")}))
	if _, err := f.Write(rec[:len(rec)-2]); err != nil {
		t.Fatal(err)
	}
}

func TestStateDirectoryThatCannotBeUsed(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "echo in memory")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.StateDir = file
	got := Run(t.Context(), c)
	if got.ExitCode != 0 || !got.Complete || strings.Count(messages.text(), "held in memory") != 1 {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; string(out) != "in memory\n" {
		t.Errorf("stdout %q", out)
	}
}

// Where no server answers either, the end waits for no longer than elsewhere, and one line says that
// the record is lost.
func TestRecordInMemoryWithoutAServer(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, messages := config(t, s, "exit 3")
	c.FlushTimeout = time.Hour
	c.StateDir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(c.StateDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := Run(t.Context(), c)
	if got.ExitCode != 3 || got.Complete || got.WaitsAt != "" {
		t.Errorf("result %+v", got)
	}
	if text := messages.text(); strings.Count(text, "the record of run "+testRun+" is lost") != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("messages %q, want two lines: one at the start, and one that the record is lost", text)
	}
}

// A state directory in which others could change things is left alone; the job runs all the
// same, and its record reaches the server.
func TestStateDirectoryOfOthers(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "echo in memory")
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(c.StateDir, "spool")); err != nil {
		t.Fatal(err)
	}
	got := Run(t.Context(), c)
	if got.ExitCode != 0 || !got.Complete || strings.Count(messages.text(), "held in memory") != 1 || !strings.Contains(messages.text(), "is a symbolic link; set STINT_STATE to") {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; string(out) != "in memory\n" {
		t.Errorf("stdout %q", out)
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("written through the link: %v %v", left, err)
	}
}

func TestRunIDUsedBefore(t *testing.T) {
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ := config(t, s, "true")
	Run(t.Context(), c)
	if got := Run(t.Context(), c); got.ExitCode != 125 || !errors.Is(got.Err, owner.ErrExists) {
		t.Errorf("result %+v", got)
	}
}

func TestPassedOnExactlyAndInTime(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "printf 'a\\r\\377'; printf err >&2")
	c.Quiet = false
	outR, outW, errR, errW := pipes(t)
	c.Stdout, c.Stderr = outW, errW
	Run(t.Context(), c)
	_ = outW.Close()
	_ = errW.Close()
	out, _ := io.ReadAll(outR)
	errs, _ := io.ReadAll(errR)
	if string(out) != "a\r\377" || string(errs) != "err" {
		t.Errorf("passed on %q and %q", out, errs)
	}
}

func TestIgnoredReaderThatGoesAway(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "")
	c.Args, c.Env = child("random", "4"), append(c.Env, "AGENT_TEST_CHILD=random")
	c.Quiet, c.IgnoreClosedOutput = false, true
	outR, outW, _, errW := pipes(t)
	c.Stdout, c.Stderr = outW, errW
	outR.Close()
	if got := Run(t.Context(), c); got.ExitCode != 0 || !got.Complete || got.Dropped {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; !bytes.Equal(out, randomBytes(4<<20)) {
		t.Errorf("%d bytes on the server", len(out))
	}
}

// A reader that pauses holds up neither the job nor its delivery; the agent waits for it, and
// it gets everything when it goes on.
func TestReaderThatPauses(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "")
	c.Args, c.Env = child("random", "8"), append(c.Env, "AGENT_TEST_CHILD=random")
	outR, outW, _, errW := pipes(t)
	c.Quiet, c.Stdout, c.Stderr = false, outW, errW
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	want := randomBytes(8 << 20)
	s.waitEnded(t) // while it is not read
	select {
	case got := <-done:
		t.Errorf("the agent did not wait for the reader: %+v", got)
	default:
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(outR, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the reader got other bytes, error %v", err)
	}
	if r := result(t, done); r.ExitCode != 0 || !r.Complete || r.Dropped {
		t.Errorf("result %+v, messages %q", r, messages.text())
	}
}

// A signal after the job's end ends the wait, and what the reader did not get is counted.
func TestSignalEndsTheWaitForAReader(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "")
	c.Args, c.Env = child("random", "1"), append(c.Env, "AGENT_TEST_CHILD=random")
	outR, outW, _, errW := pipes(t)
	outW.Fd() // makes it blocking, as a shell's
	signals := make(chan os.Signal, 1)
	c.Quiet, c.Stdout, c.Stderr, c.Signals = false, outW, errW, signals
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	s.waitEnded(t)
	again := time.NewTicker(50 * time.Millisecond) // the first may come before the agent waits
	defer again.Stop()
	var r Result
	for ended := false; !ended; {
		select {
		case signals <- syscall.SIGTERM:
		case <-again.C:
		case r = <-done:
			ended = true
		}
	}
	go outW.Close()
	rest, _ := io.ReadAll(outR) // frees the write that waits
	if r.ExitCode != 125 || !r.Dropped || !r.Complete || !strings.Contains(messages.text(), "a signal ended the wait") {
		t.Errorf("result %+v, messages %q", r, messages.text())
	}
	var lost int
	for line := range strings.Lines(messages.text()) {
		_, _ = fmt.Sscanf(line, "%d bytes of the job's output were not passed on", &lost)
	}
	if lost <= 0 || lost > 1<<20 || len(rest) > 1<<20 {
		t.Errorf("%d bytes lost, %d read afterwards", lost, len(rest))
	}
}

// With no disk, no server and no memory left, the journal has a gap; the caller's own
// stdout has none.
func TestFullJournalLosesNothingOfWhatIsPassedOn(t *testing.T) {
	c, messages := config(t, nil, "")
	c.Server, c.StateDir, c.Quiet = nil, "", false
	c.Args, c.Env = child("random", "48"), append(c.Env, "AGENT_TEST_CHILD=random")
	outR, outW, _, errW := pipes(t)
	c.Stdout, c.Stderr = outW, errW
	passed := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(outR)
		passed <- b
	}()
	got := Run(t.Context(), c)
	_ = outW.Close()
	if got.ExitCode != 0 || got.Complete {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
	if out := <-passed; !bytes.Equal(out, randomBytes(48<<20)) {
		t.Errorf("%d bytes were passed on that are not the %d printed; messages %q", len(out), 48<<20, messages.text())
	}
}

func pipes(t *testing.T) (outR, outW, errR, errW *os.File) {
	t.Helper()
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	errR, errW, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{outR, outW, errR, errW} {
			_ = f.Close()
		}
	})
	return outR, outW, errR, errW
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// After a power cut this host has less of the journal than the server: the rest is read
// back, and the end is added behind it.
func TestEndLostWithThePowerIsReadBack(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo one; echo ready; exec sleep 60")
	signals := make(chan os.Signal, 1)
	c.Signals = signals
	done := running(t, s, c)
	s.wait(t, func() bool { return bytes.Contains(s.journals[testRun], []byte("ready\n")) })
	entry := filepath.Join(c.StateDir, "spool", testRun+".1")
	part := []byte(readAll(t, filepath.Join(entry, "journal")))[:100]
	meta := readAll(t, filepath.Join(entry, "meta.json"))
	var had []byte
	s.set(func() { had = bytes.Clone(s.journals[testRun]) })
	signals <- syscall.SIGTERM
	result(t, done)
	// The host as it comes up again.
	if err := os.MkdirAll(entry, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"journal": part, "meta.json": []byte(meta)} {
		if err := os.WriteFile(filepath.Join(entry, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.set(func() { s.journals[testRun] = bytes.Clone(had) })
	report, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL, Host: owner.Host{Name: "here", BootID: "another"}})
	if err != nil || len(report.Journals) != 1 || !report.Journals[0].Delivered || !report.Journals[0].Unfinished {
		t.Fatalf("flush %+v, error %v", report, err)
	}
	v := s.read(t, testRun)
	if string(v.output[streamKey{0, job.Stdout}]) != "one\nready\n" || v.final.Outcome.Reason != job.HostRebooted {
		t.Errorf("output %v, outcome %+v", v.output, v.final.Outcome)
	}
}

func (s *memoryServer) Journal(_ context.Context, run string, _ int, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.NopCloser(bytes.NewReader(bytes.Clone(s.journals[run][offset:]))), nil
}

// waitEnded waits until the server has the whole journal.
func (s *memoryServer) waitEnded(t *testing.T) {
	t.Helper()
	s.wait(t, func() bool {
		r, err := journal.Recover(bytes.NewReader(s.journals[testRun]))
		return err == nil && r.Ended
	})
}
