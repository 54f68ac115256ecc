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
	l.do("POST", "/api/v1/schedules/report/backfill", []byte(`{"from":"2026-03-30T00:00:00Z","to":"2026-03-26T00:00:00Z"}`), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	l.do("POST", "/api/v1/schedules/report/backfill", []byte(`{"from":"1990-03-30T00:00:00Z","to":"2026-03-26T00:00:00Z"}`), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	l.do("POST", "/api/v1/schedules/none/backfill", body, "Content-Type", "application/json").problem(t, http.StatusNotFound)
	if text := string(l.get("/metrics").body); !strings.Contains(text, `stint_occurrences_total{result="ran_late"} 4`) || !strings.Contains(text, "stint_schedules_late_seconds 0") {
		t.Error("the metrics lack occurrences or how late schedules are")
	}
}
