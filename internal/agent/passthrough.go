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

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// passStall is how long, after the end, the reader of our own output may make no progress
// before the agent stops waiting for it.
const passStall = 3 * time.Second

// passer passes the job's output on to the caller's stdout and stderr. It reads the
// journal at its own pace: a reader that stalls or goes away is not in the job's path.
//
// Its goroutine ends at the journal's outcome, at a reading error, or when ctx ends; a
// write that blocks in the kernel for ever (a terminal stopped with Ctrl-S) can hold it
// until the process exits.
type passer struct {
	from    *spool.Journal
	more    <-chan struct{}
	say     func(string)
	files   []*os.File              // both, for finish
	outs    map[job.Stream]*os.File // nil: dropped; the goroutine's own
	written atomic.Int64            // bytes that our readers took; shows progress
	offset  atomic.Int64
	done    chan struct{}
}

func newPasser(r *recorder, c Config) *passer {
	r.spool.ExpectSecondReader()
	return &passer{
		from: r.spool, more: r.passed, say: c.Say, done: make(chan struct{}),
		files: []*os.File{c.Stdout, c.Stderr},
		outs:  map[job.Stream]*os.File{job.Stdout: c.Stdout, job.Stderr: c.Stderr},
	}
}

func (p *passer) run(ctx context.Context) {
	defer close(p.done)
	cur := cursor{src: p.from, offset: journal.HeaderSize}
	for {
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
		if rec.Type == journal.TypeOutput {
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
	o, err := journal.DecodeOutput(rec)
	if err != nil || p.outs[o.Stream] == nil {
		return
	}
	for data := o.Data; len(data) > 0; {
		piece := data[:min(len(data), 64<<10)]
		n, err := p.outs[o.Stream].Write(piece)
		p.written.Add(int64(n))
		if err != nil {
			p.outs[o.Stream] = nil
			if !gone(err) {
				p.say(fmt.Sprintf("the job's %s is not passed on any more: %v", o.Stream, err))
			}
			return
		}
		data = data[n:]
	}
}

func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) ||
		errors.Is(err, os.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}

// finish waits until everything is passed on, as long as there is progress.
func (p *passer) finish(stall time.Duration) {
	check := time.NewTicker(stall)
	defer check.Stop()
	before := p.progress()
	for {
		select {
		case <-p.done:
			return
		case <-check.C:
		}
		now := p.progress()
		if now == before {
			p.say("the reader of our output has stalled: not everything could be passed on to it")
			for _, f := range p.files {
				if f != nil {
					_ = f.SetWriteDeadline(time.Now()) // frees a write to a pipe of ours; else it cannot
				}
			}
			return
		}
		before = now
	}
}

func (p *passer) progress() int64 { return p.written.Load() + p.offset.Load() }
