package spool

import (
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
)

// Kept says what became of output.
type Kept int

// What becomes of output.
const (
	Placed  Kept = iota // it has its place in the journal
	InTail              // it may get one later
	Dropped             // it is counted into a gap
)

// Output appends one encoded output record, of step and stream, whose memory is large
// enough to be kept as it is if own is true: then next is memory of the same size for the
// caller to go on with. length is that of the journal before it.
//
// It waits for a disk that is slower than the job, as a file would make the job wait, but
// not for one that stands still.
func (j *Journal) Output(rec []byte, step int, stream job.Stream, own bool) (next []byte, length int64, kept Kept) {
	key := segment.Stream{Step: step, Stream: stream}
	j.mu.Lock()
	j.waitForQueue()
	length = j.placed.State.Size
	if own = own && cap(rec) > 0 && len(rec) >= cap(rec)/4; own {
		next = j.spare.Get(cap(rec))
	}
	if j.tail.Empty() && j.hasRoomForOutput(int64(len(rec))) {
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

// hasRoomForOutput reports whether output may have its place now.
func (j *Journal) hasRoomForOutput(n int64) bool {
	if j.placed.Unsent()+n > j.limits.Unsent/2 {
		return false
	}
	return j.healthy() || j.placed.Memory+n <= j.window()
}

// appendToTail appends output to the tail, and drops the oldest of it when it is too much.
func (j *Journal) appendToTail(rec []byte, key segment.Stream, own bool) Kept {
	t := &j.tail
	t.Append(rec, key, own, j.segmentSize(true), time.Now())
	for len(t.Segments) > 0 && j.tooMuchTail() {
		t.DropOldest(j.dropReason())
	}
	if len(t.Segments) == 0 {
		return Dropped
	}
	return InTail
}

// tooMuchTail reports whether the tail has outgrown what the limit leaves for it. A quarter
// is left to the steps that follow.
func (j *Journal) tooMuchTail() bool {
	t := &j.tail
	placed := max(0, j.placed.Memory-j.window()-j.plainWindow()) // of the steps before, in memory
	if t.Memory > max(j.limits.Memory-placed, min(tailLimit, j.limits.Memory)) {
		return true
	}
	return len(t.Segments) > 1 && t.Size() > (j.limits.Unsent-j.placed.Unsent())*3/4
}

// dropReason says what keeps output from being kept.
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
