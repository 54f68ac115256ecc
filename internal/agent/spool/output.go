package spool

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
)

// Placement is where output was appended, if it was.
type Placement int

// The placements.
const (
	Placed  Placement = iota // it has its place in the journal
	InTail                   // it may get one later
	Dropped                  // it is counted into a gap
)

// Output appends one encoded output record, of step and stream, whose memory is large
// enough to be kept as it is if own is true: then next is memory of the same size for the
// caller to go on with. length is that of the journal before it.
//
// It waits for a disk that is slower than the job, as a file would make the job wait, but not for
// one that makes no progress.
func (j *Journal) Output(rec []byte, step int, stream job.Stream, own bool) (next []byte, length int64, kept Placement) {
	key := segment.Stream{Step: step, Stream: stream}
	j.mu.Lock()
	j.waitForQueue()
	length = j.placed.State.Size
	if own = own && cap(rec) > 0 && len(rec) >= cap(rec)/4; own {
		next = j.spare.Get(cap(rec))
	}
	if j.tail.Empty() && j.room().AdmitsOutput(int64(len(rec))) {
		if j.appendPlaced(rec, own) == nil {
			j.placed.Streams[key] += segment.OutputBytes(rec)
			j.placed.OutputEnd = j.placed.State.Size
		}
	} else {
		kept = j.appendToTail(rec, key, own)
	}
	j.notifyAndUnlock()
	return next, length, kept
}

// appendToTail appends output to the tail, and drops the oldest of it when it is too much.
func (j *Journal) appendToTail(rec []byte, key segment.Stream, own bool) Placement {
	t := &j.tail
	t.Append(rec, key, own, j.segmentSize(true), time.Now())
	for j.room().DropsOldest() {
		t.DropOldest(j.dropReason())
	}
	if len(t.Segments) == 0 {
		return Dropped
	}
	return InTail
}

// dropReason returns why output is dropped, for its gap.
func (j *Journal) dropReason() string {
	switch {
	case j.writer.Disk == nil || j.writer.Err != nil:
		return fmt.Sprintf("the spool cannot be written (%v) and the memory for output was full", j.writer.Err)
	case j.writer.FullReason != "":
		return j.writer.FullReason + ", and the memory for output was full"
	case j.writer.Stuck(time.Now()):
		return "the disk of the spool did not answer, and the memory for output was full"
	}
	return fmt.Sprintf("the spool's limit of %s was reached before the server had taken it", job.Bytes(j.limits.Unsent))
}
