package sink

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// chunkSize is how much output one chunk holds, more or less.
	chunkSize = 260 << 10
	// memoryChunks is how many chunks stay in memory although there are files.
	memoryChunks = 4
	// slowLimit is how long one call to the disk may take before it is not waited for.
	slowLimit = 250 * time.Millisecond
	// retryDelay is when a disk that refused to be written is tried again.
	retryDelay = time.Second
	// frameSize is the size of what precedes each piece of output in a chunk: its file and length.
	frameSize = 5
)

// Limits bound what a queue holds for readers that have not taken it.
type Limits struct {
	Total  int64 // bytes in memory and in files together
	Memory int64 // bytes in memory
}

// Queue holds output between the job and the readers of the caller's files. Adding to it
// never waits for a reader: what memory should not hold goes to files, and what is beyond
// the limits is dropped. It waits for a disk that is slower than the job, as a job's own file
// would make it wait, but not for one that does not answer.
//
// A goroutine may add, another one take, and Spill writes to the disk.
type Queue struct {
	limits Limits
	store  Store

	mu      sync.Mutex
	chunks  []*chunk // oldest first; the last one is added to
	total   int64
	memory  int64
	dropped int64
	diskErr error // why the disk was not written when it was last tried; nil when it was
	ended   bool
	closed  bool
	since   time.Time     // when the call to the disk began that is under way; zero for none
	moved   chan struct{} // closed and replaced when a chunk left memory, or the disk failed
	more    chan struct{} // cap 1: something to take
	work    chan struct{} // cap 1: something to write
	spare   [][]byte
}

// chunk is some pieces of output, in memory or in a file.
type chunk struct {
	data    []byte // nil when it is in a file
	size    int
	after   int64 // see Add
	writing bool
	taken   bool
	file    *spillFile
	at      int64
}

// NewQueue makes a queue. A nil store keeps everything in memory.
func NewQueue(limits Limits, store Store) *Queue {
	return &Queue{
		limits: limits, store: store, moved: make(chan struct{}),
		more: make(chan struct{}, 1), work: make(chan struct{}, 1),
	}
}

// Add appends output for one of the files and reports whether there was room. after goes
// with it to the batch.
func (q *Queue) Add(file int, data []byte, after int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := int64(len(data) + frameSize)
	q.waitForDisk(n)
	if q.closed || q.total+n > q.limits.Total || q.memory+n > q.limits.Memory {
		q.dropped += int64(len(data))
		return false
	}
	last := q.last(int(n))
	last.data = append(last.data, byte(file))
	last.data = binary.LittleEndian.AppendUint32(last.data, uint32(len(data)))
	last.data = append(last.data, data...)
	last.size, last.after = len(last.data), max(last.after, after)
	q.total += n
	q.memory += n
	wake(q.more)
	if len(q.chunks) > memoryChunks {
		wake(q.work)
	}
	return true
}

// last returns the chunk to add n bytes to. The caller holds mu.
func (q *Queue) last(n int) *chunk {
	if len(q.chunks) > 0 {
		if c := q.chunks[len(q.chunks)-1]; c.data != nil && !c.writing && c.size+n <= cap(c.data) {
			return c
		}
	}
	var memory []byte
	if i := len(q.spare) - 1; i >= 0 && cap(q.spare[i]) >= n {
		memory, q.spare = q.spare[i][:0], q.spare[:i]
	} else {
		memory = make([]byte, 0, max(n, chunkSize))
	}
	c := &chunk{data: memory}
	q.chunks = append(q.chunks, c)
	return c
}

// waitForDisk waits while memory has no room and the disk makes progress. The caller holds mu,
// which is released meanwhile.
func (q *Queue) waitForDisk(n int64) {
	timer := time.NewTimer(slowLimit)
	defer timer.Stop()
	for q.memory+n > q.limits.Memory && !q.since.IsZero() && time.Since(q.since) < slowLimit {
		moved := q.moved
		q.mu.Unlock()
		select {
		case <-moved:
			timer.Reset(slowLimit)
		case <-timer.C:
			q.mu.Lock()
			return
		}
		q.mu.Lock()
	}
}

// End declares that nothing is added any more.
func (q *Queue) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	wake(q.more)
}

// Dropped returns how many bytes found no room, and why the disk could not take more; nil when the
// limit was reached.
func (q *Queue) Dropped() (bytes int64, disk error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped, q.diskErr
}

// Batch is some output that was taken.
type Batch struct {
	After  int64 // the highest that was given to Add
	data   []byte
	memory []byte // to be used again; nil while the writer reads it
}

// Next takes the next piece of output from the batch.
func (b *Batch) Next() (file int, data []byte, ok bool) {
	if len(b.data) < frameSize {
		return 0, nil, false
	}
	end := frameSize + int(binary.LittleEndian.Uint32(b.data[1:]))
	file, data = int(b.data[0]), b.data[frameSize:end]
	b.data = b.data[end:]
	return file, data, true
}

// Take waits for output and takes it. It returns io.EOF after End when everything was taken,
// the error of ctx, or that of a disk that cannot be read: what was there is lost then.
func (q *Queue) Take(ctx context.Context) (*Batch, error) {
	for {
		q.mu.Lock()
		if len(q.chunks) > 0 {
			c := q.chunks[0]
			q.chunks[0] = nil
			q.chunks = q.chunks[1:]
			q.total -= int64(c.size)
			c.taken = true
			if c.data != nil {
				q.releaseMemory(c)
				b := &Batch{After: c.after, data: c.data}
				if !c.writing {
					b.memory = c.data
				}
				q.mu.Unlock()
				return b, nil
			}
			q.mu.Unlock()
			data := make([]byte, c.size)
			_, err := c.file.ReadAt(data, c.at)
			c.file.release()
			return &Batch{After: c.after, data: data, memory: data}, err
		}
		ended := q.ended
		q.mu.Unlock()
		if ended {
			return nil, io.EOF
		}
		select {
		case <-q.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Recycle gives back the memory of a batch, whose pieces are not used any more.
func (q *Queue) Recycle(b *Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recycle(b.memory)
	b.memory = nil
}

// recycle keeps memory for the next chunk. The caller holds mu.
func (q *Queue) recycle(memory []byte) {
	if cap(memory) == chunkSize && len(q.spare) < memoryChunks {
		q.spare = append(q.spare, memory)
	}
}

// releaseMemory counts a chunk out of memory. The caller holds mu.
func (q *Queue) releaseMemory(c *chunk) {
	q.memory -= int64(c.size)
	close(q.moved)
	q.moved = make(chan struct{})
}

// Close closes the files. What was not taken is lost.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, c := range q.chunks {
		if c.taken = true; c.file != nil {
			c.file.release()
		}
	}
	q.chunks, q.spare = nil, nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Store makes the files for what memory should not hold.
type Store interface {
	// Create makes an empty file that is gone when it is closed.
	Create() (*os.File, error)
	// Room returns an error when n bytes more would leave others too little of the disk.
	Room(n int64) error
}
