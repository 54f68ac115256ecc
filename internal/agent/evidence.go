package agent

import (
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/freespace"
	"stint.dev/stint/job"
)

// evidence is what a heartbeat says of the job and its surroundings.
func (a *attempt) evidence(now time.Time) job.Heartbeat {
	hb := a.meter.evidence(now)
	last := a.meter.lastSample()
	hb.ReadBytes, hb.WrittenBytes = last.ReadBytes, last.WriteBytes
	hb.MemoryLimitBytes, hb.Pressure = last.LimitBytes, last.Pressure
	hb.OOMKills = a.group.OOMKills()
	hb.DiskFreeBytes = a.disk.free(a.cfg.Dir, now)
	if by := a.nextBy.Load(); by != nil {
		hb.WaitingMS = max(1, by.Sub(now).Milliseconds())
	}
	return hb
}

func (m *meter) lastSample() job.Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// diskEvery is how often free space is asked for.
const diskEvery = 30 * time.Second

// disk knows how much a working directory has left. A file system that does not answer, as
// one behind a dead network, holds up the one that asks it: that is never the heartbeat.
// Its goroutine ends when the file system answers.
type disk struct {
	asked  time.Time // of the goroutine that beats
	asking atomic.Bool
	known  atomic.Pointer[int64]
}

// free is the last answer, and asks for the next; nil while there is none.
func (d *disk) free(dir string, now time.Time) *int64 {
	if now.Sub(d.asked) >= diskEvery && d.asking.CompareAndSwap(false, true) {
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
