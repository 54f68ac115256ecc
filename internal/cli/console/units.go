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

// Duration writes a length of time in at most two units: "8 ms", "2.4 s", "12 m 40 s", "3 h 5 m", "3 h".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return twoUnits(int(d.Seconds()), 60, "m", "s")
	case d < 48*time.Hour:
		return twoUnits(int(d.Minutes()), 60, "h", "m")
	}
	return twoUnits(int(d.Hours()), 24, "d", "h")
}

// twoUnits writes n small units, of which a large one has so many. A small part of zero is left out.
func twoUnits(n, each int, large, small string) string {
	if n%each == 0 {
		return fmt.Sprintf("%d %s", n/each, large)
	}
	return fmt.Sprintf("%d %s %d %s", n/each, large, n%each, small)
}

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
	return Duration(d.Truncate(time.Second)) + " ago"
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
