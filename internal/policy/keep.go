package policy

import (
	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/yaml"
)

// Keep is how long the runs of a job are kept. What is absent is as the server was started; 0 is no limit.
type Keep struct {
	Days *float64 `json:"days,omitempty"`
	Runs *int64   `json:"runs,omitempty"`
}

// The limits of what may be kept: longer ones are typing errors.
const (
	maxKeptDays = 100_000
	minKeptDays = 0.001
	maxKeptRuns = 1_000_000_000
)

// AddTo adds the limits of a job to others.
func (k Keep) AddTo(limits keep.Limits, name string) {
	if k.Days != nil {
		limits[keep.Setting{Job: name, Rule: keep.Days}] = keep.OfDays(*k.Days)
	}
	if k.Runs != nil {
		limits[keep.Setting{Job: name, Rule: keep.Runs}] = *k.Runs
	}
}

// keep reads how long the runs of the job are kept.
func (p *Policy) keep(v yaml.Value) error {
	keys := map[string]setter{
		"days": func(v yaml.Value) error {
			days, err := plain(v, 0, maxKeptDays)
			if err == nil && days > 0 && days < minKeptDays {
				return v.Wrong("%g days are less than %g; 0 is no limit", days, minKeptDays)
			}
			p.Keep.Days = &days
			return err
		},
		"runs": func(v yaml.Value) error {
			n, err := plain(v, 0, maxKeptRuns)
			if err != nil {
				return err
			}
			runs, err := wholeOf(v, n)
			p.Keep.Runs = &runs
			return err
		},
	}
	return v.Each("keep", sorted(keys), func(key yaml.Key, v yaml.Value) error { return keys[key.Name](v) })
}
