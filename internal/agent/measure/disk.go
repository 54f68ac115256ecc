package measure

import (
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/freespace"
)

// diskInterval is how often free space is asked for.
const diskInterval = 30 * time.Second

// Disk knows how much room the file system of a directory has left. One that does not answer,
// as behind a dead network, never holds up the heartbeat: it holds up a goroutine, which ends
// when it answers.
type Disk struct {
	asked  time.Time // of the goroutine that sends heartbeats
	asking atomic.Bool
	known  atomic.Pointer[int64]
}

// Free returns the last answer, and asks for the next; nil while there is none. It is called
// by one goroutine.
func (d *Disk) Free(dir string, now time.Time) *int64 {
	if now.Sub(d.asked) >= diskInterval && d.asking.CompareAndSwap(false, true) {
		d.asked = now
		if dir == "" {
			dir = "."
		}
		go func() {
			defer d.asking.Store(false)
			space, err := freespace.Of(dir)
			if err != nil {
				d.known.Store(nil)
				return
			}
			d.known.Store(&space.Free)
		}()
	}
	return d.known.Load()
}
