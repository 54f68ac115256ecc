package jobcmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
			"Nobody expects backup. It starts each day at 03:00 Europe/Berlin, ± 4 m, by 30 starts. To expect that:\n" +
				"  stint job due backup --cron '0 3 * * *' --zone Europe/Berlin --grace 1h\nThe option --accept does that, and --dismiss ends this suggestion.\n",
		},
		{
			"it's a\x1b[2Jjob",
			api.SuggestedDue{Expectation: job.Expectation{EverySeconds: 300, GraceSeconds: 120}, When: "every 5 minutes", OffSeconds: 60, Starts: 900},
			"Nobody expects it's a\\x1b[2Jjob. It starts every 5 minutes, ± 1 m, by 900 starts. To expect that:\n" +
				"  stint job due 'it'\\''s a\\x1b[2Jjob' --every 5m --grace 2m\nThe option --accept does that, and --dismiss ends this suggestion.\n",
		},
	} {
		if got := suggestionText(c.name, c.d); got != c.want {
			t.Errorf("%q\nwant\n%q", got, c.want)
		}
	}
}

func TestDueLabels(t *testing.T) {
	for _, c := range []struct {
		list []string
		want map[string]string
		err  string
	}{
		{nil, nil, ""},
		{[]string{""}, map[string]string{}, ""},
		{[]string{"team=db", "url=a=b", "empty="}, map[string]string{"team": "db", "url": "a=b", "empty": ""}, ""},
		{[]string{"team"}, nil, `--label: "team" is not K=V`},
		{[]string{"team=db", ""}, nil, `--label: "" is not K=V`},
		{[]string{"=db"}, nil, "--label: label key"},
		{[]string{"team=db", "team=web"}, nil, `--label: "team" is given twice`},
	} {
		got, err := dueLabels(c.list)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.list, diff)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%q: %v, want %q", c.list, err, c.err)
		}
	}
}
