package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/sink"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// passStall is how long, after the end, the reader of our own output may make no progress
// before the agent stops waiting for it.
const passStall = 3 * time.Second

// asideDepth bounds how many reads' worth of output waits beside a full journal.
const asideDepth = 8

// passer passes the job's output on to the caller's stdout and stderr. It reads the
// journal at its own pace: a reader that stalls or goes away is not in the job's path.
//
// Its goroutine ends at the journal's outcome, at a reading error, or when ctx ends; a
// write that blocks in the kernel for ever (a terminal stopped with Ctrl-S) can hold it
// until the process exits.
type passer struct {
	from    *spool.Journal
	aside   <-chan dropped
	waiting *dropped // taken from aside, and its place is not reached yet
	more    <-chan struct{}
	say     func(string)
	closer  *closer                 // nil for none
	files   []*os.File              // both, for finish
	outs    map[job.Stream]*os.File // nil: dropped; the goroutine's own
	written atomic.Int64            // bytes that our readers took; shows progress
	offset  atomic.Int64
	done    chan struct{}
}

// newPasser reads what r.passOutput has prepared.
func newPasser(r *recorder, c Config, closer *closer) *passer {
	return &passer{
		closer: closer,
		from:   r.spool, aside: r.aside, more: r.passed, say: c.Say, done: make(chan struct{}),
		files: []*os.File{c.Stdout, c.Stderr},
		outs:  map[job.Stream]*os.File{job.Stdout: c.Stdout, job.Stderr: c.Stderr},
	}
}

func (p *passer) run(ctx context.Context) {
	defer close(p.done)
	cur := cursor{src: p.from, offset: journal.HeaderSize}
	for {
		p.passAside(cur.offset)
		rec, err := cur.next()
		if errors.Is(err, io.EOF) {
			select {
			case <-p.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			p.say("the job's output is not passed on any more: " + err.Error())
			p.from.Passed(1 << 62)
			return
		}
		if rec.Type == journal.TypeOutput && !p.from.GivenAside(cur.offset-int64(rec.Size())) {
			p.pass(rec)
		}
		p.offset.Store(cur.offset)
		p.from.Passed(cur.offset)
		if rec.Type == journal.TypeOutcome {
			return
		}
	}
}

// pass writes one record's output. A reader who is gone (EPIPE, EIO of a closed terminal)
// is normal and ends this stream silently.
func (p *passer) pass(rec journal.Record) {
	if o, err := journal.DecodeOutput(rec); err == nil {
		p.write(o.Stream, o.Data)
	}
}

// passAside passes on what found no room in the journal before a place.
func (p *passer) passAside(offset int64) {
	for {
		if p.waiting == nil {
			select {
			case d := <-p.aside:
				p.waiting = &d
			default:
				return
			}
		}
		if p.waiting.at > offset {
			return
		}
		p.write(p.waiting.stream, p.waiting.data)
		p.waiting = nil
	}
}

func (p *passer) write(stream job.Stream, data []byte) {
	for len(data) > 0 && p.outs[stream] != nil {
		n, err := sink.Write(p.outs[stream], data[:min(len(data), 64<<10)])
		p.written.Add(int64(n))
		data = data[n:]
		if err != nil {
			p.outs[stream] = nil
			switch {
			case !gone(err):
				p.say(fmt.Sprintf("the job's %s is not passed on any more: %v", stream, err))
			case p.closer != nil && !errors.Is(err, syscall.EIO): // a closed terminal stops no job
				p.closer.readerGone(stream)
			}
		}
	}
}

func gone(err error) bool {
	return sink.ReaderGone(err) || errors.Is(err, os.ErrDeadlineExceeded)
}

// finish waits until everything is passed on, as long as there is progress and giveUp is open.
func (p *passer) finish(stall time.Duration, giveUp <-chan struct{}) {
	check := time.NewTicker(stall)
	defer check.Stop()
	before := p.progress()
	for {
		select {
		case <-p.done:
			return
		case <-giveUp:
			p.abandon("the wait for the reader of our output was ended by a signal: not everything could be passed on to it")
			return
		case <-check.C:
		}
		now := p.progress()
		if now == before {
			p.abandon("the reader of our output has stalled: not everything could be passed on to it")
			return
		}
		before = now
	}
}

// abandon frees a write to a pipe of ours; any other it cannot.
func (p *passer) abandon(why string) {
	p.say(why)
	for _, f := range p.files {
		if f != nil {
			_ = f.SetWriteDeadline(time.Now())
		}
	}
}

func (p *passer) progress() int64 { return p.written.Load() + p.offset.Load() }
