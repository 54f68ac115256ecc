package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// fleetEnv makes a copy of this program to be a fleet: how many agents, of which job and
// which server.
const fleetEnv = "STINT_FAULTS_FLEET"

// runFleet is many agents without jobs in one process, with the client and the heartbeats
// of the real one. It prints the ids of their runs and works until its stdin ends.
func runFleet(text string) int {
	var n int
	var name, server string
	if _, err := fmt.Sscan(text, &n, &name, &server); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		id := uuid.Must(uuid.NewV7()).String()
		fmt.Println(id)
		all.Go(func() {
			if err := simulate(ctx, server, name, id); err != nil {
				fmt.Fprintf(os.Stderr, "run %s: %v\n", id, err)
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // it ends, however it does
	stop()
	all.Wait()
	return 0
}

// simulate is one agent: it begins its run and sends heartbeats every five seconds.
func simulate(ctx context.Context, server, name, id string) error {
	api, err := client.New(client.Options{URL: server, Run: id})
	if err != nil {
		return err
	}
	defer api.Close()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err != nil {
		return err
	}
	err = errors.Join(
		w.AppendJSON(journal.TypeAttempt, time.Now(), journal.Attempt{Run: id, Attempt: 1, Job: name, Args: []string{"x"}, Host: "h", AgentVersion: "test", HeartbeatPeriodMS: 5000}),
		w.AppendJSON(journal.TypeStepStarted, time.Now(), journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "x", PID: 1}),
	)
	if err != nil {
		return err
	}
	wait(ctx, rand.N(5*time.Second)) // they were not all started at once
	for {
		if _, err = api.Append(ctx, id, 1, 0, buf.Bytes()); err == nil || ctx.Err() != nil {
			break
		}
		wait(ctx, time.Second)
	}
	ready := make(chan struct{})
	close(ready)
	beats := delivery.Heartbeats{
		Server: api, Run: id, Attempt: 1, Period: 5 * time.Second, Begun: time.Now(), Link: delivery.NewLink(nil), Ready: ready,
		Evidence: func(time.Time) job.Heartbeat {
			return job.Heartbeat{OutputAgeMS: -1, Processes: 1, MemoryBytes: 1 << 20}
		},
		Reply: func(job.HeartbeatReply) {},
	}
	beats.Send(ctx)
	return nil
}

// pipesOf returns the stdin and stdout of a program that is to be started.
func pipesOf(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out io.ReadCloser) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	return in, out
}

// startFleet starts n agents of a server, where start starts them, and returns their runs.
// They end with the test.
func startFleet(t *testing.T, n int, name, server string, there func(start func() error) error) (runs []string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", fleetEnv, n, name, server))
	cmd.Stderr = os.Stderr
	in, out := pipesOf(t, cmd)
	if err := there(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Errorf("the fleet: %v", err)
		}
	})
	for range n {
		var id string
		if _, err := fmt.Fscanln(out, &id); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, id)
	}
	return runs
}
