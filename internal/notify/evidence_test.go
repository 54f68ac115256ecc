package notify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/logs/ending"
	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// printing stores a run of a job that failed after it printed on stdout and stderr.
func printing(t *testing.T, db *store.Store, name, stdout, stderr string) string {
	t.Helper()
	id, now := uuid.Must(uuid.NewV7()).String(), time.Now()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 1})
	for _, write := range []func() error{
		func() error {
			return w.AppendJSON(journal.TypeAttempt, now, journal.Attempt{Run: id, Attempt: 1, Job: name, Args: []string{"x"}, Host: "box"})
		},
		func() error {
			return w.AppendJSON(journal.TypeStepStarted, now, journal.StepStarted{Name: "command", Kind: job.CommandStep})
		},
		func() error {
			return w.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: []byte(stdout)}))
		},
		func() error {
			return w.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stderr, Data: []byte(stderr)}))
		},
		func() error { return w.AppendJSON(journal.TypeStepEnded, now, journal.StepEnded{Outcome: o}) },
		func() error { return w.Finish(now, journal.Final{Outcome: o}) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := db.Ingest(t.Context(), []index.Append{{Run: id, Attempt: 1, Data: buf.Bytes(), At: now}}, nil)
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	return id
}

func openSQLite(t *testing.T) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), keyed(t, store.Options{Dir: t.TempDir()}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// readingEndings reads the output of runs where they are stored.
func readingEndings(db *store.Store) func(*Config) {
	return func(c *Config) {
		c.EndingTimeout = time.Minute
		c.Ending = func(ctx context.Context, run string, attempt int) (ending.Ending, error) {
			view, err := db.RunAttempt(ctx, run, attempt)
			if err != nil {
				return ending.Ending{}, err
			}
			return ending.Read(ctx, db, view)
		}
	}
}

// Of recorded failures of real programs a webhook, an e-mail and a chat have the line that states
// the error, also when the message goes out before the run is diagnosed.
func TestMessagesHaveTheLineThatStatesTheError(t *testing.T) {
	db := openSQLite(t)
	office, h := newPostOffice(t, ""), newRecorder()
	chat := make(chan string, 10)
	ntfy := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"id":"x","time":1,"event":"message","topic":"t"}`)
		chat <- string(raw)
	})
	setRoute(t, db, api.Route{Name: "hook", URL: receiver(t, h.ServeHTTP)})
	setRoute(t, db, api.Route{Name: "mail", URL: "smtp://" + office.addr + "/?from=stint@example.org&to=ada@example.org"})
	setRoute(t, db, api.Route{Name: "chat", URL: "ntfy://" + strings.TrimPrefix(ntfy, "http://") + "/topic?scheme=http"})
	w, _ := worker(t, db, readingEndings(db))
	for _, name := range []string{"python", "node", "java", "go", "rust", "tar", "psql", "npm", "make", "bash"} {
		dir := filepath.Join("../logs/ending/testdata/failures", name)
		read := func(name string) string {
			t.Helper()
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		t.Run(name, func(t *testing.T) {
			want := strings.TrimSuffix(read("line"), "\n")
			printing(t, db, name, read("stdout"), read("stderr"))
			w.Wake()
			<-h.more
			items := h.items()
			if got := items[len(items)-1].Evidence; got == nil || got.Text != message.Plain(want, message.MaxEvidence) || got.Attempt != 1 || got.Line == 0 || got.Stream == "" {
				t.Errorf("webhook: %+v, want %q", got, want)
			}
			m, err := mail.ReadMessage(strings.NewReader(<-office.letters))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil || !strings.Contains(string(body), "\r\n"+message.Plain(want, message.MaxEvidence)+"\r\n") {
				t.Errorf("mail: %v\n%s\nwant %q", err, body, want)
			}
			if got := <-chat; !strings.Contains(got, "\n"+message.Inert(want, message.MaxEvidence)+"\n") {
				t.Errorf("chat: %s\nwant %q", got, want)
			}
		})
	}
}

// A message about several runs has the line of each, and the last ones of none.
func TestMessagesAboutSeveralRuns(t *testing.T) {
	db := openSQLite(t)
	runs := map[string]*job.Run{}
	var batch []api.Action
	var want []string
	for _, text := range []string{"error: a", "error: b", "error: c", "error: d"} {
		id := printing(t, db, "train", "rows\n", text+"\n")
		run, err := db.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		runs[id] = &run
		batch = append(batch, api.Action{Run: id, Attempt: 1, What: outbox.WhatFailed})
		want = append(want, text)
	}
	c := Config{Store: db}
	readingEndings(db)(&c)
	var got []string
	for _, item := range New(c).items(t.Context(), batch, runs) {
		if item.Evidence == nil || len(item.Lines) > 0 {
			t.Fatalf("%+v", item)
		}
		got = append(got, item.Evidence.Text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A message about runs that failed and about deliveries of late ones has one item for each run, with
// its own line, and one for each delivery. The last run has its last lines.
func TestMessagesAboutFailedAndLateRuns(t *testing.T) {
	db := openSQLite(t)
	runs := map[string]*job.Run{}
	at := time.Date(2026, 11, 28, 5, 0, 0, 0, time.UTC)
	row := func(name string, change func(*api.Action)) api.Action {
		id := printing(t, db, name, "rows\n", "error: "+name+"\n")
		run, err := db.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		runs[id] = &run
		a := api.Action{Run: id, Attempt: 1, What: outbox.WhatFailed, Severity: job.Critical, CreatedAt: at}
		change(&a)
		return a
	}
	failed := func(*api.Action) {}
	late := func(host string, n, bad int, hours int) func(*api.Action) {
		return func(a *api.Action) {
			a.What, a.Severity, a.Attempt, a.CreatedAt = outbox.WhatLate, "", 0, at.Add(time.Duration(hours)*time.Hour)
			a.Late = &api.LateRuns{Host: host, Runs: n, Failed: bad, From: at, To: at}
		}
	}
	c := Config{Store: db}
	readingEndings(db)(&c)
	w := New(c)
	for name, tt := range map[string]struct {
		batch []api.Action
		want  []string // of each item
	}{
		"three items": {
			[]api.Action{row("a", late("box", 3, 1, 0)), row("b", failed), row("c", late("box", 4, 1, 0)), row("d", late("tower", 2, 0, 0))},
			[]string{"late box 7 2 [a: 3 c: 4]", "failed error: b [rows error: b]", "late tower 2 0 [d: 2]"},
		},
		"five items": {
			[]api.Action{row("e", failed), row("f", late("box", 3, 1, 0)), row("g", failed), row("h", late("box", 1, 0, 1)), row("i", late("box", 2, 0, 0)), row("j", failed)},
			[]string{"failed error: e []", "late box 5 1 [f: 3 i: 2]", "failed error: g []", "late box 1 0 [h: 1]", "failed error: j []"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			items := w.items(t.Context(), tt.batch, runs)
			var got []string
			for _, i := range items {
				one := i.What
				if i.Late != nil {
					one += fmt.Sprintf(" %s %d %d", i.Late.Host, i.Late.Runs, i.Late.Failed)
				}
				if i.Evidence != nil {
					one += " " + i.Evidence.Text
				}
				var lines []string
				for _, l := range i.Lines {
					if i.Late != nil {
						l, _, _ = strings.Cut(l, " run")
					}
					lines = append(lines, l)
				}
				got = append(got, fmt.Sprint(one, " ", lines))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			m := message.New("r", 7, items, true, at)
			if m.Severity != job.Critical {
				t.Errorf("severity %q", m.Severity)
			}
			text, rest := m.Text(message.Plain)+"\n", 0
			for _, i := range m.Items {
				want := i.Message
				if i.Evidence != nil {
					want = "\n" + i.Evidence.Text + "\n"
				}
				found := strings.Index(text[rest:], want)
				if found < 0 {
					t.Fatalf("%q is missing or out of order in\n%s", want, text)
				}
				rest += found + len(want)
			}
		})
	}
}

// What follows the last carriage return of a progress bar is in the message, and its beginning
// is not.
func TestMessagesAfterAProgressBar(t *testing.T) {
	var bar strings.Builder
	for i := range 3000 {
		bar.WriteString("\r" + strings.Repeat("#", i%20) + " 99.9it/s")
	}
	db := openSQLite(t)
	for end, lines := range map[string]int{"\nValueError: the reason\n": 2, "\rValueError: the reason": 1} {
		id := printing(t, db, "train", "", bar.String()+end)
		run, err := db.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		c := Config{Store: db}
		readingEndings(db)(&c)
		item := New(c).items(t.Context(), []api.Action{{Run: id, Attempt: 1, What: outbox.WhatFailed}}, map[string]*job.Run{id: &run})[0]
		if n := len(item.Lines); n != lines || item.Lines[n-1] != "ValueError: the reason" || item.Evidence.Text != "ValueError: the reason" {
			t.Errorf("%q: %q, %+v", end, item.Lines, item.Evidence)
		}
	}
}

// A panic while the end of a run's output is read costs the message that end and nothing else: it is
// logged once, with the run, and the other runs of the message have theirs.
func TestMessagesAboutRunsWhoseEndingPanics(t *testing.T) {
	runs := map[string]*job.Run{}
	var batch []api.Action
	for _, id := range []string{"good", "bad", "fine"} {
		runs[id] = &job.Run{ID: id, Job: id, Attempt: 1, State: job.Failed}
		batch = append(batch, api.Action{Run: id, Attempt: 1, What: outbox.WhatFailed})
	}
	var log bytes.Buffer
	w := New(Config{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Ending: func(_ context.Context, run string, _ int) (ending.Ending, error) {
			if run == "bad" {
				var none []ending.Line
				return ending.Ending{Lines: none[1:2]}, nil
			}
			return ending.Ending{Evidence: &job.Evidence{Text: "error: " + run}}, nil
		},
	})
	for range 2 { // the message is sent again
		var got []string
		for _, item := range w.items(t.Context(), batch, runs) {
			if item.Evidence == nil {
				got = append(got, "")
				continue
			}
			got = append(got, item.Evidence.Text)
		}
		if diff := cmp.Diff([]string{"error: good", "", "error: fine"}, got); diff != "" {
			t.Error(diff)
		}
	}
	if text := log.String(); strings.Count(text, "panicked") != 1 || !strings.Contains(text, "run=bad") || !strings.Contains(text, "evidence_test.go") {
		t.Errorf("the log does not say once what panicked and where:\n%s", text)
	}
}
