package querycmd

import (
	"testing"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestSuggestionText(t *testing.T) {
	for _, c := range []struct {
		name string
		d    api.SuggestedDue
		want string
	}{
		{
			"backup",
			api.SuggestedDue{Expectation: job.Expectation{Cron: "0 3 * * *", Zone: "Europe/Berlin", GraceSeconds: 3600}, When: "each day at 03:00", OffSeconds: 240, Starts: 30},
			"Nobody expects backup. It starts each day at 03:00 Europe/Berlin, ± 4 m 0 s, by 30 starts. To expect that:\n" +
				"  stint job due backup --cron '0 3 * * *' --zone Europe/Berlin --grace 3600s\nThe option --accept does that, and --dismiss ends this suggestion.\n",
		},
		{
			"it's a\x1b[2Jjob",
			api.SuggestedDue{Expectation: job.Expectation{EverySeconds: 300, GraceSeconds: 120}, When: "every 5 minutes", OffSeconds: 60, Starts: 900},
			"Nobody expects it's a\\x1b[2Jjob. It starts every 5 minutes, ± 1 m 0 s, by 900 starts. To expect that:\n" +
				"  stint job due 'it'\\''s a\\x1b[2Jjob' --every 300s --grace 120s\nThe option --accept does that, and --dismiss ends this suggestion.\n",
		},
	} {
		if got := suggestionText(c.name, c.d); got != c.want {
			t.Errorf("%q\nwant\n%q", got, c.want)
		}
	}
}
