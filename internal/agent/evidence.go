package agent

import (
	"time"

	"stint.dev/stint/job"
)

// evidence returns the figures that a heartbeat reports of the job and its host.
func (a *attempt) evidence(now time.Time) job.Heartbeat {
	hb := a.meter.Heartbeat(now)
	hb.OutputAgeMS, hb.UnsentBytes = -1, a.rec.Journal().Waiting()
	if last := a.rec.OutputAt(); !last.IsZero() {
		hb.OutputAgeMS = max(0, now.Sub(last).Milliseconds())
	}
	hb.OOMKills = a.group.OOMKills()
	hb.DiskFreeBytes = a.disk.Free(a.cfg.Dir, now)
	if by := a.retryUntil.Load(); by != nil {
		hb.WaitingMS = max(1, by.Sub(now).Milliseconds())
	}
	return hb
}
