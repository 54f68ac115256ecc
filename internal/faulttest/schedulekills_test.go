package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/client"
	scheduled "stint.dev/stint/client/schedules"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const (
	// scheduleJobs have scheduleEach schedules each, of each minute.
	scheduleJobs, scheduleEach = 200, 5
	// scheduleBatches is at how many times of a minute they are due.
	scheduleBatches = 10
	// skippingJobs is of how many jobs one starts nothing while another run waits; no run ends here.
	skippingJobs = 10
	// shortScheduleKills is how long the short form lasts.
	shortScheduleKills = 8 * time.Second
)

// Servers are killed in turn while a thousand schedules are due in each minute: no time is started twice, and none is
// without a row.
func TestKillsWithSchedules(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			if *killFor > 0 {
				t.Parallel()
			}
			playScheduleKills(t, engine == "PostgreSQL", max(*killFor, shortScheduleKills))
		})
	}
}

func playScheduleKills(t *testing.T, postgres bool, long time.Duration) {
	w := newKillWorld(t, queuePlan{second: postgres, plain: true}, postgres)
	w.startSecondServer()
	began := time.Now().Add(time.Second).Truncate(time.Second)
	jobs := minuteJobs(began, min(long, time.Minute))
	if _, err := w.api.Apply(t.Context(), applied(jobs)); err != nil {
		t.Fatal(err)
	}
	first := w.firstTimes(jobs, began)
	w.began = time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	turn := 0
	kills := w.keepKilling(ctx, func(*rand.Rand) mortal {
		turn++
		if turn%2 == 0 && w.second != nil {
			return w.second
		}
		return w.server
	})
	w.server.wantUp()
	end := time.Now()
	w.waitUntilStarted(end)
	o := startedOnce{end: end, first: first}
	for _, j := range jobs {
		o.read(w, j)
	}
	for i, one := range o.wrong {
		if i < 20 {
			t.Error(one)
		}
	}
	w.checkServer()
	fmt.Printf("kills-schedules: %s, %s: %d kills; %d schedules, %d times that were due, each in one row: %v, %d runs; %d wrong\n",
		engineName(postgres), long, kills, scheduleJobs*scheduleEach, o.due, o.results, o.runs, len(o.wrong))
}

// minuteJob is a job whose schedules are due each minute.
type minuteJob struct {
	name    string
	skips   bool
	anchors []time.Time // of schedule 1, 2, …
}

// minuteJobs are jobs whose schedules are due first within a time.
func minuteJobs(began time.Time, within time.Duration) (all []minuteJob) {
	for n := range scheduleJobs {
		j := minuteJob{name: fmt.Sprintf("minute-%d", n), skips: n%skippingJobs == 0}
		for k := range scheduleEach {
			batch := time.Duration((n + k) % scheduleBatches)
			j.anchors = append(j.anchors, began.Add(-time.Hour).Add((batch * within / scheduleBatches).Truncate(time.Second)))
		}
		all = append(all, j)
	}
	return all
}

func applied(jobs []minuteJob) (in api.ApplyRequest) {
	for _, j := range jobs {
		var b strings.Builder
		fmt.Fprintf(&b, "job: %s\nscript: echo\noverlap: %s\nschedules:\n", j.name, map[bool]string{true: "skip", false: "allow"}[j.skips])
		for _, a := range j.anchors {
			fmt.Fprintf(&b, "- {every: 1m, anchor: %q}\n", a.UTC().Format(time.RFC3339))
		}
		in.Files = append(in.Files, api.ApplyFile{Name: j.name + ".yaml", YAML: b.String()})
	}
	return in
}

// firstTimes are the first time of each schedule, by job and number, when it was just stored.
func (w *queueWorld) firstTimes(jobs []minuteJob, began time.Time) map[string]time.Time {
	w.t.Helper()
	all, err := scheduled.List(w.t.Context(), w.api, "")
	if err != nil || len(all) != scheduleJobs*scheduleEach {
		w.t.Fatalf("%d schedules: %v", len(all), err)
	}
	anchors := map[string]time.Time{}
	for _, j := range jobs {
		for k, a := range j.anchors {
			anchors[slotName(j.name, k+1)] = a
		}
	}
	first := map[string]time.Time{}
	for _, s := range all {
		name := slotName(s.Job, s.Number)
		if s.NextAt == nil || s.NextAt.Before(began.Add(-time.Second)) || s.NextAt.After(time.Now().Add(time.Minute)) || s.NextAt.Sub(anchors[name])%time.Minute != 0 {
			w.t.Fatalf("%s is due at %v", name, s.NextAt)
		}
		first[name] = *s.NextAt
	}
	return first
}

func slotName(name string, number int) string { return fmt.Sprintf("%s/%d", name, number) }

// waitUntilStarted waits until no time that was due at end is left.
func (w *queueWorld) waitUntilStarted(end time.Time) {
	w.t.Helper()
	for late := time.Now().Add(patience); ; wait(w.t.Context(), 200*ms) {
		all, err := scheduled.List(w.t.Context(), w.api, "")
		left := 0
		for _, s := range all {
			if s.NextAt == nil || !s.NextAt.After(end) {
				left++
			}
		}
		if err == nil && left == 0 {
			return
		}
		if time.Now().After(late) {
			w.t.Errorf("%d schedules have not moved behind the end: %v", left, err)
			return
		}
	}
}

// startedOnce compares what the server has of each schedule with each minute.
type startedOnce struct {
	end   time.Time
	first map[string]time.Time // of each schedule

	due, runs int
	results   map[string]int
	wrong     []string
}

// read reads the runs of a job, then its occurrences: what is made meanwhile has an occurrence at least.
func (o *startedOnce) read(w *queueWorld, j minuteJob) {
	ctx := context.Background()
	var runs []job.Run
	for q := (client.RunsQuery{Job: j.name, Limit: 500}); ; {
		page, err := w.api.Runs(ctx, q)
		if err != nil {
			w.t.Fatal(err)
		}
		if runs = append(runs, page.Runs...); page.NextCursor == nil {
			break
		}
		q.Cursor = *page.NextCursor
	}
	rows, err := scheduled.Occurrences(ctx, w.api, j.name, j.anchors[0], o.end.Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	o.compare(j, rows, runs)
}

func (o *startedOnce) failed(format string, args ...any) {
	o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
}

// compare looks for each time that was due, and for nothing else.
func (o *startedOnce) compare(j minuteJob, rows []api.OccurrenceRecord, runs []job.Run) {
	byTime, ofRun := map[string]api.OccurrenceRecord{}, map[string]string{}
	started := 0
	for _, r := range rows {
		name := fmt.Sprintf("%s at %s", slotName(j.name, r.Schedule), r.At.UTC().Format(time.TimeOnly))
		if before, twice := byTime[name]; twice || r.Count != 1 || !r.Last.Equal(r.At) {
			o.failed("%s has several rows, or one of several times: %+v, %+v", name, before, r)
		}
		first := o.first[slotName(j.name, r.Schedule)]
		if r.At.Before(first) || r.At.Sub(first)%time.Minute != 0 {
			o.failed("%s was not due", name)
		}
		if before := ofRun[r.Run]; r.Run != "" && before != "" {
			o.failed("run %s is of %s and of %s", r.Run, before, name)
		}
		byTime[name], ofRun[r.Run] = r, name
		o.judge(name, j, r)
		if r.Run != "" {
			started++
		}
	}
	if j.skips && started != 1 {
		o.failed("%s started %d times, and no run ended", j.name, started)
	}
	known := map[string]bool{}
	for _, run := range runs {
		o.runs++
		known[run.ID] = true
		want := ""
		if run.Submitted != nil && run.Submitted.Occurrence != nil {
			want = fmt.Sprintf("%s at %s", slotName(j.name, run.Submitted.Occurrence.Schedule), run.Submitted.Occurrence.At.UTC().Format(time.TimeOnly))
		}
		if want == "" || ofRun[run.ID] != want {
			o.failed("run %s is of %q, and its occurrence is %q", run.ID, want, ofRun[run.ID])
		}
	}
	for k := range j.anchors {
		for at := o.first[slotName(j.name, k+1)]; !at.After(o.end); at = at.Add(time.Minute) {
			o.due++
			name := fmt.Sprintf("%s at %s", slotName(j.name, k+1), at.UTC().Format(time.TimeOnly))
			r, has := byTime[name]
			switch {
			case !has:
				o.failed("%s has no row", name)
			case r.Run != "" && !known[r.Run]:
				o.failed("%s has run %s, which is not there", name, r.Run)
			}
		}
	}
}

// judge looks at what became of a time: no server was away for a minute.
func (o *startedOnce) judge(name string, j minuteJob, r api.OccurrenceRecord) {
	if o.results == nil {
		o.results = map[string]int{}
	}
	o.results[r.Result]++
	ran := r.Result == "ran" || r.Result == "ran_late"
	if ran != (r.Run != "") || !ran && !(j.skips && r.Result == "skipped" && strings.Contains(r.Why, "is queued")) {
		o.failed("%s is %+v", name, r)
	}
}

// What is wrong with rows and runs is seen.
func TestStartedOnce(t *testing.T) {
	first := time.Date(2026, 3, 1, 12, 0, 7, 0, time.UTC)
	row := func(minute int, result, run string) api.OccurrenceRecord {
		at := first.Add(time.Duration(minute) * time.Minute)
		return api.OccurrenceRecord{Schedule: 1, At: at, Last: at, Count: 1, Result: result, Why: "j#1 is queued", Run: run}
	}
	run := func(id string, minute int) job.Run {
		return job.Run{ID: id, Submitted: &job.Submission{Occurrence: &job.Occurrence{Schedule: 1, At: first.Add(time.Duration(minute) * time.Minute)}}}
	}
	type rows = []api.OccurrenceRecord
	type runs = []job.Run
	for name, one := range map[string]struct {
		skips bool
		rows  rows
		runs  runs
		wrong int
	}{
		"right":              {false, rows{row(0, "ran", "a"), row(1, "ran_late", "b")}, runs{run("a", 0), run("b", 1)}, 0},
		"skipped":            {true, rows{row(0, "ran", "a"), row(1, "skipped", "")}, runs{run("a", 0)}, 0},
		"made meanwhile":     {false, rows{row(0, "ran", "a"), row(1, "ran", "b"), row(2, "ran", "c")}, runs{run("a", 0), run("b", 1)}, 0},
		"no row":             {false, rows{row(1, "ran", "b")}, runs{run("b", 1)}, 1},
		"two rows":           {false, rows{row(0, "ran", "a"), row(1, "ran", "b"), row(1, "ran", "c")}, runs{run("a", 0), run("b", 1), run("c", 1)}, 1},
		"two runs":           {false, rows{row(0, "ran", "a"), row(1, "ran", "b")}, runs{run("a", 0), run("b", 1), run("c", 1)}, 1},
		"one run of two":     {false, rows{row(0, "ran", "a"), row(1, "ran", "a")}, runs{run("a", 0)}, 2},
		"no run":             {false, rows{row(0, "ran", "a"), row(1, "ran", "b")}, runs{run("a", 0)}, 1},
		"missed":             {false, rows{row(0, "ran", "a"), row(1, "missed", "")}, runs{run("a", 0)}, 1},
		"skipped all":        {true, rows{row(0, "skipped", ""), row(1, "skipped", "")}, nil, 1},
		"at another time":    {false, rows{row(0, "ran", "a"), row(1, "ran", "b"), row(-1, "ran", "c")}, runs{run("a", 0), run("b", 1), run("c", -1)}, 1},
		"started by nothing": {false, rows{row(0, "ran", "a"), row(1, "ran", "b")}, runs{run("a", 0), run("b", 1), {ID: "c"}}, 1},
	} {
		o := startedOnce{end: first.Add(90 * time.Second), first: map[string]time.Time{"j/1": first}}
		o.compare(minuteJob{name: "j", skips: one.skips, anchors: []time.Time{first}}, one.rows, one.runs)
		if len(o.wrong) != one.wrong || o.due != 2 {
			t.Errorf("%s: %d due, %q", name, o.due, o.wrong)
		}
	}
}
