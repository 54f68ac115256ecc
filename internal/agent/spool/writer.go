package spool

import (
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
)

// Start hands the writing to a goroutine, which Close or Remove ends: from here on no append waits
// for a disk that does not answer. changed is called when there is more to read.
func (j *Journal) Start(changed func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writer.Start(changed)
}

// wake makes the writer search for work. The caller does not hold mu.
func (j *Journal) wake() { j.writer.Wake() }

// io makes calls to the disk. Only what doOne calls may use it. The caller holds mu, which is
// given up for the call.
func (j *Journal) io(call func() error) error { return j.writer.IO(call) }

// await waits until a condition holds, which is evaluated under mu, and reports whether it
// does. It waits as long as the writer makes progress: at most for limit without any.
func (j *Journal) await(limit time.Duration, condition func() bool) bool {
	return j.writer.Await(limit, condition)
}

// doOne does one piece of work and reports whether there may be more. The caller holds mu.
func (j *Journal) doOne() bool {
	if j.writer.Closed {
		return false
	}
	if j.writer.ServeFirst(false) {
		return true
	}
	now := time.Now()
	due := !now.Before(j.writer.RetryAt)
	if j.writer.FullReason != "" && due {
		j.writer.Probe, j.writer.RetryAt = true, now.Add(segment.RetryDelay)
	}
	if j.writer.Disk != nil && (j.writer.Err == nil || due) {
		worked, err := j.useDisk()
		if err != nil {
			j.writer.Failed(err, now)
			return true // there is work that needs no disk
		}
		if worked {
			j.writer.Err = nil
			j.writer.NotifyProgress()
			return true
		}
		if j.writer.Probe { // nothing waits with which it could be tried
			if err := j.checkRoom(); err != nil {
				j.writer.Failed(err, now)
				return true
			}
			j.writer.SetRoom()
		}
	}
	if j.mayMove() {
		j.moveOldest()
		j.writer.Notify = true
		j.writer.NotifyProgress()
		return true
	}
	return j.writer.ServeFirst(true) || j.makeDurable(now)
}

// makeDurable lets the journal survive a loss of power from now on, if it is time for it.
func (j *Journal) makeDurable(now time.Time) bool {
	if j.writer.DurableAt.IsZero() || now.Before(j.writer.DurableAt) {
		return false
	}
	j.writer.DurableAt = time.Time{}
	token := j.meta.Token != ""
	_ = j.io(func() error { // a disk that cannot do it is no worse than before
		if token {
			_ = j.writer.Disk.MakeDurable(disk.TokenFile)
		}
		return j.writer.Disk.MakeDurable(disk.MetaFile)
	})
	return true
}

// waitForQueue waits while more than queueLimit is queued and the disk makes progress. The caller
// holds mu.
func (j *Journal) waitForQueue() {
	if j.writer.Async() {
		j.writer.AwaitWhile(segment.StuckAfter, func() bool {
			return j.placed.Memory+j.tail.Memory > queueLimit && j.healthy()
		})
	}
}

// AwaitWritten waits until everything appended so far is in the journal's files, but not for a
// disk that refuses to be written, and at most for limit. It does not wait for the disk to
// have it durably.
func (j *Journal) AwaitWritten(limit time.Duration) {
	until := j.Size()
	deadline := time.Now().Add(limit)
	j.await(max(0, limit), func() bool {
		return j.placed.OnDisk >= until || j.writer.Disk == nil || j.writer.Err != nil || !time.Now().Before(deadline)
	})
}
