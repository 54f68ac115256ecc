package querycmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// namedDue is an expectation, and the job that has it.
type namedDue struct {
	api.JobDue
	job string
	off bool // it was deleted
}

func (p *program) jobDue() *cobra.Command {
	return replyCommand(p, &cobra.Command{
		Use:   "due [flags] NAME",
		Short: "Set when a job is expected to be started by somebody else, or show what was missed",
		Long: `Set when a job is expected to be started, such as by cron: --every a time after its last start, or
at the times of a crontab expression. A run that has not started --grace after it was due is missed:
the job shows it, and people are notified, and again when it starts. Without options, show the
expectation and what was missed. docs/due.md has the rules.`,
		Args: oneJob,
	}, append(command.DueRows(""), []option.Option{
		{FlagOnly: true, Name: "pause", Kind: option.Switch, Help: "expect nothing until --resume"},
		{FlagOnly: true, Name: "resume", Kind: option.Switch, Help: "end the pause: what was due meanwhile is not missed"},
		{FlagOnly: true, Name: "post-only", Kind: option.Switch, Help: "pings count with the method POST only (docs/pings.md)"},
		{FlagOnly: true, Name: "any-method", Kind: option.Switch, Help: "pings count with any method again"},
		{FlagOnly: true, Name: "off", Kind: option.Switch, Help: "delete the expectation"},
	}...), p.due, func(d namedDue) string { return p.duePage(d, time.Now()) })
}

// due does what the options ask for.
func (p *program) due(ctx context.Context, r request) (out namedDue, err error) {
	out.job = r.args[0]
	e, err := command.Expectation(r.opts)
	if err != nil {
		return out, err
	}
	set := api.DueRequest{PostOnly: postOnly(r.opts)}
	asked := 0
	for _, one := range []bool{e != nil || set.PostOnly != nil, r.opts.On("pause"), r.opts.On("resume"), r.opts.On("off")} {
		if one {
			asked++
		}
	}
	switch {
	case asked > 1:
		return out, option.Usagef("give one of --every, --cron, --pause, --resume and --off; --post-only and --any-method go with the first two, or alone")
	case r.opts.On("pause"):
		out.JobDue, err = r.PauseDue(ctx, out.job)
	case r.opts.On("resume"):
		out.JobDue, err = r.ResumeDue(ctx, out.job)
	case r.opts.On("off"):
		out.off = true
		err = r.DeleteDue(ctx, out.job)
	case asked == 0:
		out.JobDue, err = r.Due(ctx, out.job)
	default:
		out.JobDue, err = setDue(ctx, r, e, set)
	}
	if path, ok := strings.CutPrefix(out.PingURL, "/"); ok { // the server does not know its address
		out.PingURL = strings.TrimRight(r.opts.Text("server"), "/") + "/" + path
	}
	return out, err
}

// postOnly returns whether pings are to count with the method POST only; nil if the options do not say.
func postOnly(o *option.Set) *bool {
	only := o.On("post-only")
	if !only && !o.On("any-method") {
		return nil
	}
	return &only
}

// setDue sets an expectation, and how it is pinged. If e is nil, only the latter changes.
func setDue(ctx context.Context, r request, e *job.Expectation, set api.DueRequest) (api.JobDue, error) {
	if e != nil {
		set.Expectation = *e
		return r.PutDue(ctx, r.args[0], set)
	}
	now, err := r.Due(ctx, r.args[0])
	if err != nil {
		return now, err
	}
	set.Expectation = now.Expectation
	return r.PutDue(ctx, r.args[0], set)
}

// expectedText says when a run is due.
func expectedText(e job.Expectation) string {
	grace := console.Duration(time.Duration(e.GraceSeconds) * time.Second)
	if e.Cron != "" {
		return fmt.Sprintf("at %s (%s), %s of grace", e.Cron, e.Zone, grace)
	}
	return fmt.Sprintf("every %s, %s of grace", console.Duration(time.Duration(e.EverySeconds)*time.Second), grace)
}

// dueLine says in one line how the expectation of a job stands.
func dueLine(d api.Due, now time.Time) string {
	next := ""
	if d.NextDueAt != nil {
		next = ", next at " + d.NextDueAt.Local().Format(time.DateTime)
	}
	switch d.State {
	case api.DueNew:
		return "expected from its first start on"
	case api.DuePaused:
		return "not expected: paused"
	case api.DueOK:
		return "as expected" + next
	case api.DueNow:
		return fmt.Sprintf("due since %s, missed at %s", d.NextDueAt.Local().Format(time.DateTime), d.MissedAt.Local().Format(time.DateTime))
	case api.DueMissed:
		return fmt.Sprintf("missed: due %s%s", console.Ago(*d.MissedSince, now), timesText(d.MissedTimes)) + next
	}
	return string(d.State)
}

// timesText counts due times, if there are several.
func timesText(n int64) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(", and %s since", console.Count(n-1, "time"))
}

// duePage shows an expectation.
func (p *program) duePage(d namedDue, now time.Time) string {
	if d.off {
		return console.Clean("nobody expects "+d.job+" to start any more") + "\n"
	}
	s := p.StyleFor(p.Out)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", s.Bold(console.Clean(d.job)), console.Clean(expectedText(d.Expectation)))
	fmt.Fprintf(&b, "%s  %s\n", s.Muted("state"), console.Clean(dueLine(d.Due, now)))
	if d.PingURL != "" {
		only := ""
		if d.PostOnly {
			only = ", with POST only"
		}
		fmt.Fprintf(&b, "%s  %s%s\n", s.Muted("pings"), console.Clean(d.PingURL), only)
	}
	if d.Pulses != nil {
		fmt.Fprintf(&b, "%s  %s that were no runs, the last %s\n", s.Muted("pulses"), console.Count(d.Pulses.Times, "ping"), console.Ago(d.Pulses.LastAt, now))
	}
	if len(d.Missed) == 0 {
		return b.String()
	}
	b.WriteString("\nMissed:\n")
	for _, m := range d.Missed[:min(len(d.Missed), 10)] {
		line := m.DueAt.Local().Format(time.DateTime)
		if m.Times > 1 {
			line += fmt.Sprintf(" to %s (%d times)", m.LastAt.Local().Format(time.DateTime), m.Times)
		}
		if m.StartedAt != nil {
			line += "  started at " + m.StartedAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}
