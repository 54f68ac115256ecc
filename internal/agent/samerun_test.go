package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/agent/spool/owner"
)

// refusedAsRunning reports whether an agent refused to start a run that this process has.
func refusedAsRunning(r Result) bool {
	var running *owner.RunningError
	return r.ExitCode == 125 && errors.As(r.Err, &running) && running.PID == os.Getpid() &&
		strings.Contains(r.Err.Error(), "run "+testRun+" is running on this host, pid ")
}

// Of agents that start the same attempt at once one runs the job, at every level of
// containment, and the others say who has it.
func TestSameRunAtOnce(t *testing.T) {
	for _, level := range []string{"", "cgroup1", "process_group"} {
		t.Run("at most "+level, func(t *testing.T) {
			for range 10 {
				c, _ := config(t, nil, "")
				c.Server, c.Containment = nil, level
				const agents = 3
				results := make([]Result, agents)
				ready, ended := make(chan struct{}), make(chan struct{})
				var all sync.WaitGroup
				for i := range agents {
					all.Go(func() {
						c := c
						c.Args = []string{"sh", "-c", "echo >> ran; while [ ! -e go ]; do sleep 0.01; done; exit 3"}
						<-ready
						results[i] = Supervise(t.Context(), c)
						ended <- struct{}{}
					})
				}
				close(ready)
				for range agents - 1 {
					<-ended
				}
				if err := os.WriteFile(filepath.Join(c.Dir, "go"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				<-ended
				all.Wait()
				ran, refused := 0, 0
				for _, r := range results {
					switch {
					case r.ExitCode == 3 && r.Err == nil:
						ran++
					case refusedAsRunning(r):
						refused++
					default:
						t.Errorf("result %+v", r)
					}
				}
				lines, _ := os.ReadFile(filepath.Join(c.Dir, "ran"))
				if ran != 1 || refused != agents-1 || string(lines) != "\n" {
					t.Fatalf("%d ran the job, %d were refused, and the job wrote %q", ran, refused, lines)
				}
			}
		})
	}
}

// Between two attempts, and while a later one runs, the run is held as well.
func TestSameRunBetweenAttempts(t *testing.T) {
	_, c, messages := retrying(t, "echo >> ran; [ -e go ]", retry.Policy{Most: 1000, Backoff: time.Millisecond})
	waiting := make(chan struct{}, 1)
	c.Print = func(line string) {
		messages.say(line)
		if strings.Contains(line, "Attempt 3 begins") {
			waiting <- struct{}{}
		}
	}
	first := make(chan Result)
	go func() { first <- Supervise(t.Context(), c) }()
	<-waiting
	again := c
	again.Args, again.Print = []string{"sh", "-c", "echo again >> ran"}, nil
	for _, retry := range []retry.Policy{{}, {Most: 1}} {
		again.Retry = retry
		if r := Supervise(t.Context(), again); !refusedAsRunning(r) {
			t.Errorf("started again with %+v: %+v", retry, r)
		}
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := <-first; r.ExitCode != 0 || !r.Complete {
		t.Errorf("the first: %+v", r)
	}
	if left, _ := os.ReadDir(filepath.Join(c.StateDir, "spool")); len(left) > 0 {
		t.Errorf("left in the spool: %v", left)
	}
}
