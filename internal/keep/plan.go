package keep

import (
	"cmp"
	"slices"
	"time"
)

// Run is what retention knows of a run.
type Run struct {
	ID, Job   string
	StartAt   time.Time // by the clock of its host
	CreatedAt time.Time
	EndedAt   time.Time // zero: it has no end
	Reported  time.Time // last; zero: never
	Ended     bool      // its state is one in which it has ended
	Bytes     int64     // of its journals, as they are stored
}

// last is when the run ended, or reported last.
func (r Run) last() time.Time {
	if r.EndedAt.IsZero() {
		return r.Reported
	}
	return r.EndedAt
}

// isOlder reports whether a run ended, or reported last, before a time. A clock that is ahead makes no run younger than its last report.
func (r Run) isOlder(before time.Time) bool {
	old := func(at time.Time) bool { return !at.IsZero() && at.Before(before) }
	return r.StartAt.Before(before) && r.CreatedAt.Before(before) && (old(r.EndedAt) || old(r.Reported))
}

// Tally is what one setting would delete.
type Tally struct {
	Setting
	Limit  int64
	Runs   int
	Bytes  int64
	Oldest time.Time // of the ends
	Newest time.Time
	jobs   map[string]bool
}

// Jobs is the number of jobs of the runs.
func (t *Tally) Jobs() int { return len(t.jobs) }

// EachJob calls do with the name of each of the jobs.
func (t *Tally) EachJob(do func(name string)) {
	for name := range t.jobs {
		do(name)
	}
}

// Plan finds what limits delete. Runs are added by job, those of a job from the last one back.
type Plan struct {
	Now    time.Time
	Limits Limits // of all jobs, and of jobs that have their own
	// Bytes is the limit of all journals, 0 for none, and Stored what they take.
	Bytes, Stored int64

	Deleted   map[string]Setting // by the id of the run
	Runs      int                // that have ended, of all
	tallies   map[Setting]*Tally
	job       string
	keptOfJob int64 // ended runs of the job
	later     bool  // the job has a later run that is kept
	active    int64 // bytes of runs that have not ended
	keptRuns  []keptRun
}

// keptRun is an ended run that the limits of days and of runs keep; the limit of bytes may still delete it.
type keptRun struct {
	Run
	isLast bool // of its job
}

// Add adds the next run.
func (p *Plan) Add(r Run) {
	if r.Job != p.job {
		p.job, p.keptOfJob, p.later = r.Job, 0, false
	}
	if !r.Ended {
		p.active += r.Bytes
		p.later = true
		return
	}
	p.Runs++
	if by, limit := p.limit(Days); limit > 0 && r.isOlder(p.Now.Add(-time.Duration(limit)*time.Microsecond)) {
		p.delete(by, limit, r)
		return
	}
	p.keptOfJob++
	if by, limit := p.limit(Runs); limit > 0 && p.keptOfJob > limit {
		p.delete(by, limit, r)
		return
	}
	if p.Bytes > 0 {
		p.keptRuns = append(p.keptRuns, keptRun{r, !p.later})
	}
	p.later = true
}

// limit returns the limit of a rule that holds for the job.
func (p *Plan) limit(rule Rule) (Setting, int64) {
	own := Setting{Job: p.job, Rule: rule}
	if limit, found := p.Limits[own]; found {
		return own, limit
	}
	all := Setting{Rule: rule}
	return all, p.Limits[all]
}

func (p *Plan) delete(by Setting, limit int64, r Run) {
	if p.Deleted == nil {
		p.Deleted, p.tallies = map[string]Setting{}, map[Setting]*Tally{}
	}
	t := p.tallies[by]
	if t == nil {
		t = &Tally{Setting: by, Limit: limit, Oldest: r.last(), Newest: r.last(), jobs: map[string]bool{}}
		p.tallies[by] = t
	}
	p.Deleted[r.ID] = by
	p.Stored -= r.Bytes
	t.Runs++
	t.Bytes += r.Bytes
	t.jobs[r.Job] = true
	if r.last().Before(t.Oldest) {
		t.Oldest = r.last()
	}
	if r.last().After(t.Newest) {
		t.Newest = r.last()
	}
}

// Finish applies the limit of all journals, and returns what each setting deletes, in the order in which they are applied.
func (p *Plan) Finish() []Tally {
	by := Setting{Rule: Bytes}
	if p.Bytes > 0 && p.Stored > p.Bytes {
		goal := p.active + max(p.Bytes-p.active, p.Bytes/2)
		slices.SortFunc(p.keptRuns, func(a, b keptRun) int { return cmp.Or(a.StartAt.Compare(b.StartAt), cmp.Compare(a.ID, b.ID)) })
		for _, last := range []bool{false, true} {
			for _, r := range p.keptRuns {
				if r.isLast == last && p.Stored > goal {
					p.delete(by, p.Bytes, r.Run)
				}
			}
		}
	}
	var out []Tally
	for _, s := range p.Limits.Sorted() {
		if t := p.tallies[s]; t != nil {
			out = append(out, *t)
		} else if p.Limits[s] > 0 {
			out = append(out, Tally{Setting: s, Limit: p.Limits[s]})
		}
	}
	if t := p.tallies[by]; t != nil {
		out = append(out, *t)
	} else if p.Bytes > 0 {
		out = append(out, Tally{Setting: by, Limit: p.Bytes})
	}
	return out
}
