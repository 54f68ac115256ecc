// Package announce says which run stint run makes: on a terminal in three lines, and to a program in a file.
package announce

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/job"
)

// Lines are the lines of a run on a terminal: when it starts, when the server has given it a number, and
// when it has ended. A nil *Lines prints none. Replied and End are safe for concurrent use.
type Lines struct {
	say   func(format string, args ...any)
	name  string // of the run, as each line has it
	begun time.Time

	number, end sync.Once
	numbered    chan struct{} // closed when the number is printed; nil if there is no server that gives one
}

// numberWait is how long the last line waits for the one with the number. The agent waits longer for a server
// that does not answer, so that nobody waits for this.
const numberWait = 250 * time.Millisecond

// Begin prints the first line, at the time when the run starts. server is the address of the tracking
// server; empty for none.
func Begin(say func(format string, args ...any), jobName, run, server string, now time.Time) *Lines {
	l := &Lines{say: say, name: "run " + jobName + " " + command.ShortID(run), begun: now}
	line := l.name
	if server != "" {
		l.numbered = make(chan struct{})
		line += " " + strings.TrimRight(delivery.WithoutCredentials(server), "/") + "/runs/" + command.ShortID(run)
	}
	l.say("%s", line)
	return l
}

// Replied prints what a reply of the server has for a person: the number of the run, once, and a notice.
func (l *Lines) Replied(jobName string, r job.AppendReply) {
	if l == nil {
		return
	}
	if r.Notice != "" {
		l.say("%s", r.Notice)
	}
	if r.Number > 0 {
		l.number.Do(func() {
			l.say("%s is %s#%d", l.name, jobName, r.Number)
			close(l.numbered)
		})
	}
}

// End prints how the run ended, once. It reports whether the run has such lines.
func (l *Lines) End(o job.Outcome, now time.Time) bool {
	if l == nil {
		return false
	}
	l.end.Do(func() {
		if l.numbered != nil {
			select {
			case <-l.numbered:
			case <-time.After(numberWait):
			}
		}
		l.say("%s %s", l.name, EndText(o, now.Sub(l.begun)))
	})
	return true
}

// EndText says how a run ended and after how long: "failed after 12 s: Exited with code 3."
func EndText(o job.Outcome, took time.Duration) string {
	text := strings.ReplaceAll(string(o.State), "_", " ") + " after " + job.DurationText(took)
	switch by, canceled := strings.CutPrefix(o.Message, "Canceled"); {
	case o.State == job.Succeeded, o.Message == "":
		return text
	case canceled: // "by Ctrl-C."
		return text + strings.TrimSuffix(by, ".")
	}
	return text + ": " + o.Message
}

// Server is the tracking server of a run.
type Server struct {
	*client.Client
	// Replied is called with each reply to an append.
	Replied func(job.AppendReply)
}

// Append is as of the client, and so are the others.
func (s Server) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	return s.noted(s.Client.Append(ctx, run, attempt, offset, data))
}

// AppendFrom is Append of what can be read.
func (s Server) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	return s.noted(s.Client.AppendFrom(ctx, run, attempt, offset, size, src))
}

// AppendCompressed is Append over a slow link.
func (s Server) AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	return s.noted(s.Client.AppendCompressed(ctx, run, attempt, offset, data))
}

func (s Server) noted(r job.AppendReply, err error) (job.AppendReply, error) {
	if err == nil {
		s.Replied(r)
	}
	return r, err
}

// Record is what WriteFile writes of a run.
type Record struct {
	Run    string `json:"run"`
	Job    string `json:"job"`
	Server string `json:"server"` // its address, without credentials; empty for none
}

// WriteFile writes a record and a newline to a file, in one write. It does not wait long for a file that does
// not answer, such as a pipe that nobody reads.
func WriteFile(file string, r Record) error {
	r.Server = delivery.WithoutCredentials(r.Server)
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("describe the run: %w", err)
	}
	_, err = bounded.Call(command.FileLimit, func() (struct{}, error) {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return struct{}{}, err
		}
		_, err = f.Write(append(text, '\n'))
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		return struct{}{}, err
	})
	return err
}
