package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// present reports an error when the journal is not where others look for it.
func (j *Journal) present() error {
	mine, err := j.lock.Stat()
	if err != nil {
		return fmt.Errorf("spool: %s: %w", j.dir, err)
	}
	there, err := os.Stat(filepath.Join(j.dir, journalFile))
	if err != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("spool: %s was removed while its agent was at work: %w", j.dir, os.ErrNotExist)
	}
	return nil
}

// end ends the writer's goroutine. One that is held by a disk that stands still is left to
// end when that answers, or with the process.
func (j *Journal) end() (ended bool) {
	if !j.writer.async.Load() {
		return true
	}
	j.mu.Lock()
	if !j.writer.over {
		j.writer.over = true
		close(j.writer.stop)
	}
	j.mu.Unlock()
	timer := time.NewTimer(2 * stuckAfter)
	defer timer.Stop()
	select {
	case <-j.writer.ended:
		return true
	case <-timer.C:
		return false
	}
}

// Close gives up the lock and keeps the journal for whoever delivers it next. The error
// is for the note on how far the server is; the journal itself stands. A journal that is
// meant to be whole on the disk is brought there by Persist first.
func (j *Journal) Close() error {
	ended := j.end()
	if j.disk == nil || !ended {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.giveBackReserve()
	var err error
	if j.meta.Acknowledged != j.acked || j.meta.Refused != "" {
		j.meta.Acknowledged = j.acked
		err = writeMeta(j.disk, j.meta)
	}
	return errors.Join(err, j.closeFiles())
}

func (j *Journal) closeFiles() error {
	for _, s := range append(append(j.placed, j.tail.segments...), j.tail.dead...) {
		if s.file != nil && s.name != journalFile {
			_ = s.file.Close() // it was written with plain calls: nothing is held back
		}
	}
	return j.lock.Close()
}

// Remove deletes the journal: it was delivered.
func (j *Journal) Remove() error {
	ended := j.end()
	if j.disk == nil {
		return nil
	}
	// The journal file goes first: without it the directory is no journal for anybody.
	err := os.Remove(filepath.Join(j.dir, journalFile))
	err = errors.Join(err, os.RemoveAll(j.dir))
	if ended {
		j.mu.Lock()
		defer j.mu.Unlock()
		err = errors.Join(err, j.closeFiles())
	}
	if err != nil {
		return fmt.Errorf("spool: remove %s: %w", j.dir, err)
	}
	return nil
}
