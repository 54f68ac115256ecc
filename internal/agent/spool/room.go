package spool

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/job"
)

// roomLeft is how much more than the ends of steps and the outcome a full disk has room for; what
// has its place in memory is in it.
func (j *Journal) roomLeft() int64 { return max(0, j.placed.Reserved()-leastRoom) }

// needsRoom reports whether what has its place in memory will need room on a full disk.
func (j *Journal) needsRoom() bool {
	return j.writer.FullReason != "" && !j.placed.ServerTakes(time.Now())
}

// window is how much output may wait at its place while the disk is not written. On a full disk
// it is what the reserve has room for, unless the server takes it: the outcome comes behind it,
// and has to be written.
func (j *Journal) window() int64 {
	most := min(windowLimit, j.limits.Memory/4)
	if j.needsRoom() {
		most = min(most, j.roomLeft()/2)
	}
	return most
}

// plainWindow is how much more may wait there of samples and notes.
func (j *Journal) plainWindow() int64 {
	if j.needsRoom() {
		return min(plainReserve, j.roomLeft()/4)
	}
	return plainReserve
}

// tailExceedsDisk reports whether the tail is more than fits on a full disk in the end.
func (j *Journal) tailExceedsDisk() bool {
	if j.writer.FullReason == "" || len(j.tail.Segments) == 0 {
		return false
	}
	size := j.tail.Size()
	return len(j.tail.Segments) > 1 && size > tailLimit || j.needsRoom() && size > j.roomLeft()-j.placed.Memory
}

// checkRoom returns an error when the disk has no room for the reserve.
func (j *Journal) checkRoom() error {
	s := j.placed.Last()
	f, ready, written := s.File, s.Ready, s.Written
	if ready >= written+reserve {
		return nil
	}
	err := j.io(func() error {
		_, err := j.left(reserve)
		if disk.Full(err) && f != nil {
			ready = j.allocateSome(f, ready, written)
		}
		return err
	})
	s.Ready = ready
	if disk.Full(err) {
		return err
	}
	return nil // what else is wrong shows when something is written
}

// left is how much the disk has beyond what is left to others, and an error if that is less
// than is wanted.
func (j *Journal) left(wanted int64) (int64, error) {
	free, total, err := j.writer.Disk.Free()
	if err != nil {
		return 0, err
	}
	left := free - keepFree(total)
	if left < wanted {
		return left, fmt.Errorf("%w: %s of it are free, and %s are left to others", disk.ErrNoRoom, job.Bytes(free), job.Bytes(keepFree(total)))
	}
	return left, nil
}

// allocate takes room for a file to grow to a size with the reserve behind it, in large
// steps while the disk has much, and returns how far it is allocated.
func (j *Journal) allocate(f disk.File, ready, size int64) (int64, error) {
	need := size + reserve
	if need <= ready {
		return ready, nil
	}
	left, err := j.left(need - ready)
	if err != nil {
		return ready, err
	}
	if most := max(need, min(j.limits.Segment+reserve, need+16<<20)); left > 2*(most-ready) {
		if err := f.Reserve(most); err == nil {
			return most, nil
		}
	}
	if err := f.Reserve(need); err != nil {
		return ready, err
	}
	return need, nil
}

// allocateSome takes as much of the reserve as a full disk still has, also of what is left to
// others, and returns how far the file is allocated.
func (j *Journal) allocateSome(f disk.File, ready, written int64) int64 {
	free, _, err := j.writer.Disk.Free()
	if err != nil {
		return ready
	}
	for n := int64(reserve); n >= leastRoom && written+n > ready; n /= 2 {
		if written+n-ready <= free && f.Reserve(written+n) == nil {
			return written + n
		}
	}
	return ready
}
