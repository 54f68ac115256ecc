package quiet

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job/api"
)

func at(clock string) time.Time {
	v, err := time.Parse("2006-01-02 15:04", "2026-03-02 "+clock) // a Monday
	if err != nil {
		panic(err)
	}
	return v
}

func TestQuietHours(t *testing.T) {
	night, err := Parse(&api.QuietHours{Cron: "0 22 * * *", Duration: "9h"})
	if err != nil {
		t.Fatal(err)
	}
	for clock, want := range map[string]string{
		"21:59": "", "22:00": "07:00", "23:30": "07:00", "06:59": "07:00", "07:00": "", "12:00": "",
	} {
		end := night.Until(at(clock))
		if got := ""; want == "" && !end.IsZero() || want != "" && end.Format("15:04") != want {
			t.Errorf("at %s quiet until %s%v, want %q", clock, got, end, want)
		}
	}
	berlin, err := Parse(&api.QuietHours{Cron: "0 22 * * 1-5", Duration: "8h", Zone: "Europe/Berlin"})
	if err != nil {
		t.Fatal(err)
	}
	if end := berlin.Until(at("21:30")); !end.Equal(at("21:00").Add(8 * time.Hour)) {
		t.Errorf("Berlin, in winter: %v", end)
	}
	cairo, err := Parse(&api.QuietHours{Cron: "0 0 * * *", Duration: "6h", Zone: "Africa/Cairo"})
	if err != nil {
		t.Fatal(err)
	}
	// On 24 April 2026 there is no midnight in Cairo: the clock goes from 23:59 to 01:00, at 22:00 UTC.
	change := time.Date(2026, 4, 23, 22, 0, 0, 0, time.UTC)
	if end := cairo.Until(change.Add(time.Hour)); !end.Equal(change.Add(6 * time.Hour)) {
		t.Errorf("Cairo, in the night without a midnight: quiet until %v", end)
	}
	if !(Hours{}).Until(at("12:00")).IsZero() {
		t.Error("no quiet hours are quiet")
	}
	for _, bad := range []struct {
		q    api.QuietHours
		want string
	}{
		{api.QuietHours{Cron: "0 25 * * *", Duration: "9h"}, "quiet.cron"},
		{api.QuietHours{Cron: "", Duration: "9h"}, "quiet.cron"},
		{api.QuietHours{Cron: "0 0 30 2 *", Duration: "9h"}, "quiet.cron"},
		{api.QuietHours{Cron: "0 22 * * *", Duration: "9"}, "quiet.duration"},
		{api.QuietHours{Cron: "0 22 * * *", Duration: "-9h"}, "quiet.duration"},
		{api.QuietHours{Cron: "0 22 * * *", Duration: "400h"}, "quiet.duration"},
		{api.QuietHours{Cron: "0 22 * * *", Duration: "9h", Zone: "Mars/Olympus"}, "quiet.zone"},
		{api.QuietHours{Cron: "0 22 * * *", Duration: "24h"}, "never end"},
		{api.QuietHours{Cron: "* * * * *", Duration: "5m"}, "never end"},
	} {
		if _, err := Parse(&bad.q); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v", bad.q, err)
		}
	}
}
