package message

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Message is sent to one receiver at once. It has one event, or several in order.
type Message struct {
	// ID is the same in every try, so that a receiver can detect a repetition.
	ID       string
	Route    string
	At       time.Time
	Severity job.Health // the highest of its items
	Summary  bool       // it joins events that were delayed or happened together
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
	Job      string     `json:"job,omitempty"` // of an event about a job that has no run
	// Late counts the runs of the event late, of all jobs that match the route.
	Late *api.LateRuns `json:"late,omitempty"`
	// Missed counts the jobs of the event missed, if there are several.
	Missed *MissedJobs `json:"missed,omitempty"`
	// Evidence is the line of the log that states the error; nil if there is none.
	Evidence *job.Evidence `json:"evidence,omitempty"`
	// Lines are the last lines of the log, for some events.
	Lines []string `json:"lines,omitempty"`
}

// MissedJobs are jobs that were missed at the same time.
type MissedJobs struct {
	Host string `json:"host,omitempty"` // of the last runs of all of them
	Jobs int    `json:"jobs"`
}

// sentence says that the jobs were missed.
func (m MissedJobs) sentence() string {
	if m.Host == "" {
		return fmt.Sprintf("%d jobs were due and have not started", m.Jobs)
	}
	return fmt.Sprintf("%d jobs of host %s were due and have not started", m.Jobs, m.Host)
}

// RunFacts describes a run in a message.
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

// factsOf returns the facts of a run; nil without a run. base is the address of the web page; empty if it is not
// known.
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
	if took, known := run.Took(); known {
		f.DurationSeconds = took.Seconds()
	}
	if base != "" {
		f.URL = strings.TrimRight(base, "/") + "/runs/" + url.PathEscape(run.ID)
	}
	return f
}

// Limits of foreign text in a message, in bytes.
const (
	maxMessage = 2000
	maxCommand = 1000
	maxWord    = 300
	// MaxEvidence is the limit of the line that states the error: 300 characters of any size.
	MaxEvidence = 300 * utf8.UTFMax
)

// plain returns the item with Plain applied to all foreign text, because receivers copy it into mails, tickets and
// pages of their own.
func (i Item) plain() Item {
	i.What, i.Ends, i.Message, i.Job = Plain(i.What, maxWord), Plain(i.Ends, maxWord), Plain(i.Message, maxMessage), Plain(i.Job, maxWord)
	lines := make([]string, len(i.Lines))
	for n, line := range i.Lines {
		lines[n] = Plain(line, 500)
	}
	if i.Lines != nil {
		i.Lines = lines
	}
	if i.Late != nil {
		late := *i.Late
		late.Host = Plain(late.Host, maxWord)
		i.Late = &late
	}
	if i.Missed != nil {
		missed := *i.Missed
		missed.Host = Plain(missed.Host, maxWord)
		i.Missed = &missed
	}
	if i.Evidence != nil {
		e := *i.Evidence
		e.Text = Plain(e.Text, MaxEvidence)
		i.Evidence = &e
	}
	if i.Run == nil {
		return i
	}
	run := *i.Run
	run.ID, run.Job, run.Host = Plain(run.ID, maxWord), Plain(run.Job, maxWord), Plain(run.Host, maxWord)
	run.State, run.Reason = job.State(Plain(string(run.State), maxWord)), job.Reason(Plain(string(run.Reason), maxWord))
	run.Command = Plain(run.Command, maxCommand)
	if run.Labels != nil {
		run.Labels = make(map[string]string, len(i.Run.Labels))
		for k, v := range i.Run.Labels {
			run.Labels[Plain(k, maxWord)] = Plain(v, maxWord)
		}
	}
	i.Run = &run
	return i
}

// ItemOf returns the item for a row of the outbox. run is nil for an event of the server; base is the
// address of the web page.
func ItemOf(a api.Action, run *job.Run, base string) Item {
	i := Item{
		ID: a.Cause, What: a.What, Severity: a.Severity, At: a.CreatedAt, Message: a.Message, Ends: a.Ends,
		Job: a.Job, Repeat: a.Repeat, Run: factsOf(run, base),
	}
	if run != nil && run.Diagnosis != nil && HasEvidence(a.What) {
		if e := run.Diagnosis.Evidence; e != nil && e.Attempt == a.Attempt {
			i.Evidence = e
		}
	}
	return i
}

// HasEvidence reports whether the output of a job explains an event.
func HasEvidence(what string) bool {
	switch what {
	case outbox.WhatFailed, outbox.WhatTimedOut, outbox.WhatLost, "stalled", "no_output", "memory":
		return true
	}
	return false
}

// LateItem returns the item for all rows about late runs that one host delivered at once, with a line for each job.
func LateItem(rows []api.Action, runs map[string]*job.Run) Item {
	all := api.LateRuns{Host: rows[0].Late.Host}
	var lines []string
	for n, row := range rows {
		all.Join(*row.Late)
		name := "a deleted job"
		if run := runs[row.Run]; run != nil {
			name = run.Job
		}
		if n < maxLateJobs {
			lines = append(lines, name+": "+row.Late.Sentence(row.CreatedAt))
		}
	}
	if more := len(rows) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more jobs", more))
	}
	at := rows[0].CreatedAt
	return Item{ID: rows[0].Cause, What: rows[0].What, Severity: rows[0].Severity, At: at, Message: "Delivered by host " + all.Host + ".", Late: &all, Lines: lines}
}

// MissedTogether reports whether two rows are about jobs that were missed at once, as those of a host that is down.
func MissedTogether(a, b api.Action) bool {
	return a.What == outbox.WhatMissed && b.What == outbox.WhatMissed && a.CreatedAt.Equal(b.CreatedAt)
}

// MissedItem returns the item for all rows about jobs that were missed at once, with a line for each. There are
// at least two.
func MissedItem(rows []api.Action, runs map[string]*job.Run) Item {
	all := MissedJobs{Jobs: len(rows)}
	var lines []string
	for n, row := range rows {
		host := ""
		if run := runs[row.Run]; run != nil {
			host = run.Host
		}
		if n == 0 {
			all.Host = host
		} else if host != all.Host {
			all.Host = ""
		}
		if n < maxLateJobs {
			lines = append(lines, row.Message)
		}
	}
	if more := len(rows) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more jobs", more))
	}
	first := rows[0]
	return Item{ID: first.Cause, What: first.What, Severity: first.Severity, At: first.CreatedAt, Message: all.sentence() + ".", Missed: &all, Lines: lines}
}

// maxLateJobs is how many lines a message about late runs, or about missed jobs, has.
const maxLateJobs = 20

// New returns the message of a batch.
func New(route string, batch int64, items []Item, summary bool, now time.Time) Message {
	m := Message{ID: "stint_" + strconv.FormatInt(batch, 10) + "_" + route, Route: route, At: now.UTC(), Summary: summary, Items: make([]Item, len(items))}
	for n, i := range items {
		m.Items[n] = i.plain()
	}
	for _, i := range items {
		if CompareSeverity(i.Severity, m.Severity) > 0 {
			m.Severity = i.Severity
		}
	}
	return m
}

// CompareSeverity compares two severities. An empty one is lower than all others.
func CompareSeverity(a, b job.Health) int {
	order := []job.Health{outbox.Info, job.Warning, job.Critical}
	return cmp.Compare(slices.Index(order, a), slices.Index(order, b))
}

// eventTexts are the texts for events. All other events are rules of findings.
var eventTexts = map[string]string{
	outbox.WhatFailed: "failed", outbox.WhatTimedOut: "timed out", outbox.WhatCanceled: "was canceled",
	outbox.WhatSucceeded: "succeeded", outbox.WhatLost: "is lost", outbox.WhatHealed: "reports again",
	outbox.WhatRecovered: "recovered", outbox.WhatNetwork: "many agents fell silent together",
	outbox.WhatLate: "failed, but a run that started later had succeeded",
	outbox.WhatTest: "test message", outbox.WhatMissed: "was due and has not started",
	outbox.WhatSkipped: "is not started by its schedule",
}

// isOfJob reports whether the event is about a job, and not about its last run.
func (i Item) isOfJob() bool { return i.What == outbox.WhatMissed || i.What == outbox.WhatSkipped }

// headline returns one line about the event. clean is applied to foreign text.
func (i Item) headline(clean func(string, int) string) string {
	text := eventTexts[i.What]
	switch {
	case text == "":
		text = strings.ReplaceAll(i.What, "_", " ")
		if i.Run != nil {
			text = "has a finding: " + text
		}
	case i.Late != nil:
		text = i.Late.Sentence(i.At)
	case i.Missed != nil:
		text = i.Missed.sentence()
	case i.What == outbox.WhatRecovered && i.Ends != "":
		text = "recovered from: " + strings.ReplaceAll(i.Ends, "_", " ")
	}
	switch {
	case i.Run == nil && i.Job != "":
		return clean(i.Job, 250) + " " + clean(text, 100)
	case i.Run == nil:
		return clean("Stint: "+text, 200)
	case i.isOfJob(): // the run is the one before
		return clean(i.Run.Job, 250) + " " + clean(text, 100)
	}
	line := clean(fmt.Sprintf("%s #%d", i.Run.Job, i.Run.Number), 250) + " " + clean(text, 100)
	if i.Repeat > 0 {
		line += fmt.Sprintf(" (reminder %d)", i.Repeat)
	}
	return line
}

// Title returns the message in one line. clean is applied to foreign text.
func (m Message) Title(clean func(string, int) string) string {
	if len(m.Items) == 0 {
		return "Stint"
	}
	last := m.Items[len(m.Items)-1]
	if !m.Summary {
		return m.Items[0].headline(clean)
	}
	return fmt.Sprintf("%d notifications, the last: %s", len(m.Items), last.headline(clean))
}

// maxShown is how many items a text has; a webhook has all.
const maxShown = 25

// Text returns the message for people, without its title. clean is applied to foreign text, to remove what the
// channel would interpret.
func (m Message) Text(clean func(string, int) string) string {
	var b strings.Builder
	shown := m.Items[:min(len(m.Items), maxShown)]
	for n, i := range shown {
		if n > 0 {
			b.WriteString("\n")
		}
		if len(m.Items) > 1 {
			fmt.Fprintf(&b, "%s  %s\n", job.ClockText(i.At), i.headline(clean))
		}
		i.write(&b, clean, len(m.Items) == 1)
	}
	if more := len(m.Items) - len(shown); more > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", more)
	}
	return strings.TrimRight(b.String(), "\n")
}

// write writes the item without its headline. alone reports whether the message has no other item.
func (i Item) write(b *strings.Builder, clean func(string, int) string, alone bool) {
	if i.Message != "" {
		b.WriteString(clean(i.Message, 1000) + "\n")
	}
	if i.Late != nil || i.Missed != nil {
		i.writeLines(b, clean)
	}
	if i.Evidence != nil {
		b.WriteString(clean(i.Evidence.Text, MaxEvidence) + "\n")
	}
	if i.Run == nil {
		return
	}
	if alone {
		i.writeFacts(b, clean)
		i.writeLines(b, clean)
	}
	if i.Run.URL != "" {
		b.WriteString(i.Run.URL + "\n")
	}
}

// writeFacts writes where the run was and how long it took, as far as that is known: a run in the queue has no host.
func (i Item) writeFacts(b *strings.Builder, clean func(string, int) string) {
	var facts []string
	if i.Run.Host != "" {
		facts = append(facts, "host "+clean(i.Run.Host, 100))
	}
	if i.Run.DurationSeconds >= 1 {
		facts = append(facts, "ran "+job.DurationText(time.Duration(i.Run.DurationSeconds*float64(time.Second))))
	}
	if i.Run.Attempt > 1 {
		facts = append(facts, fmt.Sprintf("attempt %d", i.Run.Attempt))
	}
	if len(facts) == 0 {
		return
	}
	if i.isOfJob() {
		facts[0] = "last run: " + facts[0]
	}
	b.WriteString(strings.Join(facts, ", ") + "\n")
}

func (i Item) writeLines(b *strings.Builder, clean func(string, int) string) {
	for _, line := range i.Lines {
		if i.Evidence == nil || line != i.Evidence.Text {
			b.WriteString("  " + clean(line, 300) + "\n")
		}
	}
}
