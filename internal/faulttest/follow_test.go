package faulttest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"stint.dev/stint/job"
)

// follow begins a reader that follows stdout live from the server itself, as soon as that
// knows the run. It ends with the run.
func (w *world) follow() {
	if !w.s.follow {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.followed = done
	go func() { done <- w.readLive(ctx) }()
	w.t.Cleanup(cancel)
}

var errUnknown = errors.New("the server never knew the run")

func (w *world) readLive(ctx context.Context) error {
	for {
		if _, err := w.api.Run(ctx, w.run); err == nil {
			break
		}
		select {
		case <-time.After(50 * ms):
		case <-ctx.Done():
			return errUnknown
		}
	}
	cmd := exec.CommandContext(ctx, w.program("stint", serverClock), "logs", "--server", "http://"+w.server.address, "--stream", "stdout", "-f", w.run)
	cmd.Env = w.environment("server.clock")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	w.record("the reader has ended: %v, %d bytes: %s", err, out.Len(), tail(errs.Bytes(), 500))
	return errors.Join(err, os.WriteFile(w.path("follower.out"), out.Bytes(), 0o644))
}

// checkFollower compares what a reader saw live with the log as it is in the end. Where a
// run was called lost on the way the reader may have ended with that.
func (w *world) checkFollower() int64 {
	if !w.s.follow {
		return 0
	}
	select {
	case err := <-w.followed:
		if err != nil {
			w.t.Errorf("stint logs -f: %v", err)
			return 0
		}
	case <-time.After(patience):
		w.t.Errorf("stint logs -f has not ended %s after the run", patience)
		return 0
	}
	got, err := os.ReadFile(w.path("follower.out"))
	if err != nil {
		w.t.Error(err)
	}
	want := w.log(-1, job.Stdout)
	if wasLost := w.wasLost(); !bytes.HasPrefix(want, got) || !wasLost && len(got) != len(want) {
		w.t.Errorf("a live reader saw %d bytes, the log has %d; they differ at byte %d (the run was called lost: %v)", len(got), len(want), difference(want, got), wasLost)
	}
	tally.read.Add(int64(len(got)))
	return int64(len(got))
}

func (w *world) wasLost() bool {
	events, err := w.api.Events(context.Background(), w.run)
	if err != nil {
		w.t.Errorf("ask for the events: %v", err)
	}
	for _, e := range events {
		if e.Kind == "state" && e.To == string(job.Lost) {
			return true
		}
	}
	return false
}
