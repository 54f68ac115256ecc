package store_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// overviewRandom compares the overview after random changes with a model that looks at every run.
func overviewRandom(t *testing.T, s *store.Store) {
	seed := uint64(time.Now().UnixNano())
	m := &overviewModel{t: t, s: s, r: rand.New(rand.NewPCG(seed, 0)), active: map[string]*testJournal{}, reported: map[string]time.Time{}}
	for step := range 150 {
		m.step()
		if step%10 == 9 && !m.compare() {
			t.Fatalf("seed %d, after step %d", seed, step)
		}
	}
}

type overviewModel struct {
	t        *testing.T
	s        *store.Store
	r        *rand.Rand
	ids      []string
	active   map[string]*testJournal
	reported map[string]time.Time // of active runs and those that were lost
}

func (m *overviewModel) pick() string { return m.ids[m.r.IntN(len(m.ids))] }

// step changes something: a run begins, ends, is lost or reports again, is judged, acknowledged or
// deleted.
func (m *overviewModel) step() {
	names := []string{"a", "b", "c", "d", "e"}
	name := names[m.r.IntN(len(names))]
	start := noon.Add(-time.Duration(m.r.IntN(60*24)) * time.Hour).Add(time.Duration(m.r.IntN(3)) * time.Minute)
	states := []job.State{job.Succeeded, job.Failed, job.TimedOut, job.Canceled}
	state := states[m.r.IntN(len(states))]
	switch action := m.r.IntN(10); {
	case action < 4 || len(m.ids) == 0:
		m.ids = append(m.ids, endedAs(m.t, m.s, name, state, start))
	case action == 4:
		j := begin(m.t, m.s, name, start)
		m.ids, m.active[j.id], m.reported[j.id] = append(m.ids, j.id), j, start
	case action < 8:
		m.change(m.pick(), state)
	case action == 8:
		run, by := mustRun(m.t, m.s, m.pick()), m.s.Acknowledge
		if run.Acknowledged != nil {
			by = func(ctx context.Context, id, who, _ string, now time.Time) (job.Run, []job.RunEvent, error) {
				return m.s.Unacknowledge(ctx, id, who, now)
			}
		}
		if _, _, err := by(m.t.Context(), run.ID, "ada", "", noon); err != nil {
			m.t.Fatal(err)
		}
	default:
		id := m.pick()
		if _, goesOn := m.active[id]; !goesOn {
			must(m.t, m.s.DeleteRun(m.t.Context(), id))
			m.ids = slices.DeleteFunc(m.ids, func(one string) bool { return one == id })
		}
	}
}

// change does something with a run that has not sent its end.
func (m *overviewModel) change(id string, state job.State) {
	j := m.active[id]
	if j == nil {
		return
	}
	lost := mustRun(m.t, m.s, id).State == job.Lost
	switch action := m.r.IntN(4); {
	case action == 0:
		j.endAs(state)
		j.send(m.s, noon)
		delete(m.active, id)
		m.reported[id] = noon
	case lost:
		j.output("x\n")
		j.send(m.s, noon)
		m.reported[id] = noon
	case action == 1:
		lose(m.t, m.s, id)
	case mustRun(m.t, m.s, id).Health == job.Healthy:
		judge(m.t, m.s, id, []job.Health{job.Warning, job.Critical}[m.r.IntN(2)])
	default:
		judge(m.t, m.s, id, job.Healthy)
	}
}

// compare reports whether the overview is what the model says.
func (m *overviewModel) compare() bool {
	var all []job.Run
	for _, id := range m.ids {
		all = append(all, mustRun(m.t, m.s, id))
	}
	slices.SortFunc(all, func(a, b job.Run) int { return cmp.Or(b.StartAt.Compare(a.StartAt), strings.Compare(b.ID, a.ID)) })
	ok := true
	for _, older := range []bool{false, true} {
		want := m.attention(all, older)
		got, jobs := overviewPagesOf(m.t, m.s, noon, 1+m.r.IntN(5), older)
		var ids []string
		for _, r := range got {
			ids = append(ids, r.ID)
		}
		if diff := gocmp.Diff(want, ids); diff != "" {
			m.t.Errorf("attention, older %t (-model +overview):\n%s", older, diff)
			ok = false
		}
		if diff := gocmp.Diff(m.days(all), jobs); diff != "" {
			m.t.Errorf("jobs (-model +overview):\n%s", diff)
			ok = false
		}
	}
	return ok
}

// attention looks at all runs, the one that started last first.
func (m *overviewModel) attention(all []job.Run, older bool) []string {
	type row struct {
		key [3]int64
		id  string
	}
	var rows []row
	decided := map[string]bool{}
	for _, r := range all {
		rank, at := int64(0), r.StartAt
		switch {
		case r.State.Active():
			if r.Health != job.Warning && r.Health != job.Critical {
				continue
			}
			if r.Health == job.Warning {
				rank = 4
			}
		case decided[r.Job] || r.State == job.Canceled:
			continue
		default:
			decided[r.Job] = true
			if r.State == job.Succeeded {
				continue
			}
			rank = map[job.State]int64{job.Lost: 1, job.Failed: 2, job.TimedOut: 3}[r.State]
			if r.EndedAt != nil {
				at = at.Add(r.EndedAt.Sub(*r.StartedAt))
			} else { // lost, and reported last by its journal or heartbeat
				at = later(at, m.reported[r.ID])
			}
			if at.After(noon) {
				at = noon
			}
		}
		if (!r.State.Active() && noon.Sub(at) > 30*24*time.Hour) != older {
			continue
		}
		known := int64(0)
		if r.Acknowledged != nil {
			known = 1
		}
		rows = append(rows, row{[3]int64{known, rank, -at.UnixMicro()}, r.ID})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(slices.Compare(a.key[:], b.key[:]), strings.Compare(b.id, a.id)) })
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	return ids
}

// days are the jobs as all runs show them, the run that started last first.
func (m *overviewModel) days(all []job.Run) []api.JobDay {
	byName := map[string]*api.JobDay{}
	var names []string
	for _, r := range all {
		d := byName[r.Job]
		if d == nil {
			d = &api.JobDay{
				Name: r.Job, LastRun: &api.LastRun{Number: r.Number, State: r.State, StartAt: r.StartAt},
				Day: api.Day{Numbers: []int64{}, States: []job.State{}, AgesSeconds: []int64{}},
			}
			byName[r.Job], names = d, append(names, r.Job)
		}
		d.Runs++
		if r.State.Active() {
			d.Active++
		}
		age := max(noon.Sub(r.StartAt), 0)
		switch {
		case age > 24*time.Hour:
		case len(d.Day.Numbers) == 20:
			d.Day.More = true
		default:
			d.Day.Numbers, d.Day.States = append(d.Day.Numbers, r.Number), append(d.Day.States, r.State)
			d.Day.AgesSeconds = append(d.Day.AgesSeconds, int64(age.Seconds()))
		}
	}
	slices.Sort(names)
	expected, err := m.s.Expected(m.t.Context(), names...)
	if err != nil {
		m.t.Fatal(err)
	}
	var out []api.JobDay
	for _, name := range names {
		byName[name].Usual = query.UsualOf(expected[name])
		out = append(out, *byName[name])
	}
	return out
}
