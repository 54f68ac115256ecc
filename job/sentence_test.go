package job

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestTimesIn(t *testing.T) {
	near := at("2026-11-28T04:30:00Z")
	for name, c := range map[string]struct {
		near      time.Time
		sentences []string
		want      []SentenceTime
	}{
		"none":            {near, []string{"", "Exited with code 3.", "at 04:06:24", "99:99:99 UTC", " UTC", "it printed 2026-11-28T04:06:38Z"}, nil},
		"with a date":     {near, []string{"The last record is from 2026-11-26 04:06:38 UTC."}, []SentenceTime{{"2026-11-26 04:06:38 UTC", at("2026-11-26T04:06:38Z")}}},
		"without one":     {near, []string{"No output since 04:06:24 UTC."}, []SentenceTime{{"04:06:24 UTC", at("2026-11-28T04:06:24Z")}}},
		"several":         {near, []string{"No output since 04:06:24 UTC, no CPU since 04:06:25 UTC", "04:06:24 UTC"}, []SentenceTime{{"04:06:24 UTC", at("2026-11-28T04:06:24Z")}, {"04:06:25 UTC", at("2026-11-28T04:06:25Z")}}},
		"the day before":  {at("2026-11-20T00:01:00Z"), []string{"at 23:59:00 UTC"}, []SentenceTime{{"23:59:00 UTC", at("2026-11-19T23:59:00Z")}}},
		"the day after":   {at("2026-11-19T23:59:00Z"), []string{"at 00:01:00 UTC"}, []SentenceTime{{"00:01:00 UTC", at("2026-11-20T00:01:00Z")}}},
		"in another zone": {near.In(time.FixedZone("", -9*3600)), []string{"at 04:06:24 UTC"}, []SentenceTime{{"04:06:24 UTC", at("2026-11-28T04:06:24Z")}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, TimesIn(c.near, c.sentences...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every moment that a sentence names is found again.
func TestTimesInFindsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moment := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "moment"), 0).UTC()
		near := moment.Add(time.Duration(rapid.Int64Range(-11*3600, 11*3600).Draw(t, "seconds away")) * time.Second)
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		for _, text := range []string{ClockText(moment), TimeText(moment)} {
			found := TimesIn(near, before+" "+text+after)
			ok := false
			for _, f := range found {
				ok = ok || f.Text == text && f.At.Equal(moment)
			}
			if !ok {
				t.Errorf("%q near %s: %v", text, near, found)
			}
		}
	})
}

func TestFindTimes(t *testing.T) {
	ended := at("2026-11-28T04:30:00Z")
	r := Run{
		EndedAt:   &ended,
		Findings:  []Finding{{Evidence: "No heartbeat since 04:00:01 UTC", Next: "it is lost at 04:00:02 UTC"}},
		Diagnosis: &Diagnosis{Sentence: "Memory ran out at 04:00:03 UTC.", Causes: []Cause{{Evidence: "It ended at 04:00:04 UTC."}}},
		Outcome:   &Outcome{Message: "Killed at 04:00:05 UTC."},
		Steps:     []Step{{Message: "Killed at 2026-11-28 04:00:06 UTC."}},
	}
	r.SetDerived()
	for i, f := range r.SentenceTimes {
		if want := at("2026-11-28T04:00:01Z").Add(time.Duration(i) * time.Second); !f.At.Equal(want) {
			t.Errorf("%v, want %s", f, want)
		}
	}
	if len(r.SentenceTimes) != 6 {
		t.Errorf("%v", r.SentenceTimes)
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 8 * time.Millisecond: "8 ms", 2400 * time.Millisecond: "2.4 s", time.Second: "1 s", 9960 * time.Millisecond: "10 s", time.Minute: "1 m", 61 * time.Second: "1 m 1 s", time.Hour: "1 h", 42 * time.Second: "42 s",
		12*time.Minute + 40*time.Second: "12 m 40 s", 3*time.Hour + 5*time.Minute: "3 h 5 m", 50 * time.Hour: "2 d 2 h",
	} {
		if got := DurationText(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}
