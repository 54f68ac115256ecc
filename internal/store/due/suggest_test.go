package due

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/plantest"
)

// suggested returns what is suggested for a job, in words; empty for nothing.
func (b *bench) suggested(name string) string {
	b.t.Helper()
	out, err := b.SuggestDue(b.t.Context(), name, []*time.Location{time.UTC}, b.now)
	if err != nil {
		b.t.Fatal(err)
	}
	if out.Suggested == nil {
		return ""
	}
	return fmt.Sprintf("%s %s: %s", out.Suggested.Cron, out.Suggested.Zone, out.Suggested.When)
}

func TestAnExpectationIsSuggestedForAJobThatNobodyExpects(t *testing.T) {
	onBoth(t, func(b *bench) {
		for _, name := range []string{"backup", "scheduled", "expected"} {
			for day := 1; day <= 10; day++ {
				b.now = at(fmt.Sprintf("2026-02-%02d 03:00:05", day))
				b.start(name, b.now.Format(time.DateTime))
			}
		}
		b.now = at("2026-02-10 12:00:00")
		const want = "0 3 * * * UTC: each day at 03:00"
		if got := b.suggested("backup"); got != "" {
			b.t.Errorf("%q for a job that is not there", got) // its row is made with its first run, which this test stores without
		}
		for _, name := range []string{"backup", "scheduled", "expected"} {
			plantest.Exec(b.t, b.DB, `INSERT INTO jobs (name, next_number) VALUES ('`+name+`', 11)`)
		}
		plantest.Exec(b.t, b.DB,
			`INSERT INTO definitions (job, version, source, yaml, applied_at, applied_by) VALUES ('scheduled', '', '', '', 0, '')`,
			`INSERT INTO schedules (job, number, position, doc, set_at) VALUES ('scheduled', 1, 1, '{}', 0)`)
		b.set("expected", daily)
		for name, want := range map[string]string{"backup": want, "scheduled": "", "expected": "", "unknown": "", "": ""} {
			if got := b.suggested(name); got != want {
				b.t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if err := b.DismissSuggestion(b.t.Context(), "backup"); err != nil {
			b.t.Fatal(err)
		}
		if got := b.suggested("backup"); got != "" {
			b.t.Errorf("%q was dismissed", got)
		}
		var missing *query.NotFoundError
		for _, name := range []string{"unknown", "\x00"} {
			if err := b.DismissSuggestion(b.t.Context(), name); !errors.As(err, &missing) {
				b.t.Errorf("%q: %v", name, err)
			}
		}
	})
}
