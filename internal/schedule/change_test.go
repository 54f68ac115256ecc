package schedule

import (
	"testing"
	"time"
)

func TestChange(t *testing.T) {
	for _, c := range []struct{ zone, text, after, due, want string }{
		{"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00", "the clock skips 02:30"},
		{"Europe/Berlin", "0,30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00", "the clock skips 02:00"},
		{"Europe/Berlin", "0 3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00", ""},
		{"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00", "the first of two 02:30"},
		{"Europe/Berlin", "30 2 * * *", "2026-10-25T12:00:00Z", "2026-10-26T02:30:00+01:00", ""},
		{"Europe/Berlin", "30 * * * *", "2026-10-25T00:00:00Z", "2026-10-25T02:30:00+02:00", "the first of two 02:30"},
		{"Europe/Berlin", "30 * * * *", "2026-10-25T01:00:00Z", "2026-10-25T02:30:00+01:00", "the second 02:30"},
		{"Africa/Cairo", "0 0 * * *", "2026-04-23T12:00:00Z", "2026-04-24T01:00:00+03:00", "the clock skips 00:00"},
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T06:00:00Z", "2026-04-05T01:45:00+11:00", "the first of two 01:45"},
		{"UTC", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T02:30:00Z", ""},
		{"Europe/Berlin", "30 2 * * *", "2040-12-30T12:00:00Z", "2040-12-31T02:30:00+01:00", ""},
	} {
		zone := load(t, c.zone)
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		e := parse(t, c.text)
		due := e.Next(after, zone)
		if got := e.Change(due, zone); due.Format(time.RFC3339) != c.due || got != c.want {
			t.Errorf("%q in %s: due %s, %q; want %s, %q", c.text, c.zone, due.Format(time.RFC3339), got, c.due, c.want)
		}
	}
}

func TestEvery(t *testing.T) {
	anchor := at(t, "2026-03-29 00:00:00")
	e := Every{90 * time.Minute, anchor}
	for after, want := range map[string]string{
		"2026-03-28 12:00:00": "2026-03-29 00:00:00", "2026-03-28 23:59:59": "2026-03-29 00:00:00",
		"2026-03-29 00:00:00": "2026-03-29 01:30:00", "2026-03-29 01:29:59": "2026-03-29 01:30:00", "2026-03-29 01:30:00": "2026-03-29 03:00:00",
	} {
		if got := e.Next(at(t, after), load(t, "Europe/Berlin")); !got.Equal(at(t, want)) {
			t.Errorf("after %s: %s, want %s", after, got, want)
		}
	}
}
