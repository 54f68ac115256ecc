// Package progress receives what the job reports of its progress, and judges whether it makes
// any.
package progress

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/notify"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/sample"
	"stint.dev/stint/internal/agent/stall"
	"stint.dev/stint/journal"
)

// Recorder writes what the job reports.
type Recorder interface {
	Record(t journal.Type, at time.Time, v any) error
	Note(step int, text string)
	// OutputMark differs from an earlier one when something was printed in between.
	OutputMark() int64
}

// Group holds the processes of the job.
type Group interface {
	sample.Source
	Members() ([]member.Member, error)
}

// Config says whose progress it is.
type Config struct {
	Recorder Recorder
	Group    Group
	Dir      string        // for the socket, reached by this user only; empty for a directory of its own
	Env      []string      // of the job
	Limit    time.Duration // without progress; 0 for none
}

// Progress receives messages of the job on a socket. Its goroutine ends with Close.
type Progress struct {
	rec   Recorder
	group Group
	limit time.Duration

	socket *notify.Socket // nil when it could not be made
	// forward goes to the manager of the agent itself; nil for none. It belongs to the
	// socket's goroutine until that has ended.
	forward *notify.Forwarder

	// Written by the socket's goroutine, read by the supervising one.
	statuses, watchdogs atomic.Int64
	extended            atomic.Pointer[time.Time]

	ready, ending bool // noted; of the socket's goroutine

	reader *sample.Reader // nil without a limit
	moved  stall.TransferCounter
}

// Start makes the socket on which the job can report its progress, and returns the environment
// with its address. If that fails, the job runs without it.
func Start(c Config) (p *Progress, env []string) {
	p = &Progress{rec: c.Recorder, group: c.Group, limit: c.Limit}
	env = c.Env
	if address := environment.Value(env, "NOTIFY_SOCKET"); address != "" {
		var err error
		if p.forward, err = notify.NewForwarder(address); err != nil {
			p.rec.Note(-1, "what the job reports of its progress is not handed on: "+err.Error())
		}
	}
	socket, err := notify.Listen(c.Dir, notify.Handler{Message: p.message, Raw: p.raw, Status: p.status, Refused: p.refused})
	if err != nil {
		p.rec.Note(-1, "the job cannot report its progress: NOTIFY_SOCKET could not be made: "+err.Error())
	} else {
		p.socket = socket
		env = withNotify(env, socket.Address(), c.Limit)
	}
	if c.Limit > 0 {
		p.reader = sample.New(c.Group)
	}
	return p, env
}

// raw forwards a message to the manager of the agent.
func (p *Progress) raw(datagram []byte) {
	if p.forward == nil {
		return
	}
	if err := p.forward.Send(datagram); err != nil {
		p.rec.Note(-1, "what the job reports of its progress is no longer handed on: "+err.Error())
		p.forward.Close()
		p.forward = nil
	}
}

// withNotify sets the socket in an environment, in place of that of the agent's manager. The watchdog's time is the shorter one
// of limit and that of the manager.
func withNotify(env []string, address string, limit time.Duration) []string {
	if theirs, err := strconv.ParseInt(environment.Value(env, "WATCHDOG_USEC"), 10, 64); err == nil && theirs > 0 && theirs < int64(1<<62)/1000 {
		if t := time.Duration(theirs) * time.Microsecond; limit <= 0 || t < limit {
			limit = t
		}
	}
	out := make([]string, 0, len(env)+2)
	for _, kv := range env {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID":
		default:
			out = append(out, kv)
		}
	}
	out = append(out, "NOTIFY_SOCKET="+address)
	if limit > 0 {
		out = append(out, fmt.Sprintf("WATCHDOG_USEC=%d", max(1, limit.Microseconds())))
	}
	return out
}

// message acts on one message of the job.
func (p *Progress) message(m notify.Message) {
	if m.Watchdog {
		p.watchdogs.Add(1)
	}
	if m.Extend > 0 {
		until := time.Now().Add(m.Extend)
		if before := p.extended.Load(); before == nil || before.Before(until) {
			p.extended.Store(&until)
		}
	}
	if m.Ready && !p.ready {
		p.ready = true
		p.rec.Note(-1, "the job reports that it is ready")
	}
	if m.Stopping && !p.ending {
		p.ending = true
		p.rec.Note(-1, "the job reports that it is stopping")
	}
}

func (p *Progress) status(text string) {
	p.statuses.Add(1)
	_ = p.rec.Record(journal.TypeStatus, time.Now(), journal.Status{Text: text}) // it may find no room
}

func (p *Progress) refused(why string) {
	p.rec.Note(-1, "a message of the job about its progress was not taken: "+why)
}

// Close records what the job has sent so far, and removes the socket.
func (p *Progress) Close() {
	p.socket.Close()
	p.forward.Close()
	if p.reader != nil {
		p.reader.Close()
	}
}

// observe returns what a check of progress finds.
func (p *Progress) observe(now time.Time) stall.Observation {
	s := stall.Observation{Output: p.rec.OutputMark(), Statuses: p.statuses.Load(), Watchdogs: p.watchdogs.Load()}
	if until := p.extended.Load(); until != nil {
		s.Extended = *until
	}
	measured, err := p.reader.Sample(now)
	members, err2 := p.group.Members()
	s.Unknown = errors.Join(err, err2) != nil
	s.CPUSeconds, s.StorageBytes = measured.CPUSeconds, measured.ReadBytes+measured.WriteBytes
	s.MovedBytes = p.moved.Add(members)
	return s
}

// Watch follows the progress of one step. It belongs to one goroutine.
type Watch struct {
	C <-chan time.Time // a check is due; nil without a limit

	p     *Progress
	watch *stall.Watch
	timer *time.Timer
}

// Watch begins to follow a step. active is now without the time in which the job was
// suspended.
func (p *Progress) Watch(now, active time.Time) *Watch {
	if p.reader == nil {
		return &Watch{}
	}
	w := stall.New(p.limit, active, p.observe(now))
	t := time.NewTimer(w.First())
	return &Watch{C: t.C, p: p, watch: w, timer: t}
}

// Check judges the progress, and sets the time of the next check unless there was none for too
// long.
func (w *Watch) Check(now, active time.Time) stall.Verdict {
	v := w.watch.Check(active, w.p.observe(now))
	if !v.Stalled {
		w.timer.Reset(v.Next)
	}
	return v
}

// Stop ends the checks.
func (w *Watch) Stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
