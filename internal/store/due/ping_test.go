package due

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// pulse counts a ping of a job now.
func (b *bench) pulse(name, body string) {
	b.t.Helper()
	if err := b.CountPulse(b.t.Context(), name, []byte(body), b.now); err != nil {
		b.t.Fatal(err)
	}
}

// slugs returns the jobs that a slug leads to.
func (b *bench) slugs(slug string) (jobs []string) {
	b.t.Helper()
	found, err := b.TargetsBySlug(b.t.Context(), slug)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, one := range found {
		jobs = append(jobs, one.Job)
	}
	return jobs
}

func TestAnExpectationIsFoundByUUIDAndBySlug(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := b.t.Context()
		hourly := job.Expectation{EverySeconds: 3600}
		b.set("sync", hourly)
		b.set("other", hourly)
		d, err := b.JobDue(ctx, "sync", b.now)
		id, found := strings.CutPrefix(d.PingURL, "/ping/")
		if err != nil || !found || job.CheckRunID(id) != nil || d.Slug != "sync" || d.PostOnly || d.Pulses != nil {
			b.t.Fatalf("%+v, %v", d, err)
		}
		b.set("sync", job.Expectation{EverySeconds: 7200}) // keeps its addresses
		got, ok, err := b.TargetByUUID(ctx, id)
		if err != nil || !ok || got.Job != "sync" || got.Rule.Grace != due.DefaultGrace || got.ReportedDay != -1 {
			b.t.Errorf("%+v, %t, %v", got, ok, err)
		}
		if _, ok, err := b.TargetByUUID(ctx, "00000000-0000-4000-8000-000000000000"); ok || err != nil {
			b.t.Errorf("an unknown UUID was found: %v", err)
		}
		put := func(name, uuid, slug string, post bool) error {
			set := api.DueRequest{Expectation: hourly, UUID: &uuid, Slug: &slug, PostOnly: &post}
			return b.PutDue(ctx, name, set, "ada", b.now)
		}
		const given = "0D7C6F1E-9AE4-4C7B-8C69-9D31A4B7E0AA"
		if err := put("sync", given, "sync-db", true); err != nil {
			b.t.Fatal(err)
		}
		got, ok, err = b.TargetByUUID(ctx, strings.ToLower(given))
		if err != nil || !ok || got.Job != "sync" || !got.PostOnly {
			b.t.Errorf("%+v, %t, %v", got, ok, err)
		}
		if _, ok, _ := b.TargetByUUID(ctx, id); ok {
			b.t.Error("the replaced UUID is still valid")
		}
		if got := fmt.Sprint(b.slugs("sync"), b.slugs("sync-db"), b.slugs("other")); got != "[] [sync] [other]" {
			b.t.Errorf("slugs lead to %s", got)
		}
		for what, err := range map[string]error{
			"the UUID of another": put("other", given, "", false), "no UUID": put("other", "x", "", false),
			"a UUID without hyphens": put("other", strings.ReplaceAll(given, "-", ""), "", false),
			"a capital letter":       put("other", id, "Sync", false), "a slash": put("other", id, "a/b", false),
		} {
			if err == nil {
				b.t.Errorf("%s was taken", what)
			}
		}
		if err := put("other", id, "sync-db", false); err != nil { // two checks may have one slug
			b.t.Fatal(err)
		}
		if n := len(b.slugs("sync-db")); n != 2 {
			b.t.Errorf("the slug leads to %d jobs, want 2", n)
		}
	})
}

// Each pulse counts for its due time, also if nobody looks before the next one.
func TestPulsesCountForTheirDueTimes(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("sync", job.Expectation{EverySeconds: 60, GraceSeconds: 60})
		b.pulse("sync", "first")
		for range 30 {
			b.now = b.now.Add(time.Minute)
			b.pulse("sync", "later")
		}
		b.checked = b.now // the server looked all the time, and was slow
		b.check()
		b.state("sync", api.DueOK, "2026-01-01 12:31:00")
		b.notices()
		d, err := b.JobDue(b.t.Context(), "sync", b.now)
		if err != nil || d.Pulses == nil || d.Pulses.Times != 31 || d.Pulses.Body != "later" || !d.Pulses.LastAt.Equal(b.now) || len(d.Missed) != 0 {
			b.t.Errorf("%+v, %v", d, err)
		}
		b.pass("2026-01-01 12:40:00")
		b.notices("missed  critical: sync was due at 2026-01-01 12:31:00 UTC and has not started. Its last run started at 2026-01-01 12:30:00 UTC.")
		b.pulse("sync", strings.Repeat("x", 2*MaxPulseBody))
		b.notices("recovered missed critical: sync started at 2026-01-01 12:40:00 UTC; it had been due 9 times since 2026-01-01 12:31:00 UTC.")
		if d, err := b.JobDue(b.t.Context(), "sync", b.now); err != nil || len(d.Pulses.Body) != MaxPulseBody {
			b.t.Errorf("%d bytes are kept, %v", len(d.Pulses.Body), err)
		}
		if err := b.DeleteDue(b.t.Context(), "sync"); err != nil {
			b.t.Fatal(err)
		}
		b.pulse("sync", "") // its expectation was deleted
		if n, err := b.ReadTexts(b.t.Context(), `SELECT job FROM job_pulses`); err != nil || len(n) != 0 {
			b.t.Errorf("%v, %v", n, err)
		}
	})
}

func TestWhatWasReportedIsNoted(t *testing.T) {
	onBoth(t, func(b *bench) {
		b.set("sync", job.Expectation{EverySeconds: 60})
		pulse := func(want bool) {
			b.t.Helper()
			found, err := b.TargetsBySlug(b.t.Context(), "sync")
			if err != nil || len(found) != 1 || found[0].IsPulse(b.now) != want {
				b.t.Errorf("%+v, %v; want %t", found, err, want)
			}
		}
		note := func(failed bool) {
			b.t.Helper()
			if err := b.NoteReported(context.WithoutCancel(b.t.Context()), "sync", failed, b.now); err != nil {
				b.t.Fatal(err)
			}
		}
		pulse(false) // the first one is a run
		note(false)
		pulse(true)
		note(true)
		pulse(false) // a change is a run
		note(false)
		pulse(true)
		b.now = b.now.Add(24 * time.Hour)
		pulse(false) // the first one of a day is a run
	})
}

// Labels are replaced as a whole, stay when something else is set, also by a run with --every, and are checked.
func TestLabelsOfAnExpectation(t *testing.T) {
	onBoth(t, func(b *bench) {
		ctx := b.t.Context()
		put := func(labels map[string]string) error {
			return b.PutDue(ctx, "sync", api.DueRequest{Expectation: job.Expectation{EverySeconds: 7200}, Labels: labels}, "ada", b.now)
		}
		want := func(want map[string]string) {
			b.t.Helper()
			d, err := b.JobDue(ctx, "sync", b.now)
			if err != nil {
				b.t.Fatal(err)
			}
			found, err := b.TargetsBySlug(ctx, "sync")
			if err != nil || len(found) != 1 {
				b.t.Fatalf("%v, %v", found, err)
			}
			if diff := cmp.Diff(want, d.Labels) + cmp.Diff(want, found[0].Labels); diff != "" {
				b.t.Errorf("labels (-want +got):\n%s", diff)
			}
		}
		b.set("sync", job.Expectation{EverySeconds: 3600})
		want(nil)
		team := map[string]string{"team": "db", "empty": "", `quoted "`: "ü, {}"}
		if err := put(team); err != nil {
			b.t.Fatal(err)
		}
		want(team)
		err := b.Write(ctx, db.None, func(t *db.Tx) error {
			return b.SetDueIn(ctx, t, "sync", job.Expectation{EverySeconds: 900}, "a run", b.now)
		})
		if err != nil {
			b.t.Fatal(err)
		}
		want(team)
		b.start("sync", "2026-01-01 12:00:00")
		if err := b.PauseDue(ctx, "sync", true, b.now); err != nil {
			b.t.Fatal(err)
		}
		want(team)
		many := map[string]string{}
		for i := range due.MaxLabels {
			many[fmt.Sprint(i)] = "x"
		}
		more := maps.Clone(many)
		more["one more"] = "x"
		var invalid *job.InvalidError
		for _, labels := range []map[string]string{{"a=b": "c"}, {"": "c"}, {"k": "\n"}, more} {
			if err := put(labels); !errors.As(err, &invalid) {
				b.t.Errorf("%d labels: %v", len(labels), err)
			}
		}
		want(team)
		if err := put(many); err != nil {
			b.t.Fatal(err)
		}
		want(many)
		if err := put(map[string]string{}); err != nil {
			b.t.Fatal(err)
		}
		want(nil)
	})
}
