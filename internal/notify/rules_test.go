package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/notify/quiet"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func event(what string, severity job.Health) api.Action {
	return api.Action{What: what, Severity: severity, Kind: outbox.Notify}
}

func TestTakes(t *testing.T) {
	run := &job.Run{Job: "nightly-etl", Labels: map[string]string{"team": "ml"}}
	failed, warning := event("failed", job.Critical), event("overdue", job.Warning)
	recovered := event("recovered", job.Critical)
	passed := recovered
	passed.Ends = "overdue"
	without, started := event("skipped", job.Warning), recovered
	without.Job, started.Ends = "nightly-etl", "skipped"
	for name, c := range map[string]struct {
		match api.RouteMatch
		a     api.Action
		run   *job.Run
		want  bool
	}{
		"everything":                    {api.RouteMatch{}, failed, run, true},
		"a notice about the server":     {api.RouteMatch{}, event("network", job.Warning), nil, true},
		"success is no trouble":         {api.RouteMatch{}, event("succeeded", outbox.Info), run, false},
		"success by name":               {api.RouteMatch{Events: []string{"succeeded"}}, event("succeeded", outbox.Info), run, true},
		"a person's cancel":             {api.RouteMatch{}, event("canceled", outbox.Info), run, false},
		"the agent's end":               {api.RouteMatch{}, event("canceled", job.Warning), run, true},
		"glob":                          {api.RouteMatch{Job: "nightly-*"}, failed, run, true},
		"another glob":                  {api.RouteMatch{Job: "weekly-*"}, failed, run, false},
		"server notice, route of a job": {api.RouteMatch{Job: "*"}, event("network", job.Warning), nil, false},
		"a job without runs":            {api.RouteMatch{Job: "nightly-*"}, without, nil, true},
		"another job without runs":      {api.RouteMatch{Job: "weekly-*"}, without, nil, false},
		"labels of a job without runs":  {api.RouteMatch{Labels: map[string]string{"team": "ml"}}, without, nil, false},
		"end of a job's finding":        {api.RouteMatch{Events: []string{"skipped"}}, started, run, true},
		"label":                         {api.RouteMatch{Labels: map[string]string{"team": "ml"}}, failed, run, true},
		"another label":                 {api.RouteMatch{Labels: map[string]string{"team": "web"}}, failed, run, false},
		"missing label":                 {api.RouteMatch{Labels: map[string]string{"x": ""}}, failed, run, false},
		"severe enough":                 {api.RouteMatch{Severity: job.Critical}, failed, run, true},
		"not severe enough":             {api.RouteMatch{Severity: job.Critical}, warning, run, false},
		"warning and above":             {api.RouteMatch{Severity: job.Warning}, failed, run, true},
		"event":                         {api.RouteMatch{Events: []string{"failed"}}, failed, run, true},
		"another event":                 {api.RouteMatch{Events: []string{"failed"}}, warning, run, false},
		"healed belongs to lost":        {api.RouteMatch{Events: []string{"lost"}}, event("healed", job.Critical), run, true},
		"a passed finding":              {api.RouteMatch{Events: []string{"overdue"}}, passed, run, true},
		"another passed finding":        {api.RouteMatch{Events: []string{"memory"}}, passed, run, false},
		"late runs are no trouble":      {api.RouteMatch{}, event("late", outbox.Info), run, false},
		"late runs by name":             {api.RouteMatch{Events: []string{"late"}}, event("late", outbox.Info), run, true},
		"late, and severe":              {api.RouteMatch{Events: []string{"late", "failed"}, Severity: job.Critical}, event("late", outbox.Info), run, true},
		"an older server's":             {api.RouteMatch{}, event("succeeded", ""), run, false},
		"late runs of another job":      {api.RouteMatch{Events: []string{"late"}, Job: "weekly-*"}, event("late", outbox.Info), run, false},
		"recovered is a success":        {api.RouteMatch{Events: []string{"succeeded"}}, recovered, run, true},
	} {
		if got := Takes(api.Route{Match: c.match, Enabled: true}, c.a, c.run); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if Takes(api.Route{}, failed, run) {
		t.Error("a disabled route takes a message")
	}
}

func at(clock string) time.Time {
	v, err := time.Parse("2006-01-02 15:04", "2026-03-02 "+clock) // a Monday
	if err != nil {
		panic(err)
	}
	return v
}

func rows(from time.Time, n int) []api.Action {
	out := make([]api.Action, n)
	for i := range out {
		next := from.Add(time.Duration(i) * time.Second)
		out[i] = api.Action{ID: int64(i + 1), Run: fmt.Sprint("run", i), CreatedAt: next, NextAt: &next}
	}
	return out
}

func ids(all []api.Action) []int64 {
	var out []int64
	for _, a := range all {
		out = append(out, a.ID)
	}
	return out
}

func TestPlan(t *testing.T) {
	now := at("12:00")
	early := now.Add(-time.Hour)
	night, err := quiet.Parse(&api.QuietHours{Cron: "0 11 * * *", Duration: "30m"})
	if err != nil {
		t.Fatal(err)
	}
	tried := rows(now.Add(-time.Minute), 4)
	soon := now.Add(time.Minute)
	tried[0].Batch, tried[2].Batch, tried[0].NextAt, tried[2].NextAt = 1, 1, &soon, &soon
	due := rows(now.Add(-time.Minute), 4)
	due[0].Batch, due[2].Batch = 1, 1
	same := rows(now.Add(-time.Minute), 4)
	same[2].Run = same[0].Run
	late := rows(now.Add(-time.Minute), 5)
	for i, host := range []string{"a", "b", "a", "a"} {
		late[i].Late, late[i].CreatedAt = &api.LateRuns{Host: host}, late[0].CreatedAt
	}
	late[3].CreatedAt, late[4].Run = late[3].CreatedAt.Add(time.Second), late[0].Run
	year := 365 * 24 * time.Hour
	paused := rows(now.Add(-time.Minute), 2)
	next := now.Add(year)
	paused[0].Batch, paused[0].NextAt = 1, &next
	created := rows(now.Add(year), 2)
	repeat := rows(now.Add(-time.Minute), 2)
	repeat[0].NextAt, repeat[0].Repeat = &soon, 1
	for name, c := range map[string]struct {
		route   api.Route
		quiet   quiet.Hours
		rows    []api.Action
		opened  time.Time
		batch   []int64
		summary bool
		wait    time.Time
	}{
		"nothing":                      {opened: early},
		"one by one":                   {rows: rows(now.Add(-time.Minute), 3), opened: early, batch: []int64{1}},
		"what is about one run":        {rows: same, opened: early, batch: []int64{1, 3}},
		"late runs of one delivery":    {rows: late, opened: early, batch: []int64{1, 3}},
		"a tried batch stays":          {rows: due, opened: early, batch: []int64{1, 3}, summary: true},
		"behind a tried one":           {rows: tried, opened: early, wait: soon},
		"tried by a clock ahead":       {rows: paused, opened: early, batch: []int64{1}},
		"stored by a clock ahead":      {rows: created, opened: early, batch: []int64{1}},
		"collecting by a clock ahead":  {route: api.Route{GroupSeconds: 300}, rows: created, opened: early, wait: now.Add(5 * time.Minute)},
		"a repetition holds nobody up": {rows: repeat, opened: early, batch: []int64{2}},
		"only a repetition":            {rows: repeat[:1], opened: early, wait: soon},
		"collecting":                   {route: api.Route{GroupSeconds: 300}, rows: rows(now.Add(-time.Minute), 2), opened: early, wait: now.Add(4 * time.Minute)},
		"collected":                    {route: api.Route{GroupSeconds: 30}, rows: rows(now.Add(-time.Minute), 2), opened: early, batch: []int64{1, 2}, summary: true},
		"quiet":                        {quiet: night, rows: rows(at("11:05"), 2), opened: at("01:00"), batch: []int64{1, 2}, summary: true},
		"one in quiet hours":           {quiet: night, rows: rows(at("11:05"), 1), opened: at("01:00"), batch: []int64{1}},
		"after our own outage":         {rows: rows(now.Add(-time.Minute), 3), opened: now.Add(-time.Second), batch: []int64{1, 2, 3}, summary: true},
		"one after our own outage":     {rows: rows(now.Add(-time.Minute), 1), opened: now, batch: []int64{1}},
		"outage while it collected":    {route: api.Route{GroupSeconds: 3600}, rows: rows(now.Add(-time.Minute), 2), opened: now, batch: []int64{1, 2}, summary: true},
		"as many as a person can read": {rows: rows(now.Add(-time.Minute), maxSeparate), opened: early, batch: []int64{1}},
		"a storm":                      {rows: rows(now.Add(-time.Minute), maxSeparate+1), opened: early, batch: ids(rows(now, maxSeparate+1)), summary: true},
	} {
		got := plan(c.route, c.quiet, c.rows, now, c.opened)
		if diff := cmp.Diff(c.batch, ids(got.batch)); diff != "" || got.summary != c.summary || !got.wait.Equal(c.wait) {
			t.Errorf("%s: %v %v %v, want %v %v %v", name, ids(got.batch), got.summary, got.wait, c.batch, c.summary, c.wait)
		}
	}
	if got := plan(api.Route{}, night, rows(at("11:05"), 2), at("11:10"), early); len(got.batch) != 0 || !got.wait.Equal(at("11:30")) {
		t.Errorf("in quiet hours: %+v", got)
	}
}

func TestWhatIsNotToldAgain(t *testing.T) {
	run := func(s job.State, rules ...string) *job.Run {
		r := &job.Run{State: s, Attempt: 1}
		for _, rule := range rules {
			r.Findings = append(r.Findings, job.Finding{Rule: rule})
		}
		return r
	}
	for name, c := range map[string]struct {
		what string
		s    situation
		over bool
	}{
		"still lost":             {"lost", situation{run: run(job.Lost)}, false},
		"lost and back":          {"lost", situation{run: run(job.Running)}, true},
		"still failed":           {"failed", situation{run: run(job.Failed)}, false},
		"failed, then a success": {"failed", situation{run: run(job.Failed), later: true}, true},
		"acknowledged":           {"failed", situation{run: run(job.Failed), acknowledged: true}, true},
		"still stalled":          {"stalled", situation{run: run(job.Running, "overdue", "stalled")}, false},
		"moves again":            {"stalled", situation{run: run(job.Running, "overdue")}, true},
		"deleted":                {"failed", situation{}, true},
		"another attempt":        {"failed", situation{run: &job.Run{State: job.Failed, Attempt: 2}}, true},
	} {
		if got := resolvedBy(api.Action{What: c.what, Attempt: 1, Repeat: 1}, c.s); (got != "") != c.over {
			t.Errorf("%s: %q", name, got)
		}
	}
	// A first notification that was due when another attempt began is sent with what that came to.
	again := &job.Run{State: job.Succeeded, Attempt: 2}
	for name, c := range map[string]struct {
		s    situation
		over bool
	}{
		"another attempt": {situation{run: again}, false}, "acknowledged": {situation{run: again, acknowledged: true}, true},
		"another attempt, then a success": {situation{run: again, later: true}, true}, "the same attempt": {situation{run: run(job.Running)}, true},
		"it reported again, then another attempt": {situation{run: again, healed: true}, true}, "it was lost again": {situation{run: run(job.Lost)}, false},
	} {
		if got := resolvedBy(api.Action{What: outbox.WhatLost, Attempt: 1}, c.s); (got != "") != c.over {
			t.Errorf("for the first time, %s: %q", name, got)
		}
	}
}

func TestWhichRowsAreChecked(t *testing.T) {
	now, soon := at("12:00"), at("12:01")
	for name, tt := range map[string]struct {
		a    api.Action
		want bool
	}{
		"at once":           {api.Action{CreatedAt: now, NextAt: &now}, false},
		"to wait":           {api.Action{CreatedAt: now, NextAt: &soon}, true},
		"tried once":        {api.Action{CreatedAt: now, NextAt: &soon, Batch: 1}, false},
		"repeated":          {api.Action{CreatedAt: now, NextAt: &soon, Repeat: 1}, true},
		"repeated, sending": {api.Action{CreatedAt: now, NextAt: &soon, Repeat: 1, Batch: 1}, false},
	} {
		if got := needsCheck(tt.a); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestHealedIsDroppedWithLost(t *testing.T) {
	action := func(id int64, what, run string, attempt, repeat int) api.Action {
		return api.Action{ID: id, What: what, Run: run, Attempt: attempt, Repeat: repeat}
	}
	lost, healed := action(1, "lost", "r", 1, 0), action(2, "healed", "r", 1, 0)
	for name, c := range map[string]struct {
		batch   []api.Action
		dropped []int64
		want    []int64 // left
	}{
		"lost was sent before":            {[]api.Action{healed}, nil, []int64{2}},
		"both are sent":                   {[]api.Action{lost, healed}, nil, []int64{1, 2}},
		"lost is dropped":                 {[]api.Action{lost, healed}, []int64{1}, nil},
		"a repetition is dropped":         {[]api.Action{action(1, "lost", "r", 1, 2), healed}, []int64{1}, []int64{2}},
		"another run's is dropped":        {[]api.Action{action(1, "lost", "s", 1, 0), healed}, []int64{1}, []int64{2}},
		"an earlier attempt's is dropped": {[]api.Action{action(1, "lost", "r", 1, 0), action(2, "healed", "r", 2, 0)}, []int64{1}, []int64{2}},
		"with others":                     {[]api.Action{lost, healed, action(3, "failed", "r", 1, 0)}, []int64{1}, []int64{3}},
	} {
		var left []api.Action
		var dropped []outbox.Result
		for _, a := range c.batch {
			if slices.Contains(c.dropped, a.ID) {
				dropped = append(dropped, outbox.Result{ID: a.ID})
			} else {
				left = append(left, a)
			}
		}
		left, dropped = withoutHealed(left, c.batch, dropped, at("12:00"))
		if diff := cmp.Diff(c.want, ids(left)); diff != "" || len(left)+len(dropped) != len(c.batch) {
			t.Errorf("%s: %d dropped, left (-want +got): %s", name, len(dropped), diff)
		}
	}
}

func TestOutcomeOfATry(t *testing.T) {
	now := at("12:00")
	batch := []api.Action{{ID: 1, Run: "r", Severity: job.Critical, What: "failed", Batch: 1, CreatedAt: now.Add(-time.Minute)}}
	route := api.Route{RepeatSeconds: 600}
	got := outcome(route, batch, nil, now, 0)[0]
	if got.Status != outbox.Done || !got.Again.Equal(now.Add(10*time.Minute)) || got.Error != "" {
		t.Errorf("taken: %+v", got)
	}
	down := errors.New("down")
	for tries, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 9: maxRetryDelay, 500: maxRetryDelay} {
		batch[0].Tries = tries
		got := outcome(route, batch, down, now, 0)[0]
		if got.Status != outbox.Pending || !got.NextAt.Equal(now.Add(want)) || got.Error != "down" || !got.Again.IsZero() {
			t.Errorf("after %d tries: %+v", tries, got)
		}
	}
	batch[0].Tries = 0
	if got := outcome(route, batch, &SendError{Why: "busy", After: time.Hour}, now, 0)[0]; !got.NextAt.Equal(now.Add(time.Hour)) {
		t.Errorf("asked to wait: %+v", got)
	}
	refused := &SendError{Why: "no", Refused: true}
	if got := outcome(route, batch, refused, now, 0)[0]; got.Status != outbox.Pending {
		t.Errorf("refused once: %+v", got)
	}
	batch[0].Tries = maxRefusedTries - 1
	if got := outcome(route, batch, refused, now, 0)[0]; got.Status != outbox.Failed || !strings.Contains(got.Error, "refuses") {
		t.Errorf("refused: %+v", got)
	}
	if got := outcome(route, batch, &SendError{Why: "no", Never: true}, now, 0)[0]; got.Status != outbox.Failed {
		t.Errorf("never: %+v", got)
	}
	batch[0].CreatedAt = now.Add(-giveUpAfter - time.Second)
	if got := outcome(route, batch, down, now, 0)[0]; got.Status != outbox.Failed {
		t.Errorf("too old: %+v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		p := retryDelay(rapid.IntRange(0, 1000).Draw(t, "tries"), rapid.Float64Range(0, 1).Draw(t, "chance"))
		if p < 3*firstRetryDelay/4 || p > maxRetryDelay {
			t.Fatalf("pause %s", p)
		}
	})
}

// Jobs of a host that were missed at once are one message with a line for each; others are messages of their own.
func TestJobsThatWereMissedAtOnceAreOneMessage(t *testing.T) {
	now := at("04:00")
	runs := map[string]*job.Run{}
	var rows []api.Action
	for n := range 10 {
		run := &job.Run{ID: fmt.Sprintf("r%d", n), Job: fmt.Sprintf("backup-%d", n), Number: 3, Host: "db-1"}
		runs[run.ID] = run
		a := event(outbox.WhatMissed, job.Critical)
		a.ID, a.Cause, a.Run, a.CreatedAt, a.NextAt = int64(n+1), int64(n+1), run.ID, now, &now
		a.Message = run.Job + " was due at 03:00:00 UTC and has not started."
		rows = append(rows, a)
	}
	later := rows[0]
	later.ID, later.CreatedAt, later.Run = 11, now.Add(time.Minute), "r1"
	next := plan(api.Route{Enabled: true}, quiet.Hours{}, append(slices.Clone(rows), later), now.Add(time.Minute), now.Add(-time.Hour))
	if len(next.batch) != 10 || next.summary {
		t.Fatalf("a batch of %d, summary %t", len(next.batch), next.summary)
	}
	items, _ := itemsOf(next.batch, runs, "https://stint.example.org")
	m := message.New("team", 1, items, false, now)
	if got := m.Title(message.Plain); got != "Stint: 10 jobs of host db-1 were due and have not started" {
		t.Errorf("title %q", got)
	}
	if text := m.Text(message.Plain); strings.Count(text, "was due at 03:00:00 UTC") != 10 {
		t.Errorf("text %s", text)
	}
	runs["r4"].Host = "db-2"
	items, _ = itemsOf(next.batch, runs, "")
	if got := message.New("team", 1, items, false, now).Title(message.Plain); got != "Stint: 10 jobs were due and have not started" {
		t.Errorf("title %q", got)
	}
	items, _ = itemsOf(rows[:1], runs, "")
	if got := message.New("team", 1, items, false, now).Title(message.Plain); got != "backup-0 was due and has not started" {
		t.Errorf("title %q", got)
	}
}
