package overlap

import (
	"fmt"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// mostShown is how many of the skipped starts are kept with their time and process. All are counted.
const mostShown = 5

// start is a start that was skipped.
type start struct {
	At   time.Time `json:"at"`
	PID  int       `json:"pid"`
	User string    `json:"user"`
}

func (s start) String() string {
	return fmt.Sprintf("%s (pid %d, user %s)", job.TimeText(s.At), s.PID, s.User)
}

// skips are the starts that were skipped because of a run: the content of a file of fixed size,
// however many there are.
type skips struct {
	Run   string  `json:"run"` // that had the lock
	Count int     `json:"count"`
	Noted int     `json:"noted"` // how many of them the run has noted in its journal
	Last  []start `json:"last"`  // the last ones, oldest first
	// Earlier is how many starts runs before this one could not note, EarlierRun the last of these runs.
	Earlier    int    `json:"earlier,omitempty"`
	EarlierRun string `json:"earlier_run,omitempty"`
}

// add returns the file with one more start that was skipped because of a run.
func (s skips) add(run string, one start) skips {
	s = s.of(run)
	s.Count++
	s.Last = append(s.Last, one)
	s.Last = s.Last[max(0, len(s.Last)-mostShown):]
	return s
}

// of returns the file as that of a run. What another run has not noted becomes earlier.
func (s skips) of(run string) skips {
	if s.Run == run {
		return s
	}
	next := skips{Run: run, Earlier: s.Earlier, EarlierRun: s.EarlierRun}
	if left := s.Count - s.Noted; left > 0 {
		next.Earlier, next.EarlierRun = next.Earlier+left, s.Run
	}
	return next
}

// unnoted returns how many starts are in no journal yet.
func (s skips) unnoted() int { return s.Earlier + max(0, s.Count-s.Noted) }

// noteIsDue reports whether a run notes the starts that were skipped because of it: each of the first
// three, then when there are 10, 20, 50, 100, 200, 500 and so on, and what is left when it ends. So a job of a week
// beside which one is started each minute has 15 notes.
func noteIsDue(noted, count int, ended bool) bool {
	if count <= noted {
		return false
	}
	return ended || count <= 3 || nextNote(noted) <= count
}

// nextNote returns at which number of skipped starts the next note is due.
func nextNote(noted int) int {
	if noted < 3 {
		return noted + 1
	}
	for step := 10; ; step *= 10 {
		for _, n := range []int{step, 2 * step, 5 * step} {
			if n > noted {
				return n
			}
		}
	}
}

// text returns the note about the starts that were not noted before.
func (s skips) text(noted int) string {
	const why = "because this run has the lock of its job"
	last := s.Last[max(0, len(s.Last)-(s.Count-noted)):]
	if s.Count-noted == 1 && len(last) == 1 {
		text := fmt.Sprintf("another start of the job was skipped at %s, %s", last[0], why)
		if s.Count > 1 {
			text += fmt.Sprintf("; %d so far", s.Count)
		}
		return text
	}
	shown := make([]string, len(last))
	for i, one := range last {
		shown[i] = one.String()
	}
	return fmt.Sprintf("%d starts were skipped so far, %s; the last: %s", s.Count, why, strings.Join(shown, ", "))
}

// earlierText returns the note about starts that runs before this one could not note; "" for none.
func (s skips) earlierText() string {
	if s.Earlier == 0 {
		return ""
	}
	run := ""
	if s.EarlierRun != "" {
		run = " " + s.EarlierRun
	}
	return fmt.Sprintf("before this run, %s skipped because run%s had the lock of the job, and not noted there", starts(s.Earlier), run)
}

// starts begins a sentence about a number of starts.
func starts(n int) string {
	if n == 1 {
		return "1 start was"
	}
	return fmt.Sprintf("%d starts were", n)
}
