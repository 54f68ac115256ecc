package spool

import "math"

// Limits bound what a journal may take. Zero fields take the defaults.
type Limits struct {
	// Unsent bounds the bytes that the server does not have yet (1 GiB). Beyond half of
	// it the journal keeps the newest output only, in the rest. Records other than output
	// may pass it.
	Unsent int64
	// Memory bounds the output held in memory while the disk cannot be written (16 MiB).
	Memory int64
	// Segment is the size of one file (a 64th of Unsent, from 64 KiB to 1 GiB).
	Segment int64
}

// mostUnsent is more than any journal has.
const mostUnsent = math.MaxInt64 / 4

const (
	defaultUnsent = 1 << 30
	defaultMemory = 16 << 20
	// queueLimit is how much may wait for a disk that works. Beyond it, whoever appends
	// waits as any program does that writes faster than its disk.
	queueLimit = 1 << 20
	// windowLimit bounds the output in memory that may have to be written in the end into
	// the reserve of a full disk. What goes beyond it can still be dropped.
	windowLimit = 2 << 20
	// tailLimit bounds the newest output that is kept in the end on a full disk.
	tailLimit = 1 << 20
	// reserve is room on the disk, allocated ahead, that output does not use: for the ends
	// of steps, the outcome, and what may stand before them in memory.
	reserve = 4 << 20
	// leastRoom is the part of the reserve for the ends of steps and the outcome alone.
	leastRoom = 64 << 10
	// plainReserve is the part of the memory bound for samples and notes.
	plainReserve = 1 << 20
)

func (l Limits) withDefaults() Limits {
	if l.Unsent <= 0 {
		l.Unsent = defaultUnsent
	}
	if l.Memory <= 0 {
		l.Memory = defaultMemory
	}
	if l.Segment <= 0 {
		l.Segment = min(max(l.Unsent/64, 64<<10), 1<<30)
	}
	return l
}

// keepFree is how much of a disk is left to others: a twentieth, at most 1 GiB.
func keepFree(total int64) int64 { return min(total/20, 1<<30) }
