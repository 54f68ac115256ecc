package agent

import (
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/job"
)

func TestDiagnosisBeforeTheStop(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux shows what a process waits for")
	}
	const limit = 3 * time.Second // in which the job has started its processes, however busy the machine is
	for name, set := range map[string]func(*Config){
		"timeout":         func(c *Config) { c.Timeout = limit },
		"no output":       func(c *Config) { c.NoOutputTimeout = limit },
		"no progress":     func(c *Config) { c.NoProgressTimeout = limit },
		"install timeout": func(c *Config) { c.Install, c.InstallTimeout = c.Args[2:], limit },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemoryServer()
			c, _ := config(t, s, "sleep 60 & exec cat <>fifo")
			c.Run = uuid.Must(uuid.NewV7()).String() // beside the other runs
			if err := syscall.Mkfifo(filepath.Join(c.Dir, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			set(&c)
			got := Run(t.Context(), c)
			v := s.read(t, c.Run)
			notes := strings.Join(v.notes, "\n")
			if got.ExitCode != 124 || !strings.Contains(notes, "diagnosis before the stop: 2 processes") ||
				!strings.Contains(notes, "sleep (pid ") || !strings.Contains(notes, "in read on fd 0: "+c.Dir+"/fifo") {
				t.Errorf("result %+v, notes %q", got, notes)
			}
			names := map[string]bool{}
			for _, p := range v.processes {
				names[p.Name] = p.PID > 0 && len(p.Facts) > 0
			}
			if len(v.processes) != 2 || !names["sleep"] || !names["cat"] {
				t.Errorf("processes %+v", v.processes)
			}
		})
	}
}

func TestNoDiagnosisForACancel(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo ready; exec sleep 60")
	c.HeartbeatPeriod, c.QuitFirst = 20*time.Millisecond, true
	done := running(t, s, c)
	s.set(func() { s.reply.Commands = []job.Command{{Kind: "cancel", By: "ada"}} })
	got := result(t, done)
	if notes := strings.Join(s.read(t, testRun).notes, "\n"); strings.Contains(notes, "diagnosis") || got.Outcome.Signal != "SIGTERM" {
		t.Errorf("result %+v, notes %q", got, notes)
	}
}

// This test binary is a Go program: SIGQUIT makes it print the stacks of its goroutines.
func TestQuitFirst(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "")
	c.Args, c.Env = child(), append(c.Env, "AGENT_TEST_CHILD=hang")
	c.NoOutputTimeout, c.QuitFirst = 500*time.Millisecond, true
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if out := string(v.output[streamKey{0, job.Stderr}]); got.ExitCode != 124 || got.Outcome.Reason != job.NoOutput || !strings.Contains(out, "SIGQUIT") || !strings.Contains(out, "childMain") {
		t.Errorf("result %+v, stderr %.1000q", got, out)
	}
}

// A job that takes SIGQUIT and goes on still gets the stop signal, after a bounded pause.
func TestQuitFirstIsNotTheStop(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "trap 'echo stacks' QUIT; trap 'echo stopping; exit 3' TERM; while :; do sleep 0.05; done")
	c.Timeout, c.QuitFirst = 300*time.Millisecond, true
	got := Run(t.Context(), c)
	if out := string(s.read(t, testRun).output[streamKey{0, job.Stdout}]); got.Outcome.Reason != job.Timeout || out != "stacks\nstopping\n" {
		t.Errorf("result %+v, stdout %q", got, out)
	}
}
