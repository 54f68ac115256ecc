package agent

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// testRun is the run of most tests. It differs from process to process: a flush ends what is
// left of a run on the whole host, also what the same test has begun elsewhere.
// Children of the test have the same one.
var testRun = cmp.Or(os.Getenv("AGENT_TEST_RUN"), uuid.Must(uuid.NewV7()).String())

func TestMain(m *testing.M) {
	if err := takeHangups(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv("AGENT_TEST_CHILD") != "" {
		os.Exit(childMain())
	}
	if err := os.Setenv("AGENT_TEST_RUN", testRun); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// says collects the lines for the person.
type says struct {
	mu    sync.Mutex
	lines []string
}

func (s *says) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *says) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// config is a quiet attempt of a shell script, with a server.
func config(t *testing.T, s delivery.Server, script string) (Config, *says) {
	t.Helper()
	messages := &says{}
	return Config{
		Run: testRun, Attempt: 1, Job: "test", Args: []string{"sh", "-c", script}, Dir: t.TempDir(),
		Env: os.Environ(), Server: s, ServerURL: "http://127.0.0.1:7846", StateDir: t.TempDir(), Quiet: true,
		Version: "test", Host: "here", BootID: "boot", Print: messages.say,
	}, messages
}

func TestOutputOfBothStreamsAndExitCode(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "echo out; echo err >&2; exit 3")
	got := Run(t.Context(), c)
	if got.ExitCode != 3 || !got.Complete || got.WaitsAt != "" || got.Err != nil {
		t.Errorf("result %+v, messages %q", got, messages.text())
	}
	v := s.read(t, testRun)
	if out := v.output[streamKey{0, job.Stdout}]; string(out) != "out\n" {
		t.Errorf("stdout %q", out)
	}
	if out := v.output[streamKey{0, job.Stderr}]; string(out) != "err\n" {
		t.Errorf("stderr %q", out)
	}
	if o := v.final.Outcome; o.State != job.Failed || o.Reason != job.ExitCode || *o.ExitCode != 3 {
		t.Errorf("outcome %+v", o)
	}
	if v.attempt.Job != "test" || v.attempt.Containment == "" || len(v.samples) == 0 {
		t.Errorf("attempt %+v, %d samples", v.attempt, len(v.samples))
	}
	if left, _ := os.ReadDir(filepath.Join(c.StateDir, "spool")); len(left) != 0 {
		t.Errorf("delivered, but the spool still holds %v", left)
	}
}

func TestInstallSteps(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, `cat made; echo "$STINT_RUN_ID $STINT_JOB $STINT_ATTEMPT $STINT_SERVER [$STINT_TOKEN]"`)
	c.Env = append(c.Env, "STINT_TOKEN=secret", "STINT_JOB=other")
	c.ServerURL = "http://ada:pw@127.0.0.1:7846"
	c.Install = []string{"echo one > made", "echo two >> made; echo installing"}
	if got := Run(t.Context(), c); got.ExitCode != 0 {
		t.Fatalf("result %+v", got)
	}
	v := s.read(t, testRun)
	want := "one\ntwo\n" + testRun + " test 1 http://127.0.0.1:7846 []\n"
	if out := v.output[streamKey{2, job.Stdout}]; string(out) != want {
		t.Errorf("stdout %q, want %q", out, want)
	}
	if out := v.output[streamKey{1, job.Stdout}]; string(out) != "installing\n" {
		t.Errorf("stdout of the install step %q", out)
	}
	if len(v.started) != 3 || len(v.ended) != 3 || v.started[0].Name != "install 1" || v.started[2].Kind != job.CommandStep {
		t.Errorf("steps %+v %+v", v.started, v.ended)
	}
}

func TestFailedInstallNeverStartsTheCommand(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo must not run")
	c.Install = []string{"exit 7"}
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if got.ExitCode != 7 || got.Outcome.Reason != job.InstallFailed || len(v.started) != 1 || len(v.output) != 0 {
		t.Errorf("result %+v, steps %+v, output %v", got, v.started, v.output)
	}
}

func TestCommandThatIsNotThere(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "")
	c.Args = []string{"/no/such/program"}
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if got.ExitCode != 127 || got.Outcome.Reason != job.CouldNotStart || !got.Complete {
		t.Errorf("result %+v", got)
	}
	if len(v.started) != 1 || v.started[0].PID != 0 || len(v.ended) != 1 {
		t.Errorf("steps %+v %+v", v.started, v.ended)
	}
}

func TestManyBytesArriveExactly(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "")
	c.Args, c.Env = child("random", "64"), append(c.Env, "AGENT_TEST_CHILD=random")
	got := Run(t.Context(), c)
	if got.ExitCode != 0 || !got.Complete {
		t.Fatalf("result %+v", got)
	}
	out := s.read(t, testRun).output[streamKey{0, job.Stdout}]
	if want := randomBytes(64 << 20); !bytes.Equal(out, want) {
		t.Errorf("%d bytes arrived that are not the %d that were printed", len(out), len(want))
	}
}

func TestExactlyOnceThroughTrouble(t *testing.T) {
	s := newMemoryServer()
	failed := map[string]int{}
	s.before = func(n int, offset int64, data []byte) error {
		switch n % 5 {
		case 0:
			failed["away"]++
			return errAway
		case 1:
			failed["busy"]++
			return &job.Problem{Status: 429, Title: "busy", RetryAfter: 1}
		}
		return nil
	}
	s.after = func(n int) error {
		if n%3 == 0 {
			failed["lost reply"]++
			return errAway
		}
		return nil
	}
	c, messages := config(t, s, "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); [ $((i % 100)) = 0 ] && sleep 0.3; done; true")
	got := Run(t.Context(), c)
	if !got.Complete {
		t.Fatalf("result %+v, messages %q, trouble %v", got, messages.text(), failed)
	}
	var want bytes.Buffer
	for i := range 400 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; !bytes.Equal(out, want.Bytes()) {
		t.Errorf("stdout of %d bytes is not the %d printed", len(out), want.Len())
	}
	if failed["away"] == 0 || failed["busy"] == 0 || failed["lost reply"] == 0 {
		t.Errorf("not every trouble was met: %v", failed)
	}
}

func TestOrderOfRecords(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo x")
	Run(t.Context(), c)
	order := s.read(t, testRun).order
	place := map[journal.Type]int{}
	for i, typ := range order {
		place[typ] = i
	}
	if order[0] != journal.TypeAttempt || order[len(order)-1] != journal.TypeOutcome ||
		place[journal.TypeOutput] < place[journal.TypeStepStarted] || place[journal.TypeStepEnded] < place[journal.TypeOutput] ||
		place[journal.TypeSample] < place[journal.TypeStepEnded] {
		t.Errorf("records in the order %v", order)
	}
}

// takeHangups begins the test binary again where the program that started it (nohup, for one) ignores
// SIGHUP: the jobs of the tests would ignore it too.
func takeHangups() error {
	if !signal.Ignored(syscall.SIGHUP) {
		return nil
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // a signal that is taken is not ignored behind an exec
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}
