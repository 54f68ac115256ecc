package runcmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// show prints one run.
func (p *program) show() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "show [flags] RUN",
		Short: "Show one run: state, steps, outcome, usage",
		Long:  "Show one run, with all its attempts, or one of them.\n\n" + command.AttemptHelp,
		Args:  command.OneRun,
	}, nil, func(ctx context.Context, r command.Request) (shown, error) {
		wait := p.Wait("asking %s", r.URL())
		defer wait.Done()
		return showRun(ctx, r.Client, r.Args[0])
	}, func(r shown) string {
		r.Run = localRun(r.Run)
		return p.runPage(r, time.Now())
	})
}

// factIndent is the width of the names of facts.
const factIndent = 13

// copied are facts that are copied into commands, so they stay on one line.
var copied = []string{"id", "command", "directory"}

// runPage returns a run as text.
func (p *program) runPage(of shown, now time.Time) string {
	r := of.Run
	s, width := p.StyleFor(p.Out), p.Width(p.Out)
	hang := func(text string, indent int, paint func(string) string) string {
		return console.Hang(console.Clean(text), indent, width, paint)
	}
	var b strings.Builder
	state := console.StateCell(r.State, s)
	head := fmt.Sprintf("%s  %s", s.Bold(console.Clean(command.RunName(r))), state.Paint(state.Text))
	if r.Health != "" {
		h := healthCell(r, s)
		head += "  " + h.Paint(h.Text)
	}
	b.WriteString(head + "\n")
	message := ""
	if r.Outcome != nil {
		message = r.Outcome.Message
		fmt.Fprintf(&b, "%s\n", hang(message, 0, nil))
	}
	if r.Diagnosis != nil {
		b.WriteString(diagnosisText(r.Diagnosis, message, s, width))
	}
	if isBeingDiagnosed(r, now) {
		b.WriteString(hang("the cause is not known yet: the server is looking for it", 0, s.Muted) + "\n")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s\n", hang(f.Rule+": "+f.Evidence, 0, s.Yellow))
	}
	b.WriteByte('\n')
	for _, f := range runFacts(r, now) {
		text := console.Clean(f[1])
		if !slices.Contains(copied, f[0]) {
			text = console.Hang(text, factIndent, width, nil)
		}
		fmt.Fprintf(&b, "%s%s\n", s.Muted(fmt.Sprintf("%-*s", factIndent, f[0])), text)
	}
	if len(of.Attempts) > 0 {
		b.WriteString("\n" + p.attemptsTable(of, now, s))
	}
	if len(r.Steps) > 0 {
		b.WriteString("\n" + p.stepsTable(r, now, s))
	}
	for _, g := range r.Output.Gaps {
		fmt.Fprintf(&b, "%s\n", hang("missing: "+gapText(r, g), 0, s.Yellow))
	}
	for _, n := range r.Notes {
		b.WriteString(noteText(n, s, width))
	}
	return b.String()
}

// noteText returns a note, each of its lines on a line.
func noteText(note string, s console.Style, width int) string {
	var b strings.Builder
	mark := s.Muted("note") + " "
	for line := range strings.Lines(note) {
		b.WriteString(mark + console.Hang(console.Clean(strings.TrimRight(line, "\n")), 5, width, nil) + "\n")
		mark = "     "
	}
	return b.String()
}

// diagnosisText returns the diagnosis of a run, unless message has it already, and the line of the log
// that states the error.
func diagnosisText(d *job.Diagnosis, message string, s console.Style, width int) string {
	var b strings.Builder
	if d.Sentence != message {
		fmt.Fprintf(&b, "%s\n", console.Hang(console.Clean(d.Sentence), 0, width, nil))
	}
	if e := d.Evidence; e != nil && !strings.Contains(d.Sentence, e.Text) {
		line := fmt.Sprintf("line %d:", e.Line)
		fmt.Fprintf(&b, "%s %s\n", s.Muted(line), console.Hang(console.Clean(e.Text), len(line)+1, width, nil))
	}
	return b.String()
}

func runFacts(r job.Run, now time.Time) [][2]string {
	facts := [][2]string{{"id", r.ID}}
	add := func(name, text string) {
		if text != "" {
			facts = append(facts, [2]string{name, text})
		}
	}
	submissionFacts(r.Submitted, add, now)
	add("command", r.Command)
	add("directory", r.Dir)
	host := r.Host
	if r.Containment != "" {
		host += " (contained by " + r.Containment + ")"
	}
	add("host", host)
	if r.Attempt > 1 {
		add("attempt", fmt.Sprint(r.Attempt))
	}
	add("next", nextAttemptText(r, now))
	add("started", agentTime(r.StartedAt))
	add("delivered", strings.TrimPrefix(lateText(r), "delivered "))
	add("ended", agentTime(r.EndedAt))
	add("took", durationText(r, now))
	if x := r.Expected; x != nil {
		text := fmt.Sprintf("half of the last %d good runs took %s, 95 %% at most %s", x.Runs,
			job.DurationText(time.Duration(x.DurationSeconds.P50*float64(time.Second))),
			job.DurationText(time.Duration(x.DurationSeconds.P95*float64(time.Second))))
		if x.PeakMemoryBytes.P95 > 0 {
			text += "; peak memory up to " + job.Bytes(int64(x.PeakMemoryBytes.P95))
		}
		add("usual", text)
	}
	if r.SuspendedAt != nil {
		add("suspended", console.Ago(*r.SuspendedAt, now))
	}
	if r.LastHeartbeatAt != nil && !r.State.Terminal() {
		add("heartbeat", console.Ago(*r.LastHeartbeatAt, now))
	}
	if measured(r) {
		add("used", usedText(r.Usage))
	}
	add("output", outputText(r))
	add("status", r.Status)
	add("cancel", cancelText(r.Cancel, now))
	add("acknowledged", acknowledgementText(r.Acknowledged, now))
	keys := make([]string, 0, len(r.Labels))
	for k := range r.Labels {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = k + "=" + r.Labels[k]
	}
	add("labels", strings.Join(keys, " "))
	return facts
}

// cancelText says who requested a stop, when and why; empty for none.
func cancelText(c *job.Cancel, now time.Time) string {
	if c == nil {
		return ""
	}
	text := fmt.Sprintf("requested by %s %s", c.By, console.Ago(c.At, now))
	if c.Why != "" {
		text += ": " + c.Why
	}
	return text
}

// agentTime returns a time of the agent's clock; empty for none.
func agentTime(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05.000 -07:00")
}

func usedText(u job.Usage) string {
	text := fmt.Sprintf("%.2f s of CPU, at most %s of memory", u.CPUSeconds, job.Bytes(u.PeakMemoryBytes))
	if u.PeakMemoryWithCacheBytes > u.PeakMemoryBytes {
		text += fmt.Sprintf(" (%s with file cache)", job.Bytes(u.PeakMemoryWithCacheBytes))
	}
	return text
}

// measured reports whether the run has figures: clients of the two-call protocol send none.
func measured(r job.Run) bool { return r.Usage.CPUSeconds > 0 || r.Usage.PeakMemoryBytes > 0 }

func outputText(r job.Run) string {
	text := fmt.Sprintf("%s, %s", console.Count(r.Output.Lines, "line"), job.Bytes(r.Output.Bytes))
	switch {
	case r.Output.Complete && endUnseen(r):
		text += ", as far as its agent had read it"
	case r.Output.Complete:
		text += ", complete"
	case len(r.Output.Gaps) > 0:
		missing := int64(0)
		for _, g := range r.Output.Gaps {
			missing += g.Bytes
		}
		text += ", with " + console.Count(int64(len(r.Output.Gaps)), "gap") + " of " + job.Bytes(missing) + " in all"
	case r.State.Terminal():
		text += ", not verified as complete"
	}
	return text
}

func (p *program) stepsTable(r job.Run, now time.Time, s console.Style) string {
	var rows [][]console.Cell
	for _, st := range r.Steps {
		how := "-"
		switch {
		case st.Signal != "":
			how = st.Signal
		case st.ExitCode != nil:
			how = fmt.Sprintf("exit %d", *st.ExitCode)
		}
		rows = append(rows, []console.Cell{
			console.T(st.Name), console.StateCell(st.State, s),
			console.T(stepTime(st, r.State, now)), console.T(how), console.T(console.Cut(st.Command, maxCommand)),
		})
	}
	return p.Table([]console.Column{{Head: "STEP", Min: 8}, {Head: "STATE"}, {Head: "TOOK", Right: true}, {Head: "END", Drop: 1}, {Head: "COMMAND", Min: 16}}, rows)
}

// stepTime returns how long a step has taken so far, or took; "?" if nobody knows when it ended, as of
// a lost run.
func stepTime(st job.Step, run job.State, now time.Time) string {
	switch {
	case st.EndedAt != nil && st.EndedAt.After(st.StartedAt):
		return job.DurationText(st.EndedAt.Sub(st.StartedAt))
	case run.Terminal():
		return "?"
	}
	return job.DurationText(now.Sub(st.StartedAt))
}
