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

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/sink"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

const (
	// heldInMemory bounds the output that waits for its reader and is not on the disk.
	heldInMemory = 16 << 20
	// defaultSpoolLimit is that of a configuration that names none.
	defaultSpoolLimit = 1 << 30
	// recordedEvery is how often a passer looks whether output is recorded, besides being
	// told so: of a disk that stops answering nobody tells.
	recordedEvery = 100 * time.Millisecond
)

// passer passes the job's output on to the caller's stdout and stderr, when it is recorded.
// It waits for their readers; the job does not: what they have not taken is in the queue.
//
// Its goroutines end at the queue's end, or when ctx ends; a write that blocks in the kernel
// for ever (a reader that has paused, a terminal stopped with Ctrl-S) can hold one until the
// process exits.
type passer struct {
	queue    *sink.Queue
	limit    int64 // of the queue
	journal  *spool.Journal
	recorded <-chan struct{} // more of the journal can be read
	say      func(string)
	closer   *closer // nil for none
	outputs  [2]callerOutput
	done     chan struct{}
}

// callerOutput is the caller's stdout or stderr.
type callerOutput struct {
	stream job.Stream
	file   *os.File // nil: nobody is owed anything
	failed bool     // it takes nothing any more; the passing goroutine's own
	owed   atomic.Int64
	passed atomic.Int64
	gone   atomic.Bool // its reader went away, so that nothing is owed any more
}

// newPasser makes the passer of a recorder. Call it before anything is recorded.
func newPasser(r *recorder, c Config, closer *closer) *passer {
	limits := sink.Limits{Total: c.SpoolLimit, Memory: heldInMemory}
	if limits.Total <= 0 {
		limits.Total = defaultSpoolLimit
	}
	dir := r.spool.Path()
	if dir == "" {
		dir = os.TempDir() // the spool cannot be used
	}
	p := &passer{
		queue: sink.NewQueue(limits, sink.Directory(dir)), limit: limits.Total, journal: r.spool, recorded: r.passed,
		say: c.Say, closer: closer, done: make(chan struct{}),
	}
	p.outputs[0].stream, p.outputs[0].file = job.Stdout, c.Stdout
	p.outputs[1].stream, p.outputs[1].file = job.Stderr, c.Stderr
	return p
}

// add takes over output that was recorded up to an offset of the journal. It waits for no
// reader.
func (p *passer) add(stream job.Stream, data []byte, recorded int64) {
	i := 0
	if stream == job.Stderr {
		i = 1
	}
	if o := &p.outputs[i]; o.file != nil && !o.gone.Load() {
		o.owed.Add(int64(len(data)))
		p.queue.Add(i, data, recorded)
	}
}

// run passes output on.
func (p *passer) run(ctx context.Context) {
	go p.queue.Spill(ctx)
	defer close(p.done)
	for {
		batch, err := p.queue.Take(ctx)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return
		}
		if err != nil {
			p.say("output that waited for its reader is lost: " + err.Error())
			continue
		}
		if !p.awaitRecorded(ctx, batch.After) {
			return
		}
		for i, data, ok := batch.Next(); ok; i, data, ok = batch.Next() {
			p.write(&p.outputs[i], data)
		}
		p.queue.Recycle(batch)
	}
}

// awaitRecorded waits until the journal can be read up to an offset: what the caller has
// seen, an agent that comes after a crash then has too.
func (p *passer) awaitRecorded(ctx context.Context, offset int64) bool {
	if p.journal.Readable() >= offset {
		return true
	}
	look := time.NewTicker(recordedEvery)
	defer look.Stop()
	for p.journal.Readable() < offset {
		select {
		case <-p.recorded:
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (p *passer) write(o *callerOutput, data []byte) {
	for len(data) > 0 && !o.failed && !o.gone.Load() {
		n, err := sink.Write(o.file, data[:min(len(data), 64<<10)])
		o.passed.Add(int64(n))
		data = data[n:]
		switch {
		case err == nil:
		case sink.ReaderGone(err):
			o.gone.Store(true)
			if p.closer != nil && !errors.Is(err, syscall.EIO) { // a closed terminal stops no job
				p.closer.readerGone(o.stream)
			}
		default:
			o.failed = true
			p.say(fmt.Sprintf("the job's %s is not passed on any more: %v", o.stream, err))
		}
	}
}

// finish waits until the readers have taken everything, or giveUp is closed. It returns how
// many bytes they were owed and did not get.
func (p *passer) finish(giveUp <-chan struct{}, stop context.CancelFunc) (lost int64) {
	p.queue.End()
	why := ""
	select {
	case <-p.done:
	case <-giveUp:
		why = "a signal ended the wait for its reader"
	}
	stop()
	for i := range p.outputs {
		if o := &p.outputs[i]; !o.gone.Load() {
			lost += o.owed.Load() - o.passed.Load()
		}
	}
	if dropped, disk := p.queue.Dropped(); why == "" && dropped > 0 {
		why = fmt.Sprintf("more than %s waited for its reader (--spool-limit)", job.Bytes(p.limit))
		if disk != nil {
			why = fmt.Sprintf("more than %s waited for its reader, and the disk did not take it: %v", job.Bytes(heldInMemory), disk)
		}
	}
	if lost > 0 {
		p.say(fmt.Sprintf("%d bytes of the job's output were not passed on%s", lost, because(why)))
	}
	bounded.Do(releaseLimit, p.queue.Close)
	return lost
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}
