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

// maxUnsent is more than any journal has.
const maxUnsent = math.MaxInt64 / 4

const (
	defaultUnsent = 1 << 30
	defaultMemory = 16 << 20
	// queueLimit is how much may wait for a disk that works. Beyond it an append waits, as any
	// program does that writes faster than its disk.
	queueLimit = 1 << 20
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
