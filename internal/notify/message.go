package notify

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
)

// Message is what one receiver is sent at once: one event, or several in order.
type Message struct {
	// ID is the same in every try, so that a receiver can detect a repetition.
	ID       string
	Route    string
	At       time.Time
	Severity job.Health // the worst of its items
	Summary  bool       // its items were held up, or came all at once
	Items    []Item
}

// Item is one event of a message.
type Item struct {
	ID       int64      `json:"id"` // of the cause: the same in every route and repetition
	What     string     `json:"what"`
	Severity job.Health `json:"severity,omitempty"`
	At       time.Time  `json:"at"`
	Message  string     `json:"message"`
	Ends     string     `json:"ends,omitempty"`
	Repeat   int        `json:"repeat,omitempty"`
	Run      *RunFacts  `json:"run,omitempty"`
	// Late is what the event late counts, of all jobs that the route takes.
	Late *job.LateRuns `json:"late,omitempty"`
	// Evidence is the line of the log that states the error, if one does.
	Evidence *job.Evidence `json:"evidence,omitempty"`
	// Lines are the last that the job printed, where they help.
	Lines []string `json:"lines,omitempty"`
}

// RunFacts is what a message says of a run.
type RunFacts struct {
	ID              string            `json:"id"`
	Job             string            `json:"job"`
	Number          int64             `json:"number"`
	Attempt         int               `json:"attempt"`
	State           job.State         `json:"state"`
	Reason          job.Reason        `json:"reason,omitempty"`
	ExitCode        *int              `json:"exit_code,omitempty"`
	Host            string            `json:"host"`
	Command         string            `json:"command"`
	Labels          map[string]string `json:"labels,omitempty"`
	StartedAt       *time.Time        `json:"started_at,omitempty"`
	DurationSeconds float64           `json:"duration_seconds,omitempty"`
	URL             string            `json:"url,omitempty"`
}

// factsOf is a run as messages show it. base is the address of the page, empty if unknown.
func factsOf(run *job.Run, base string) *RunFacts {
	if run == nil {
		return nil
	}
	f := &RunFacts{
		ID: run.ID, Job: run.Job, Number: run.Number, Attempt: run.Attempt, State: run.State, Host: run.Host,
		Command: run.Command, Labels: run.Labels, StartedAt: run.StartedAt,
	}
	if run.Outcome != nil {
		f.Reason, f.ExitCode = run.Outcome.Reason, run.Outcome.ExitCode
	}
	if run.StartedAt != nil && run.EndedAt != nil {
		f.DurationSeconds = max(0, run.EndedAt.Sub(*run.StartedAt).Seconds())
	}
	if base != "" {
		f.URL = strings.TrimRight(base, "/") + "/runs/" + url.PathEscape(run.ID)
	}
	return f
}

// Bounds of what is foreign in a message, in bytes.
const (
	mostMessage = 2000
	mostCommand = 1000
	mostWord    = 300
	// mostEvidence is 300 characters, however many bytes those have.
	mostEvidence = 300 * utf8.UTFMax
)

// plain is the item without anything that shows nothing by itself, in every field that
// holds foreign text: receivers copy them into mails, tickets and pages of their own.
func (i Item) plain() Item {
	i.What, i.Ends, i.Message = plain(i.What, mostWord), plain(i.Ends, mostWord), plain(i.Message, mostMessage)
	lines := make([]string, len(i.Lines))
	for n, line := range i.Lines {
		lines[n] = plain(line, 500)
	}
	if i.Lines != nil {
		i.Lines = lines
	}
	if i.Late != nil {
		late := *i.Late
		late.Host = plain(late.Host, mostWord)
		i.Late = &late
	}
	if i.Evidence != nil {
		e := *i.Evidence
		e.Text = plain(e.Text, mostEvidence)
		i.Evidence = &e
	}
	if i.Run == nil {
		return i
	}
	run := *i.Run
	run.ID, run.Job, run.Host = plain(run.ID, mostWord), plain(run.Job, mostWord), plain(run.Host, mostWord)
	run.State, run.Reason = job.State(plain(string(run.State), mostWord)), job.Reason(plain(string(run.Reason), mostWord))
	run.Command = plain(run.Command, mostCommand)
	if run.Labels != nil {
		run.Labels = make(map[string]string, len(i.Run.Labels))
		for k, v := range i.Run.Labels {
			run.Labels[plain(k, mostWord)] = plain(v, mostWord)
		}
	}
	i.Run = &run
	return i
}

func itemOf(a job.Action, run *job.Run, base string) Item {
	i := Item{
		ID: a.Cause, What: a.What, Severity: a.Severity, At: a.CreatedAt, Message: a.Message, Ends: a.Ends,
		Repeat: a.Repeat, Run: factsOf(run, base),
	}
	if run != nil && run.Diagnosis != nil && aboutTrouble(a.What) {
		if e := run.Diagnosis.Evidence; e != nil && e.Attempt == a.Attempt {
			i.Evidence = e
		}
	}
	return i
}

// lateItem is the item for all rows of one delivery of late runs, with a line for each job.
func lateItem(rows []job.Action, runs map[string]*job.Run) Item {
	all := job.LateRuns{Host: rows[0].Late.Host}
	var lines []string
	for n, row := range rows {
		all.Join(*row.Late)
		name := "a job that was deleted"
		if run := runs[row.Run]; run != nil {
			name = run.Job
		}
		if n < mostLateJobs {
			lines = append(lines, name+": "+row.Late.Sentence(row.CreatedAt))
		}
	}
	if more := len(rows) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more jobs", more))
	}
	at := rows[0].CreatedAt
	return Item{ID: rows[0].Cause, What: rows[0].What, Severity: rows[0].Severity, At: at, Message: "Delivered by host " + all.Host + ".", Late: &all, Lines: lines}
}

// mostLateJobs bounds the lines of a message about late runs.
const mostLateJobs = 20

// newMessage forms the message of a batch.
func newMessage(route string, batch int64, items []Item, summary bool, now time.Time) Message {
	m := Message{ID: "stint_" + strconv.FormatInt(batch, 10) + "_" + route, Route: route, At: now.UTC(), Summary: summary, Items: make([]Item, len(items))}
	for n, i := range items {
		m.Items[n] = i.plain()
	}
	for _, i := range items {
		if compareSeverity(i.Severity, m.Severity) > 0 {
			m.Severity = i.Severity
		}
	}
	return m
}

// words are how events are named. What is not here is the rule of a finding.
var words = map[string]string{
	outbox.WhatFailed: "failed", outbox.WhatTimedOut: "timed out", outbox.WhatCanceled: "was canceled",
	outbox.WhatSucceeded: "succeeded", outbox.WhatLost: "is lost", outbox.WhatHealed: "reports again",
	outbox.WhatRecovered: "recovered", outbox.WhatNetwork: "many agents fell silent together",
	outbox.WhatLate: "went wrong, but a run that started later had succeeded",
	outbox.WhatTest: "this is a test",
}

func (i Item) headline(clean func(string, int) string) string {
	say := words[i.What]
	switch {
	case say == "":
		say = strings.ReplaceAll(i.What, "_", " ")
		if i.Run != nil {
			say = "has trouble: " + say
		}
	case i.Late != nil:
		say = i.Late.Sentence(i.At)
	case i.What == outbox.WhatRecovered && i.Ends != "":
		say = "is no longer: " + strings.ReplaceAll(i.Ends, "_", " ")
	}
	if i.Run == nil {
		return clean("Stint: "+say, 200)
	}
	line := clean(fmt.Sprintf("%s #%d", i.Run.Job, i.Run.Number), 250) + " " + clean(say, 100)
	if i.Repeat > 0 {
		line += fmt.Sprintf(" (still; sent %d times before)", i.Repeat)
	}
	return line
}

// Title is the message in one line.
func (m Message) Title(clean func(string, int) string) string {
	if len(m.Items) == 0 {
		return "Stint"
	}
	last := m.Items[len(m.Items)-1]
	if !m.Summary {
		return m.Items[0].headline(clean)
	}
	return fmt.Sprintf("%d messages, the last: %s", len(m.Items), last.headline(clean))
}

// mostShown bounds the items of a text; a webhook brings all.
const mostShown = 25

// Text is the message as a person reads it, without its title. Foreign words pass through
// clean, which takes out what the channel would act on.
func (m Message) Text(clean func(string, int) string) string {
	var b strings.Builder
	shown := m.Items[:min(len(m.Items), mostShown)]
	for n, i := range shown {
		if n > 0 {
			b.WriteString("\n")
		}
		if len(m.Items) > 1 {
			fmt.Fprintf(&b, "%s  %s\n", i.At.UTC().Format("15:04:05 UTC"), i.headline(clean))
		}
		i.write(&b, clean, len(m.Items) == 1)
	}
	if more := len(m.Items) - len(shown); more > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", more)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (i Item) write(b *strings.Builder, clean func(string, int) string, whole bool) {
	if i.Message != "" {
		b.WriteString(clean(i.Message, 1000) + "\n")
	}
	if i.Late != nil {
		i.writeLines(b, clean)
	}
	if i.Evidence != nil {
		b.WriteString(clean(i.Evidence.Text, mostEvidence) + "\n")
	}
	if i.Run == nil {
		return
	}
	if whole {
		facts := []string{"host " + clean(i.Run.Host, 100)}
		if i.Run.DurationSeconds >= 1 {
			d := time.Duration(i.Run.DurationSeconds * float64(time.Second)).Round(time.Second)
			facts = append(facts, "ran "+d.String())
		}
		if i.Run.Attempt > 1 {
			facts = append(facts, fmt.Sprintf("attempt %d", i.Run.Attempt))
		}
		b.WriteString(strings.Join(facts, ", ") + "\n")
		i.writeLines(b, clean)
	}
	if i.Run.URL != "" {
		b.WriteString(i.Run.URL + "\n")
	}
}

func (i Item) writeLines(b *strings.Builder, clean func(string, int) string) {
	for _, line := range i.Lines {
		if i.Evidence == nil || line != i.Evidence.Text {
			b.WriteString("  " + clean(line, 300) + "\n")
		}
	}
}
