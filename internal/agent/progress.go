package agent

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/internal/agent/notify"
	"stint.dev/stint/internal/agent/sample"
	"stint.dev/stint/internal/agent/stall"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// progress is what the job says of itself, and what the agent sees of its work.
type progress struct {
	a      *attempt
	socket *notify.Socket // nil when it could not be made
	// forward goes to whoever watches the agent itself; nil for nobody. It belongs to the
	// socket's goroutine until that has ended.
	forward *notify.Forward

	// Written by the socket's goroutine, read by the supervising one.
	words, watchdogs atomic.Int64
	extended         atomic.Pointer[time.Time]

	ready, ending bool // noted; of the socket's goroutine

	reader *sample.Reader // nil without --no-progress-timeout
	moved  stall.Moved
}

// newProgress makes the socket on which the job can tell of its progress, and tells the
// job where it is. A job without it is a job all the same.
func newProgress(a *attempt) *progress {
	p := &progress{a: a}
	if address := environment.Value(a.env, "NOTIFY_SOCKET"); address != "" {
		var err error
		if p.forward, err = notify.NewForward(address); err != nil {
			a.rec.Note(-1, "what the job says of its progress is not handed on: "+err.Error())
		}
	}
	// In the journal's directory nobody else can reach it, and it is removed with the journal.
	socket, err := notify.Listen(a.rec.Journal().Path(), notify.Heard{Message: p.message, Raw: p.raw, Status: p.status, Refused: p.refused})
	if err != nil {
		a.rec.Note(-1, "the job cannot tell of its progress: NOTIFY_SOCKET could not be made: "+err.Error())
	} else {
		p.socket = socket
		a.env = withNotify(a.env, socket.Address(), a.cfg.NoProgressTimeout)
	}
	if a.cfg.NoProgressTimeout > 0 {
		p.reader = sample.New(a.group)
	}
	return p
}

// raw hands a message on to whoever watches the agent.
func (p *progress) raw(datagram []byte) {
	if p.forward == nil {
		return
	}
	if err := p.forward.Send(datagram); err != nil {
		p.a.rec.Note(-1, "what the job says of its progress is no longer handed on: "+err.Error())
		p.forward.Close()
		p.forward = nil
	}
}

// withNotify puts the socket into an environment, in the place of one that belongs to
// whoever watches the agent. The watchdog's time is the shorter one of ours and theirs.
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
func (p *progress) message(m notify.Message) {
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
		p.a.rec.Note(-1, "the job says that it is ready")
	}
	if m.Stopping && !p.ending {
		p.ending = true
		p.a.rec.Note(-1, "the job says that it is stopping")
	}
}

func (p *progress) status(text string) {
	p.words.Add(1)
	_ = p.a.rec.Record(journal.TypeStatus, time.Now(), journal.Status{Text: text}) // no room: see Record
}

func (p *progress) refused(why string) {
	p.a.rec.Note(-1, "a message of the job about its progress was not taken: "+why)
}

// close takes what the job said last, before the outcome is written.
func (p *progress) close() {
	p.socket.Close()
	p.forward.Close()
	if p.reader != nil {
		p.reader.Close()
	}
}

// seen is one look for the judgement of progress.
func (p *progress) seen(now time.Time) stall.Seen {
	s := stall.Seen{Output: p.a.rec.OutputMark(), Words: p.words.Load(), Watchdogs: p.watchdogs.Load()}
	if until := p.extended.Load(); until != nil {
		s.Extended = *until
	}
	measured, err := p.reader.Sample(now)
	members, err2 := p.a.group.Members()
	s.Unknown = errors.Join(err, err2) != nil
	s.CPUSeconds, s.StorageBytes = measured.CPUSeconds, measured.ReadBytes+measured.WriteBytes
	s.MovedBytes = p.moved.Add(members)
	return s
}

// stalling follows the progress of one step; nil without a limit on it.
type stalling struct {
	p     *progress
	watch *stall.Watch
	timer *time.Timer
	C     <-chan time.Time
}

// follow begins to watch a step's progress.
func (p *progress) follow() *stalling {
	if p.reader == nil {
		return &stalling{}
	}
	now := time.Now()
	w := stall.New(p.a.cfg.NoProgressTimeout, p.a.working(now), p.seen(now))
	t := time.NewTimer(w.First())
	return &stalling{p: p, watch: w, timer: t, C: t.C}
}

// look stops the attempt when there was no progress for too long, or sets the next look.
func (s *stalling) look() {
	if s.p.a.stop.cause != nil {
		return
	}
	now := time.Now()
	v := s.watch.Look(s.p.a.working(now), s.p.seen(now))
	if v.Stalled {
		s.p.a.begin(job.StopCause{Reason: job.NoProgress, Limit: s.p.a.cfg.NoProgressTimeout, Why: v.Why}, 0)
		return
	}
	s.timer.Reset(v.Next)
}

func (s *stalling) end() {
	if s.timer != nil {
		s.timer.Stop()
	}
}
