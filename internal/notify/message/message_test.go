package message

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func at(clock string) time.Time {
	v, err := time.Parse("2006-01-02 15:04", "2026-03-02 "+clock) // a Monday
	if err != nil {
		panic(err)
	}
	return v
}

// Whatever a job calls itself and prints, a message is text and nothing else.
func TestForeignTextIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[31mred\x1b[0m":      "red",
		"\x1b]0;title\x07text":    "text",
		"a\r\nBcc: x@example.org": "a  Bcc: x@\u200bexample.org",
		"@everyone <!channel>":    "@\u200beveryone ‹!channel›",
		"[x](http://evil)":        "[x]\u200b(http:\u200b//evil)",
		"<img src=x onerror=y>":   "‹img src=x onerror=y›",
		"safe\u202eexe.txt\u2066": "safeexe.txt",
		"bad \xff byte":           "bad \uFFFD byte",
		"":                        "",
		"Exited with code 3.":     "Exited with code 3.",
		"a\x1b":                   "a",
		"```\nrm -rf /\n```":      "''' rm -rf / '''",
	} {
		if got := Inert(in, 1000); got != want {
			t.Errorf("Inert(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("\x1b[]()<>@`\n\r:/;m\u202e a")))).Draw(t, "s")
		got := Inert(s, 50)
		if strings.ContainsAny(got, "<>`\n\r\x1b\u202e") || strings.Contains(got, "](") || strings.Contains(got, "://") || len(got) > 50*5 {
			t.Fatalf("%q became %q", s, got)
		}
		for i := strings.Index(got, "@"); i >= 0; i = -1 {
			if !strings.HasPrefix(got[i:], "@\u200b") {
				t.Fatalf("%q became %q", s, got)
			}
		}
	})
}

func TestMessage(t *testing.T) {
	begun, ended := at("11:00"), at("11:42")
	run := &job.Run{ID: "0199", Job: "train", Number: 7, Attempt: 2, Host: "box", State: job.Failed, StartedAt: &begun, EndedAt: &ended, Outcome: &job.Outcome{Reason: job.ExitCode}}
	a := api.Action{ID: 5, Cause: 4, Run: "0199", What: "failed", Severity: job.Critical, Message: "Exited with code 3.", CreatedAt: ended}
	item := ItemOf(a, run, "https://stint.example.org/")
	item.Lines = []string{"Traceback", "KeyError: 'x'"}
	m := New("team", 5, []Item{item}, false, ended)
	if got := m.Title(Plain); got != "train #7 failed" {
		t.Errorf("title %q", got)
	}
	want := "Exited with code 3.\nhost box, ran 42 m, attempt 2\n  Traceback\n  KeyError: 'x'\nhttps://stint.example.org/runs/0199"
	if diff := cmp.Diff(want, m.Text(Plain)); diff != "" {
		t.Error("text:", diff)
	}
	// The line that states the error is not repeated among the last ones.
	run.Diagnosis = &job.Diagnosis{Evidence: &job.Evidence{Attempt: 1, Text: "KeyError: 'x'"}}
	a.Attempt = 2
	if got := ItemOf(a, run, ""); got.Evidence != nil {
		t.Errorf("evidence of another attempt: %+v", got.Evidence)
	}
	run.Diagnosis.Evidence.Attempt = 2
	stated := ItemOf(a, run, "https://stint.example.org/")
	stated.Lines = item.Lines
	want = "Exited with code 3.\nKeyError: 'x'\nhost box, ran 42 m, attempt 2\n  Traceback\nhttps://stint.example.org/runs/0199"
	if diff := cmp.Diff(want, New("team", 5, []Item{stated}, false, ended).Text(Plain)); diff != "" {
		t.Error("text:", diff)
	}
	if m.ID != "stint_5_team" || m.Severity != job.Critical {
		t.Errorf("%+v", m)
	}
	// Of an event about a job the run is the last one, if there is any.
	skipped := api.Action{ID: 6, What: "skipped", Severity: job.Warning, Job: "train", Message: "Schedule 1 did not start train.", CreatedAt: ended}
	for _, of := range []*job.Run{nil, run} {
		if got := New("team", 6, []Item{ItemOf(skipped, of, "")}, false, ended).Title(Plain); got != "train is not started by its schedule" {
			t.Errorf("title %q", got)
		}
	}
	var many []Item
	for range 40 {
		many = append(many, item)
	}
	sum := New("team", 5, many, true, ended)
	if got := sum.Title(Plain); got != "40 notifications, the last: train #7 failed" {
		t.Errorf("title %q", got)
	}
	if text := sum.Text(Plain); strings.Count(text, "Exited with code 3.") != maxShown || !strings.HasSuffix(text, "and 15 more") {
		t.Errorf("text %s", text)
	}
}

// A message about a job that did not start has the run before it, which it calls so.
func TestFactsOfTheLastRun(t *testing.T) {
	begun, ended := at("11:00"), at("13:05")
	run := &job.Run{ID: "0199", Job: "backup", Number: 7, Attempt: 1, Host: "box", State: job.Succeeded, StartedAt: &begun, EndedAt: &ended}
	a := api.Action{ID: 5, Cause: 4, Run: "0199", What: "missed", Severity: job.Critical, Message: "backup was due.", CreatedAt: ended}
	want := "backup was due.\nlast run: host box, ran 2 h 5 m\nhttps://stint.example.org/runs/0199"
	m := New("team", 5, []Item{ItemOf(a, run, "https://stint.example.org/")}, false, ended)
	if diff := cmp.Diff(want, m.Text(Plain)); diff != "" {
		t.Error("text:", diff)
	}
}

// A message about a run in the queue has no line for the host, which it has not had yet.
func TestFactsOfAQueuedRun(t *testing.T) {
	run := &job.Run{ID: "0199", Job: "report", Number: 7, Attempt: 0, State: job.Queued}
	a := api.Action{ID: 5, Cause: 4, Run: "0199", What: "waiting", Severity: job.Warning, Message: "No worker is connected.", CreatedAt: at("11:00")}
	m := New("team", 5, []Item{ItemOf(a, run, "https://stint.example.org/")}, false, at("11:00"))
	if diff := cmp.Diff("No worker is connected.\nhttps://stint.example.org/runs/0199", m.Text(Plain)); diff != "" {
		t.Error("text:", diff)
	}
}
