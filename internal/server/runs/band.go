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
)

type bandIn struct {
	Run    string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	Points int    `query:"points" minimum:"2" maximum:"1000" default:"100" doc:"How many points to return."`
}

// GetBand answers what the last good runs before a run used, by the time since their start.
func (s *Runs) GetBand(ctx context.Context, in *bandIn) (*route.Answer[job.Band], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	run, err := s.Store.Run(ctx, id)
	if err != nil {
		return nil, s.Internal(ctx, "read run "+id, err)
	}
	good, err := s.Store.GoodRunsBefore(ctx, run, band.MaxRuns)
	if err != nil {
		return nil, s.Internal(ctx, "find the good runs of job "+run.Job, err)
	}
	var profiles []profile
	for _, r := range good {
		p, err := s.profiles.of(ctx, s.Store, r)
		if err != nil {
			return nil, s.Internal(ctx, "read the samples of run "+r.ID, err)
		}
		if len(p) > 0 {
			profiles = append(profiles, p)
		}
	}
	return route.OK(bandOf(profiles, in.Points))
}

// profile is what a run used over time, with few points.
type profile []profilePoint

type profilePoint struct {
	at    time.Duration // since its start
	cores float64
	bytes float64 // of memory in use; 0 where that was not measured
}

// Bounds of the profiles: points of one, and how many are kept in memory, because a run
// that has ended does not change.
const (
	profilePoints = 300
	profilesKept  = 500
)

// profiles remembers those that were read.
type profiles struct {
	turn  chan struct{} // holds one for each profile that is being read
	mu    sync.Mutex
	known map[string]profile
}

// profilesAtOnce is how many profiles are read at the same time.
const profilesAtOnce = 2

func newProfiles() profiles { return profiles{turn: make(chan struct{}, profilesAtOnce)} }

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
	select { // each may read all samples of a run of weeks
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	series, err := store.Samples(ctx, r.ID, r.Attempt, query.Samples{Points: 10 * profilePoints, Even: true})
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
	if p.known == nil || len(p.known) >= profilesKept {
		p.known = map[string]profile{}
	}
	p.known[r.ID] = made
	return made, nil
}

// profileOf averages neighbouring samples until there are few.
func profileOf(samples []job.Sample, began time.Time) profile {
	parts := min(len(samples), profilePoints)
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

// bandOf is the spread of profiles at n times, from the start to the end of the longest. At
// each time those count that had not ended.
func bandOf(profiles []profile, n int) job.Band {
	out := job.Band{Runs: len(profiles), Points: []job.BandPoint{}}
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
			if point, there := p.when(at); there {
				if cores = append(cores, point.cores); point.bytes > 0 {
					bytes = append(bytes, point.bytes)
				}
			}
		}
		if len(cores) == 0 {
			continue
		}
		out.Points = append(out.Points, job.BandPoint{AtSeconds: at.Seconds(), CPUCores: spread(cores), MemoryBytes: spread(bytes)})
	}
	return out
}

// when is the point that holds at a time; none after the last.
func (p profile) when(at time.Duration) (profilePoint, bool) {
	if at > p[len(p)-1].at {
		return profilePoint{}, false
	}
	i, exact := slices.BinarySearchFunc(p, at, func(x profilePoint, at time.Duration) int { return int(x.at - at) })
	if !exact {
		i = max(i-1, 0)
	}
	return p[i], true
}

// spread is zero without values.
func spread(values []float64) job.Spread {
	if len(values) == 0 {
		return job.Spread{}
	}
	slices.Sort(values)
	return job.Spread{P10: band.Percentile(values, 10), P50: band.Percentile(values, 50), P90: band.Percentile(values, 90)}
}
