package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"stint.dev/stint/job"
)

// Count writes a number with its noun: "1 line", "2 lines".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Ago writes how long before now a time was.
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	if d < time.Second {
		return "now"
	}
	return job.DurationText(d.Truncate(time.Second)) + " ago"
}

// LocalTime writes a time in the zone of the terminal, which it names, for a text; tables have At.
func LocalTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// RunCell returns the name of a run, of which a narrow table cuts that of the job and keeps the number.
func RunCell(name string, number int64, paint func(string) string) Cell {
	return Cell{Text: name, Tail: fmt.Sprintf("#%d", number), Paint: paint}
}

// StateCell returns a state as shape, word and colour.
func StateCell(s job.State, style Style) Cell {
	shape, paint := "●", style.Blue
	switch s {
	case job.Queued, job.Retrying:
		shape, paint = "○", style.Muted
	case job.Succeeded:
		shape, paint = "✓", style.Green
	case job.Failed:
		shape, paint = "✕", style.Red
	case job.Canceled:
		shape, paint = "⊘", style.Muted
	case job.TimedOut:
		shape, paint = "⏱", style.Yellow
	case job.Lost:
		shape, paint = "⌁", style.Magenta
	}
	return P(shape+" "+string(s), paint)
}

// Broken turns the error of a reader that went away into a quiet end: 128+SIGPIPE, as a
// program that the signal had ended.
func Broken(err error) error {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed) {
		return &ExitError{Code: 128 + int(syscall.SIGPIPE)}
	}
	return fmt.Errorf("write the answer: %w", err)
}

// StateDir returns where an agent keeps its spool and caches: STINT_STATE, else the place the
// XDG rules name, else /var/lib/stint for root.
func (c *Console) StateDir() (string, error) {
	if dir := c.Getenv("STINT_STATE"); dir != "" {
		return dir, nil
	}
	if dir := c.Getenv("XDG_STATE_HOME"); dir != "" {
		return dir + "/stint", nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/stint", nil
	}
	if home := c.Getenv("HOME"); home != "" {
		return home + "/.local/state/stint", nil
	}
	return "", errors.New("the agent has no state directory, because neither STINT_STATE nor HOME is set: set STINT_STATE to a directory that only this user can write")
}
