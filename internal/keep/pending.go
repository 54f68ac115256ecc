package keep

import "time"

// Pending is a limit that waits.
type Pending struct {
	Row
	Now int64 // the limit that is in force until then
}

// Pending returns the limits that wait.
func (t Table) Pending() []Pending {
	var out []Pending
	for _, r := range t {
		if !r.InForce {
			out = append(out, Pending{r, t.InForce(r.Setting)})
		}
	}
	return out
}

// Number is a limit as people write it: days or runs.
func (s Setting) Number(limit int64) float64 {
	if s.Rule == Days {
		return InDays(limit)
	}
	return float64(limit)
}

// AppliesAt is when the limit applies if a server runs until then.
func (p Pending) AppliesAt(now time.Time) time.Time {
	return now.Add(p.Left()).UTC().Truncate(time.Second)
}
