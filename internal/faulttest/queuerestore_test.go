package faulttest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// restore copies the database while runs are submitted and started, and puts the copy in its place later, when undo
// is called: what happened in between is lost.
func (w *queueWorld) restore() (undo func() error, err error) {
	replace, once := w.path("copy"), []string{"--activate"}
	var putBack func() error
	if w.s.postgres {
		pg, err := w.slot.postgres()
		if err != nil {
			return nil, err
		}
		saved, err := pg.Save()
		if err != nil {
			return nil, err
		}
		once = []string{"--restored"}
		putBack = func() error { return errors.Join(pg.Down(true), saved(), pg.Up()) }
	} else {
		cmd := exec.Command(w.serverProgram(), append([]string{"server", "backup", replace}, w.server.place...)...)
		cmd.Env = append(w.environment("server.clock"), bucketKeys...)
		if out, err := w.output(cmd); err != nil {
			return nil, fmt.Errorf("stint server backup: %w: %s", err, out)
		}
		putBack = func() error { w.server.place = []string{"--data", replace}; return nil }
	}
	return func() error {
		_, err := w.server.down(syscall.SIGKILL)
		if err := errors.Join(err, putBack()); err != nil {
			return err
		}
		w.server.once = once
		if err := w.server.up(); err != nil {
			return err
		}
		text, err := os.ReadFile(w.path("trace"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		w.restoredAt = bytes.Count(text, []byte{'\n'})
		w.restored.Store(true)
		return w.checkHeld()
	}, nil
}

// checkHeld checks that whatever waits in a restored database is held, with a reason.
func (w *queueWorld) checkHeld() error {
	page, err := w.api.Queue(w.t.Context(), client.QueueQuery{})
	if err != nil {
		return err
	}
	for _, one := range page.Runs {
		if len(one.Gates) == 0 || one.Gates[0].Gate != job.GateHeld {
			w.t.Errorf("the database was restored, and run %s in the queue waits for %+v", one.Run, one.Gates)
		}
	}
	w.record("restored: %d lines of the trace, %d runs are held", w.restoredAt, page.Held)
	return nil
}

// releaseHeld lets what is held go on, as a person does that has looked at it.
func (w *queueWorld) releaseHeld() {
	if n, err := w.api.ReleaseQueue(w.t.Context(), "", "ada"); err != nil || n > 0 {
		w.record("released: %d %v", n, err)
	}
}

// mayRunAgain reports whether an attempt may have started again: the database was restored in between, and that it had
// ended was lost with what it had before.
func (w *queueWorld) mayRunAgain(one startedAgain, text []byte) bool {
	lines := bytes.Split(text, []byte{'\n'})
	run, attempt, _ := strings.Cut(one.name, ".")
	end := []byte("end " + run + " " + attempt)
	ended := slices.ContainsFunc(lines[one.first:one.later], func(line []byte) bool { return bytes.Equal(line, end) })
	return w.restored.Load() && one.first < w.restoredAt && one.later >= w.restoredAt && ended
}
