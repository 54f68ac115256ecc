package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestSchedules(t *testing.T) {
	l := start(t, server.Config{})
	l.apply(api.ApplyRequest{Files: files("job: report\nscript: x\nzone: Europe/Berlin\nschedules: [{cron: '30 2 * * *'}, {every: 6h, parameters: {}}]\n", "job: etl\nscript: x\nschedules: [{cron: '@daily'}]\n"), By: "ada"}).ok(t, nil)
	var list struct {
		Schedules  []api.Schedule
		NextCursor *string `json:"next_cursor"`
	}
	l.get("/api/v1/schedules").ok(t, &list)
	if len(list.Schedules) != 3 || list.Schedules[1].Job != "report" || list.Schedules[1].When != "30 2 * * *" || list.Schedules[1].Zone != "Europe/Berlin" ||
		list.Schedules[1].CatchUp != "latest" || list.Schedules[1].WindowMS != (24*time.Hour).Milliseconds() {
		t.Errorf("%+v", list)
	}
	l.get("/api/v1/schedules?limit=1").ok(t, &list)
	if len(list.Schedules) != 1 || list.NextCursor == nil || *list.NextCursor != "etl" {
		t.Fatalf("%+v", list)
	}
	l.get("/api/v1/schedules?limit=1&cursor=etl").ok(t, &list)
	if len(list.Schedules) != 2 {
		t.Errorf("%+v", list)
	}
	var times struct{ Times []api.ScheduledTime }
	l.get("/api/v1/schedules/times?job=report&n=1000").ok(t, &times)
	if len(times.Times) != 1000 || !slices.IsSortedFunc(times.Times, func(a, b api.ScheduledTime) int { return a.At.Compare(b.At) }) ||
		!slices.ContainsFunc(times.Times, func(one api.ScheduledTime) bool { return one.Schedule == 1 && one.Change == "the clock skips 02:30" }) {
		t.Errorf("%d times, in the wrong order or without the change of the clocks", len(times.Times))
	}
	var one api.Schedule
	l.do("POST", "/api/v1/schedules/report/1/pause", []byte(`{"by":"bob","why":"holidays"}`), "Content-Type", "application/json").ok(t, &one)
	if one.Paused == nil || one.Paused.Why != "holidays" {
		t.Errorf("%+v", one)
	}
	var resumed api.Schedule
	l.do("POST", "/api/v1/schedules/report/1/resume", nil).ok(t, &resumed)
	if resumed.Paused != nil {
		t.Errorf("%+v", one)
	}
	l.do("POST", "/api/v1/schedules/report/9/resume", nil).problem(t, http.StatusNotFound)
	var done struct{ Occurrences []api.OccurrenceRecord }
	body := []byte(`{"schedule":1,"from":"2026-03-26T00:00:00Z","to":"2026-03-30T00:00:00Z","by":"bob"}`)
	for range 2 { // the second time makes no further run
		l.do("POST", "/api/v1/schedules/report/backfill", body, "Content-Type", "application/json").ok(t, &done)
	}
	if len(done.Occurrences) != 4 || done.Occurrences[0].Result != "ran_late" || done.Occurrences[0].Number != 4 || done.Occurrences[0].Why != "backfilled by bob" {
		t.Errorf("%+v", done)
	}
	l.get("/api/v1/schedules/report/occurrences?from=2026-03-01T00:00:00Z").ok(t, &done)
	if len(done.Occurrences) != 4 || done.Occurrences[2].State != "queued" {
		t.Errorf("%+v", done)
	}
	var run job.Run
	l.get("/api/v1/runs/"+done.Occurrences[2].Run).ok(t, &run)
	if run.Submitted == nil || run.Submitted.Occurrence == nil || run.Submitted.Occurrence.Schedule != 1 || !run.Submitted.Occurrence.At.Equal(done.Occurrences[2].At) {
		t.Errorf("%+v", run.Submitted)
	}
	var explained api.Explanation
	l.get("/api/v1/runs/"+done.Occurrences[2].Run+"/explain").ok(t, &explained)
	if o := explained.Occurrence; o == nil || o.Schedule != 1 || o.When != "30 2 * * *" || o.Zone != "Europe/Berlin" || o.Result != "ran_late" || o.LateSeconds < 86400 || !o.At.Equal(done.Occurrences[2].At) {
		t.Errorf("%+v", explained.Occurrence)
	}
	l.do("POST", "/api/v1/schedules/report/backfill", []byte(`{"from":"2026-03-30T00:00:00Z","to":"2026-03-26T00:00:00Z"}`), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	l.do("POST", "/api/v1/schedules/report/backfill", []byte(`{"from":"1990-03-30T00:00:00Z","to":"2026-03-26T00:00:00Z"}`), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	l.do("POST", "/api/v1/schedules/none/backfill", body, "Content-Type", "application/json").problem(t, http.StatusNotFound)
	if text := string(l.get("/metrics").body); !strings.Contains(text, `stint_occurrences_total{result="ran_late"} 4`) || !strings.Contains(text, "stint_schedules_late_seconds 0") {
		t.Error("the metrics lack occurrences or how late schedules are")
	}
}

func TestTheCalendarOfAJob(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	l.apply(api.ApplyRequest{Files: files("job: report\nscript: x\nzone: Europe/Berlin\noverlap: allow\nschedules: [{cron: '30 2 * * *', spread: 5m}, {cron: '0 * * * *', zone: UTC}]\n"), By: "ada"}).ok(t, nil)
	body := []byte(`{"schedule":1,"from":"2026-03-27T00:00:00Z","to":"2026-03-30T00:00:00Z","by":"bob"}`)
	l.do("POST", "/api/v1/schedules/report/backfill", body, "Content-Type", "application/json").ok(t, nil)
	read := func(query string) (got api.Calendar) {
		l.get("/api/v1/jobs/"+query).ok(t, &got)
		return got
	}
	got := read("report/calendar?from=2026-03-28&days=2")
	if got.Job != "report" || got.Zone != "Europe/Berlin" || got.More || len(got.Times) != 2 || len(got.Days) != 2 || got.Days[0].Change != "" || got.Days[1].Change != "clocks go forward from 02:00 to 03:00" {
		t.Fatalf("%+v", got)
	}
	if at := got.Times[1].At; at.Format("2006-01-02T15:04Z07:00") != "2026-03-29T03:00+02:00" || got.Times[1].Result != "ran_late" || got.Times[1].State != "queued" || got.Times[1].Number != 3 || got.Times[1].Why != "backfilled by bob" {
		t.Errorf("%+v", got.Times[1])
	}
	if n := got.Days[1].Counts; len(n) != 1 || n[0] != (api.CalendarCount{Result: "ran_late", State: "queued", Count: 1}) {
		t.Errorf("%+v", n)
	}
	// A day that has not begun in any zone. Where clocks change then, it has an hour more or less.
	y, m, d := c.now().AddDate(0, 0, 2).Date()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	planned := 1 + int64(time.Date(y, m, d+1, 0, 0, 0, 0, zone).Sub(time.Date(y, m, d, 0, 0, 0, 0, zone)).Hours())
	later := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	got = read("report/calendar?days=1&limit=20&from=" + later)
	if !got.More || len(got.Times) != 0 || got.Days[0].Counts[0] != (api.CalendarCount{Result: api.CalendarPlanned, Count: planned}) {
		t.Errorf("%+v", got)
	}
	got = read("report/calendar?days=1&zone=UTC&from=" + later)
	if got.Zone != "UTC" || len(got.Times) != 25 || !slices.ContainsFunc(got.Times, func(one api.CalendarTime) bool { return one.Schedule == 1 && one.Starts != nil }) {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"zone=Europe/Atlantis", "zone=Local", "from=yesterday", "from=0001-01-01", "days=63", "limit=5001"} {
		if r := l.get("/api/v1/jobs/report/calendar?" + bad); r.status != http.StatusBadRequest && r.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
	l.do("PUT", "/api/v1/jobs/backup/due", []byte(`{"cron":"0 3 * * *","zone":"Asia/Kathmandu"}`), "Content-Type", "application/json").ok(t, nil)
	got = read("backup/calendar?days=1&from=" + later)
	if got.Zone != "Asia/Kathmandu" || len(got.Times) != 1 || !got.Times[0].Expected || got.Times[0].Result != api.CalendarPlanned {
		t.Errorf("%+v", got)
	}
	got = read("nothing/calendar")
	if got.Zone != "UTC" || len(got.Times) != 0 || len(got.Days) != 31 {
		t.Errorf("%+v", got)
	}
}
