package spool

import (
	"bytes"
	"fmt"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
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
	key := streamKey{step, stream}
	j.mu.Lock()
	j.writer.waitForRoom(j)
	length = j.state.Size
	if own = own && cap(rec) > 0 && len(rec) >= cap(rec)/4; own {
		next = j.buffer(cap(rec))
	}
	if j.tail.empty() && j.hasRoomForOutput(int64(len(rec))) {
		if j.appendPlaced(rec, own) == nil {
			j.streams[key] += rawLen(rec)
			j.outputEnd = j.state.Size
		}
	} else {
		kept = j.appendToTail(rec, key, own)
	}
	j.notifyAndUnlock()
	return next, length, kept
}

// front is what stands before the raw bytes in an output record.
const front = journal.FrameSize + journal.OutputPrefix

func rawLen(rec []byte) int64 { return int64(len(rec) - front) }

// hasRoomForOutput reports whether output may have its place now.
func (j *Journal) hasRoomForOutput(n int64) bool {
	if j.state.Size-j.acked+n > j.limits.Unsent/2 {
		return false
	}
	return j.healthy() || j.memory+n <= j.window()
}

// buffer is memory of at least a size, used before if there is such.
func (j *Journal) buffer(size int) []byte {
	for n := len(j.spare); n > 0; n = len(j.spare) {
		b := j.spare[n-1]
		j.spare = j.spare[:n-1]
		if cap(b) >= size {
			return b[:size]
		}
	}
	return make([]byte, size)
}

// mostSpare is how many buffers are kept: about as many as queueLimit lets wait. With fewer,
// most of the agent's CPU while a job prints fast goes into making and collecting them.
const mostSpare = 5

// recycle keeps memory for the next that want it.
func (j *Journal) recycle(b []byte) {
	if cap(b) >= 64<<10 && len(j.spare) < mostSpare {
		j.spare = append(j.spare, b)
	}
}

// tail is output that has no place in the journal yet, and what was dropped before it.
type tail struct {
	segments  []*segment // oldest first
	gaps      map[streamKey]*job.Gap
	number    int   // of the newest segment
	dropped   int   // number of the newest segment that was dropped
	memory    int64 // held by chunks
	moving    *move // a segment on its way to its place
	hasRoom   bool  // there was room; go on while there is
	moveAll   bool  // place it all, room or not
	discarded []*segment
	commits   []commitNote // what has got its place, and the disk does not show it yet
	hasNote   bool         // the disk may have a note about the tail
	noteStale bool         // and it does not say how things are
	noteFirst bool         // nor what placed segments depend on: they wait for it
}

// count is output by bytes and lines.
type count struct{ bytes, lines int64 }

func newTail() tail { return tail{gaps: map[streamKey]*job.Gap{}} }

func (t *tail) empty() bool { return len(t.segments) == 0 && len(t.gaps) == 0 && t.moving == nil }

func (t *tail) size() int64 {
	var n int64
	for _, s := range t.segments {
		n += s.size
	}
	return n
}

// appendToTail appends output to the tail, and drops the oldest of it when it is too much.
func (j *Journal) appendToTail(rec []byte, key streamKey, own bool) Kept {
	t := &j.tail
	n := len(t.segments)
	t.noteStale = t.noteStale || t.hasNote && t.empty() // it was of a tail before
	if n == 0 || t.segments[n-1].size >= j.segmentSize(true) {
		t.number++
		t.segments = append(t.segments, &segment{number: t.number, counts: map[streamKey]count{}, startedAt: time.Now()})
		n++
	}
	s := t.segments[n-1]
	t.memory += s.add(rec, true, own)
	c := s.counts[key]
	s.counts[key] = count{c.bytes + rawLen(rec), c.lines + lines(rec[front:])}
	for len(t.segments) > 0 && j.tooMuchTail() {
		j.dropOldest(j.dropReason())
	}
	if len(t.segments) == 0 {
		return Dropped
	}
	return InTail
}

// tooMuchTail reports whether the tail has outgrown what the limit leaves for it. A quarter
// is left to the steps that follow.
func (j *Journal) tooMuchTail() bool {
	t := &j.tail
	placed := max(0, j.memory-j.window()-j.plainWindow()) // of the steps before, in memory
	if t.memory > max(j.limits.Memory-placed, min(tailLimit, j.limits.Memory)) {
		return true
	}
	return len(t.segments) > 1 && t.size() > (j.limits.Unsent-(j.state.Size-j.acked))*3/4
}

// dropOldest counts the oldest segment of the tail into gaps.
func (j *Journal) dropOldest(why string) {
	t := &j.tail
	s := t.segments[0]
	t.segments = t.segments[1:]
	j.addGaps(t.gaps, s.counts, s.startedAt, why)
	t.memory -= s.free()
	s.dropped = true
	t.dropped, t.noteStale = s.number, true
	if s.name != "" {
		t.discarded = append(t.discarded, s)
	}
}

// addGaps adds what is lost to a set of gaps.
func (j *Journal) addGaps(gaps map[streamKey]*job.Gap, lost map[streamKey]count, at time.Time, why string) {
	for key, c := range lost {
		g := gaps[key]
		if g == nil {
			g = &job.Gap{Step: key.step, Stream: key.stream, Reason: why, At: at}
			gaps[key] = g
			j.gaps++
		}
		g.Bytes += c.bytes
		g.Lines += c.lines
	}
}

// dropReason says what keeps output from being kept.
func (j *Journal) dropReason() string {
	switch {
	case j.disk == nil || j.diskErr != nil:
		return fmt.Sprintf("the spool cannot be written (%v) and the memory for output was full", j.diskErr)
	case j.fullReason != "":
		return j.fullReason + ", and the memory for output was full"
	case j.writer.stuck(time.Now()):
		return "the disk of the spool did not answer, and the memory for output was full"
	}
	return fmt.Sprintf("the spool's limit of %s was reached before the server had taken it", job.Bytes(j.limits.Unsent))
}

func lines(b []byte) int64 { return int64(bytes.Count(b, []byte{'\n'})) }
