package sink

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/freespace"
)

// maxFileSize is when the next file is begun: room is freed by whole files.
const maxFileSize = 16 << 20

// spillFile is a file with chunks. It is closed, and its room freed, when it is not needed
// any more.
type spillFile struct {
	*os.File
	size  int64
	users atomic.Int64 // chunks in it, and the goroutine that writes to it
}

func (f *spillFile) release() {
	if f.users.Add(-1) == 0 {
		_ = f.Close() // what is in it is not needed
	}
}

// Spill writes to the disk what memory should not hold, until ctx ends. A write that the disk
// does not answer holds it until then.
func (q *Queue) Spill(ctx context.Context) {
	if q.store == nil {
		return
	}
	var file *spillFile
	defer func() {
		if file != nil {
			file.release()
		}
	}()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.work:
		case <-retry:
		}
		retry = nil
		for c := q.oldestToSpill(); c != nil && ctx.Err() == nil; c = q.oldestToSpill() {
			err := q.write(c, &file)
			if q.noteWritten(c, file, err); err != nil {
				retry = time.After(retryDelay)
				break
			}
		}
	}
}

// oldestToSpill returns the oldest chunk that should leave memory; nil for none.
func (q *Queue) oldestToSpill() *chunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := memoryChunks; i < len(q.chunks)-1; i++ {
		if c := q.chunks[i]; c.data != nil && c.file == nil {
			c.writing, q.since = true, time.Now()
			return c
		}
	}
	return nil
}

// write writes one chunk behind the others.
func (q *Queue) write(c *chunk, file **spillFile) error {
	if err := q.store.Room(int64(c.size)); err != nil {
		return err
	}
	if *file == nil || (*file).size >= maxFileSize {
		f, err := q.store.Create()
		if err != nil {
			return err
		}
		if *file != nil {
			(*file).release()
		}
		*file = &spillFile{File: f}
		(*file).users.Store(1)
	}
	n, err := (*file).WriteAt(c.data, (*file).size)
	c.at = (*file).size
	(*file).size += int64(n)
	return err
}

// noteWritten notes how writing a chunk ended.
func (q *Queue) noteWritten(c *chunk, file *spillFile, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.since, c.writing, q.diskErr = time.Time{}, false, err
	if err != nil {
		close(q.moved) // wakes those who wait
		q.moved = make(chan struct{})
		return
	}
	if c.taken {
		return // meanwhile, from memory
	}
	file.users.Add(1)
	c.file = file
	q.releaseMemory(c)
	q.recycle(c.data)
	c.data = nil
}

// Directory is a Store whose files are in a directory, without a name.
type Directory string

// Create makes a file and removes its name.
func (d Directory) Create() (*os.File, error) {
	f, err := os.CreateTemp(string(d), "output-*")
	if err != nil {
		return nil, fmt.Errorf("hold output for its reader: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("hold output for its reader: %w", err)
	}
	return f, nil
}

// Room leaves a twentieth of the disk to others, at most 1 GiB.
func (d Directory) Room(n int64) error {
	space, err := freespace.Of(string(d))
	if err != nil {
		return fmt.Errorf("hold output for its reader: %w", err)
	}
	if left := min(space.Total/20, 1<<30); space.Free-n < left {
		return fmt.Errorf("hold output for its reader in %s: %w", string(d), syscall.ENOSPC)
	}
	return nil
}
