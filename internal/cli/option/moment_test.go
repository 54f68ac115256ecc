package option

import (
	"strings"
	"testing"
	"time"
)

func in(t *testing.T, zone, at string) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	return when.In(location)
}

func TestParseMoment(t *testing.T) {
	const (
		berlin   = "Europe/Berlin"
		saoPaulo = "America/Sao_Paulo"
		apia     = "Pacific/Apia"
	)
	for _, c := range []struct{ zone, now, text, want string }{
		{berlin, "2026-11-29T14:30:00+01:00", "now", "2026-11-29T14:30:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "2h", "2026-11-29T12:30:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", " 90s ", "2026-11-29T14:28:30+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "1h30m", "2026-11-29T13:00:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "3d", "2026-11-26T14:30:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "1w", "2026-11-22T14:30:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "today", "2026-11-29T00:00:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "Yesterday", "2026-11-28T00:00:00+01:00"},
		{berlin, "2026-11-29T00:10:00+01:00", "yesterday", "2026-11-28T00:00:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "04:00", "2026-11-29T04:00:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "14:30", "2026-11-29T14:30:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "14:30:01", "2026-11-28T14:30:01+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "23:00", "2026-11-28T23:00:00+01:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "2026-07-01", "2026-07-01T00:00:00+02:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "2026-07-01 08:15", "2026-07-01T08:15:00+02:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "2026-07-01T08:15:30", "2026-07-01T08:15:30+02:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "2026-07-01T08:15:30Z", "2026-07-01T10:15:30+02:00"},
		{berlin, "2026-11-29T14:30:00+01:00", "2026-07-01t08:15:30.5-05:00", "2026-07-01T15:15:30.5+02:00"},
		// A day of 23 hours: from 02:00 clocks go to 03:00.
		{berlin, "2026-03-29T12:00:00+02:00", "2026-03-29 02:30", "2026-03-29T03:00:00+02:00"},
		{berlin, "2026-03-29T12:00:00+02:00", "02:30", "2026-03-29T03:00:00+02:00"},
		{berlin, "2026-03-29T12:00:00+02:00", "today", "2026-03-29T00:00:00+01:00"},
		{berlin, "2026-03-29T12:00:00+02:00", "1d", "2026-03-28T11:00:00+01:00"},
		{berlin, "2026-03-29T01:59:00+01:00", "02:30", "2026-03-28T02:30:00+01:00"},
		// A day of 25 hours: from 03:00 clocks go back to 02:00.
		{berlin, "2026-10-25T12:00:00+01:00", "2026-10-25 02:30", "2026-10-25T02:30:00+02:00"},
		{berlin, "2026-10-25T12:00:00+01:00", "02:30", "2026-10-25T02:30:00+01:00"},
		{berlin, "2026-10-25T02:20:00+01:00", "02:30", "2026-10-25T02:30:00+02:00"},
		{berlin, "2026-10-25T02:20:00+02:00", "02:30", "2026-10-24T02:30:00+02:00"},
		{berlin, "2026-10-25T12:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+01:00"},
		// Here clocks are changed at midnight: the day begins at 01:00, or midnight comes twice.
		{saoPaulo, "2018-11-04T12:00:00-02:00", "today", "2018-11-04T01:00:00-02:00"},
		{saoPaulo, "2018-02-18T12:00:00-03:00", "2018-02-17 23:30", "2018-02-17T23:30:00-02:00"},
		{saoPaulo, "2018-02-18T12:00:00-03:00", "today", "2018-02-18T00:00:00-03:00"},
		// 30 December 2011 was left out.
		{apia, "2011-12-31T12:00:00+14:00", "yesterday", "2011-12-31T00:00:00+14:00"},
		{"UTC", "2026-01-01T00:00:00Z", "yesterday", "2025-12-31T00:00:00Z"},
		{"UTC", "2024-03-01T12:00:00Z", "yesterday", "2024-02-29T00:00:00Z"},
	} {
		got, err := ParseMoment(c.text, in(t, c.zone, c.now))
		if err != nil || got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%q at %s in %s: %s, %v; want %s", c.text, c.now, c.zone, got.Format(time.RFC3339Nano), err, c.want)
		}
	}
}

func TestParseMomentRefuses(t *testing.T) {
	now := in(t, "UTC", "2026-11-29T14:30:00Z")
	for _, text := range []string{"", "soon", "-2h", "2", "0", "2y", "25:00", "12:60", "2026-13-01", "2026-02-30", "28.11.2026", "99999999w", "tomorrow"} {
		if got, err := ParseMoment(text, now); err == nil || !strings.Contains(err.Error(), "yesterday") {
			t.Errorf("%q: %v, %v; want an error that says how to write one", text, got, err)
		}
	}
}
