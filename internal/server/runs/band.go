package runs

import (
	"context"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/band"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

type bandIn struct {
	Run    string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	Points int    `query:"points" minimum:"2" maximum:"1000" default:"100" doc:"How many points to return."`
}

// GetBand responds with what the last good runs before a run used, by the time since their start.
func (s *Runs) GetBand(ctx context.Context, in *bandIn) (*route.Response[api.Band], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read run "+id, err)
	}
	good, err := s.Store.GoodRunsBefore(ctx, run, band.MaxRuns)
	if err != nil {
		return nil, s.ProblemOf(ctx, "find the good runs of job "+run.Job, err)
	}
	var profiles []profile
	for _, r := range good {
		p, err := s.profiles.of(ctx, s.Store, r)
		if err != nil {
			return nil, s.ProblemOf(ctx, "read the samples of run "+r.ID, err)
		}
		if len(p) > 0 {
			profiles = append(profiles, p)
		}
	}
	return route.OK(bandOf(profiles, in.Points))
}

// profile is what a run used over time, reduced to at most maxProfilePoints.
type profile []profilePoint

type profilePoint struct {
	at    time.Duration // since its start
	cores float64
	bytes float64 // of memory in use; 0 if it was not measured
}

const (
	// maxProfilePoints is how many points a profile has.
	maxProfilePoints = 300
	// maxProfiles is how many profiles are cached. They are those of ended runs, which do not change.
	maxProfiles = 500
	// maxProfileReads is how many profiles are read at the same time.
	maxProfileReads = 2
)

// profiles is a cache of profiles.
type profiles struct {
	turn  chan struct{} // holds one token for each profile that is being read
	mu    sync.Mutex
	known map[string]profile
}

func newProfiles() profiles { return profiles{turn: make(chan struct{}, maxProfileReads)} }

// of returns the profile of a run; nil if the run has not started.
func (p *profiles) of(ctx context.Context, store Store, r job.Run) (profile, error) {
	p.mu.Lock()
	known, ok := p.known[r.ID]
	p.mu.Unlock()
	if ok {
		return known, nil
	}
	if r.StartedAt == nil {
		return nil, nil
	}
	select { // a read may need all samples of a run of weeks
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	series, err := store.Samples(ctx, r.ID, r.Attempt, query.Samples{Points: 10 * maxProfilePoints, Even: true})
	if err != nil {
		return nil, err
	}
	made := profileOf(series.Samples, *r.StartedAt)
	if r.Usage.PeakMemoryBytes == 0 {
		for i := range made {
			made[i].bytes = 0
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= maxProfiles {
		p.known = map[string]profile{}
	}
	p.known[r.ID] = made
	return made, nil
}

// profileOf returns the profile of samples: averages of neighbouring ones.
func profileOf(samples []job.Sample, began time.Time) profile {
	parts := min(len(samples), maxProfilePoints)
	out := make(profile, 0, parts)
	for i := range parts {
		part := samples[i*len(samples)/parts : (i+1)*len(samples)/parts]
		var p profilePoint
		for _, s := range part {
			p.cores += s.CPUCores / float64(len(part))
			p.bytes += float64(s.MemoryBytes) / float64(len(part))
		}
		p.at = max(part[0].At.Sub(began), 0)
		out = append(out, p)
	}
	return out
}

// bandOf returns the percentiles of profiles at n times, from the start to the end of the longest. At each
// time those are used that had not ended.
func bandOf(profiles []profile, n int) api.Band {
	out := api.Band{Runs: len(profiles), Points: []api.BandPoint{}}
	var longest time.Duration
	for _, p := range profiles {
		longest = max(longest, p[len(p)-1].at)
	}
	if len(profiles) == 0 {
		return out
	}
	for i := range n {
		at := time.Duration(float64(longest) * float64(i) / float64(n-1))
		var cores, bytes []float64
		for _, p := range profiles {
			if point, ok := p.pointAt(at); ok {
				if cores = append(cores, point.cores); point.bytes > 0 {
					bytes = append(bytes, point.bytes)
				}
			}
		}
		if len(cores) == 0 {
			continue
		}
		out.Points = append(out.Points, api.BandPoint{AtSeconds: at.Seconds(), CPUCores: spread(cores), MemoryBytes: spread(bytes)})
	}
	return out
}

// pointAt returns the last point at or before a time since the start; false after the last point.
func (p profile) pointAt(at time.Duration) (profilePoint, bool) {
	if at > p[len(p)-1].at {
		return profilePoint{}, false
	}
	i, exact := slices.BinarySearchFunc(p, at, func(x profilePoint, at time.Duration) int { return int(x.at - at) })
	if !exact {
		i = max(i-1, 0)
	}
	return p[i], true
}

// spread returns percentiles of values; zeros without values.
func spread(values []float64) api.Spread {
	if len(values) == 0 {
		return api.Spread{}
	}
	slices.Sort(values)
	return api.Spread{P10: band.Percentile(values, 10), P50: band.Percentile(values, 50), P90: band.Percentile(values, 90)}
}
