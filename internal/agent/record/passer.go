package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/sink"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

const (
	// memoryLimit bounds the output that waits for its reader and is not on the disk.
	memoryLimit = 16 << 20
	// defaultLimit is that of a configuration that names none.
	defaultLimit = 1 << 30
	// recordedInterval is how often a passer checks whether output is recorded, besides when it
	// is notified: nothing notifies of a disk that stops answering.
	recordedInterval = 100 * time.Millisecond
	// queueCloseLimit bounds the wait for a disk that does not answer.
	queueCloseLimit = time.Second
	// closerLimit bounds the wait for the watch on the caller's files, whose file system may
	// not answer.
	closerLimit = time.Second
)

// Caller is the process that started the agent, as far as the job's output is passed on to it.
type Caller struct {
	Stdout, Stderr *os.File // nil drops that stream
	// Limit bounds the bytes that wait for a reader; 0 is 1 GiB.
	Limit int64
	// IgnoreClosed lets the job go on when a reader goes away. Otherwise that stream is closed
	// for the job.
	IgnoreClosed bool
}

// Passer passes the job's output on to the caller's stdout and stderr, when it is recorded.
// It waits for their readers; the job does not: what they have not taken is in the queue.
//
// Its goroutines end with Finish; a write that blocks in the kernel for ever (a reader that has
// paused, a terminal stopped with Ctrl-S) can hold one until the process exits.
type Passer struct {
	queue    *sink.Queue
	limit    int64 // of the queue
	journal  *spool.Journal
	recorded <-chan struct{} // more of the journal can be read
	print    func(string)
	closer   *closer // nil when closed outputs are ignored
	outputs  [2]callerOutput

	cancel     context.CancelFunc // nil before Start
	done       chan struct{}
	closerDone sync.WaitGroup
}

// callerOutput is the caller's stdout or stderr.
type callerOutput struct {
	stream   job.Stream
	file     *os.File     // nil: nothing is passed on
	failed   bool         // it takes nothing any more; the passing goroutine's own
	accepted atomic.Int64 // bytes that are to be passed on
	written  atomic.Int64
	gone     atomic.Bool // its reader went away, so that nothing is passed on any more
}

func newPasser(r *Recorder, c Caller) *Passer {
	limits := sink.Limits{Total: c.Limit, Memory: memoryLimit}
	if limits.Total <= 0 {
		limits.Total = defaultLimit
	}
	dir := r.cfg.Journal.Path()
	if dir == "" {
		dir = os.TempDir() // the spool cannot be used
	}
	p := &Passer{
		queue: sink.NewQueue(limits, sink.Directory(dir)), limit: limits.Total, journal: r.cfg.Journal, recorded: r.moreForPasser,
		print: r.cfg.Print, done: make(chan struct{}),
	}
	if !c.IgnoreClosed {
		p.closer = newCloser()
	}
	p.outputs[0].stream, p.outputs[0].file = job.Stdout, c.Stdout
	p.outputs[1].stream, p.outputs[1].file = job.Stderr, c.Stderr
	return p
}

// Start begins to pass output on, until Finish.
func (p *Passer) Start(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	go p.run(ctx)
	if p.closer != nil {
		p.closerDone.Go(func() { p.closer.run(ctx, p.outputs[0].file, p.outputs[1].file) })
	}
}

// Watch closes a capture that has begun to drain when its stream has no reader any more.
func (p *Passer) Watch(c *Capture) {
	if p != nil && p.closer != nil {
		p.closer.add(c)
	}
}

// Closed returns what was closed of a step; nil for nothing.
func (p *Passer) Closed(step int) *job.ClosedOutput {
	if p == nil || p.closer == nil {
		return nil
	}
	return p.closer.of(step)
}

// add takes over output that was recorded up to an offset of the journal. It waits for no
// reader.
func (p *Passer) add(stream job.Stream, data []byte, recorded int64) {
	i := 0
	if stream == job.Stderr {
		i = 1
	}
	if o := &p.outputs[i]; o.file != nil && !o.gone.Load() {
		o.accepted.Add(int64(len(data)))
		p.queue.Add(i, data, recorded)
	}
}

// run passes output on until its end, or until ctx ends.
func (p *Passer) run(ctx context.Context) {
	go p.queue.Spill(ctx)
	defer close(p.done)
	for {
		batch, err := p.queue.Take(ctx)
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return
		}
		if err != nil {
			p.print("output that waited for its reader is lost: " + err.Error())
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
func (p *Passer) awaitRecorded(ctx context.Context, offset int64) bool {
	if p.journal.Readable() >= offset {
		return true
	}
	check := time.NewTicker(recordedInterval)
	defer check.Stop()
	for p.journal.Readable() < offset {
		select {
		case <-p.recorded:
		case <-check.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (p *Passer) write(o *callerOutput, data []byte) {
	for len(data) > 0 && !o.failed && !o.gone.Load() {
		n, err := sink.Write(o.file, data[:min(len(data), 64<<10)])
		o.written.Add(int64(n))
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
			p.print(fmt.Sprintf("the job's %s is not passed on any more: %v", o.stream, err))
		}
	}
}

// Finish waits until the readers have taken everything, or giveUp is closed, and ends the
// passer. It returns how many bytes they did not get.
func (p *Passer) Finish(giveUp <-chan struct{}) (lost int64) {
	if p.cancel == nil {
		return 0 // it was not started, and nothing was printed
	}
	p.queue.End()
	why := ""
	select {
	case <-p.done:
	case <-giveUp:
		why = "a signal ended the wait for its reader"
	}
	p.cancel()
	for i := range p.outputs {
		if o := &p.outputs[i]; !o.gone.Load() {
			lost += o.accepted.Load() - o.written.Load()
		}
	}
	if dropped, disk := p.queue.Dropped(); why == "" && dropped > 0 {
		why = fmt.Sprintf("more than %s waited for its reader (--spool-limit)", job.Bytes(p.limit))
		if disk != nil {
			why = fmt.Sprintf("more than %s waited for its reader, and the disk did not take it: %v", job.Bytes(memoryLimit), disk)
		}
	}
	if lost > 0 {
		text := fmt.Sprintf("%d bytes of the job's output were not passed on", lost)
		if why != "" {
			text += ": " + why
		}
		p.print(text)
	}
	bounded.Do(queueCloseLimit, p.queue.Close)
	bounded.Do(closerLimit, p.closerDone.Wait)
	return lost
}
