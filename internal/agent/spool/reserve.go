package spool

import (
	"fmt"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/room"
	"stint.dev/stint/job"
)

// checkRoom returns an error when the disk has no room for the reserve.
func (j *Journal) checkRoom() error {
	s := j.placed.Last()
	f, ready, written := s.File, s.Ready, s.Written
	if ready >= written+room.Reserve {
		return nil
	}
	err := j.io(func() error {
		_, err := j.left(room.Reserve)
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

// left returns how much space the disk has besides that which is left to others, and an error if
// it is less than wanted.
func (j *Journal) left(wanted int64) (int64, error) {
	free, total, err := j.writer.Disk.Free()
	if err != nil {
		return 0, err
	}
	left := free - room.LeftToOthers(total)
	if left < wanted {
		return left, fmt.Errorf("%w: %s of it are free, and %s are left to others", disk.ErrNoRoom, job.Bytes(free), job.Bytes(room.LeftToOthers(total)))
	}
	return left, nil
}

// allocate allocates space for a file to grow to a size with the reserve behind it, in large steps
// while the disk has much, and returns how far it is allocated.
func (j *Journal) allocate(f disk.File, ready, size int64) (int64, error) {
	need := size + room.Reserve
	if need <= ready {
		return ready, nil
	}
	left, err := j.left(need - ready)
	if err != nil {
		return ready, err
	}
	if most := max(need, min(j.limits.Segment+room.Reserve, need+16<<20)); left > 2*(most-ready) {
		if err := f.Reserve(most); err == nil {
			return most, nil
		}
	}
	if err := f.Reserve(need); err != nil {
		return ready, err
	}
	return need, nil
}

// allocateSome allocates as much of the reserve as a full disk still has, also from the space that
// is left to others, and returns how far the file is allocated.
func (j *Journal) allocateSome(f disk.File, ready, written int64) int64 {
	free, _, err := j.writer.Disk.Free()
	if err != nil {
		return ready
	}
	for n := int64(room.Reserve); n >= room.MinReserve && written+n > ready; n /= 2 {
		if written+n-ready <= free && f.Reserve(written+n) == nil {
			return written + n
		}
	}
	return ready
}
