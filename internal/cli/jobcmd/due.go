package jobcmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client/schedules"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// namedDue is an expectation, and the job that has it.
type namedDue struct {
	*api.JobDue                   // nil for none
	Suggested   *api.SuggestedDue `json:"suggested,omitempty"` // if there is none
	job         string
	off         bool // it was deleted
	dismissed   bool // nothing is suggested any more
}

func (p *program) jobDue() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "due [flags] NAME",
		Short: "Set when a job that the server does not start is expected, or show what was missed",
		Long: `Set when a job that the server does not start, such as one of cron, is expected to start: at an
interval after its last start (--every), or at the times of a crontab expression (--cron). A run
that has not started --grace after it was due is missed: the job shows it, and a notification is
sent, and another one when a run starts. Without options, show the expectation and what was
missed, or, if there is none, the expectation that fits the starts of the job, which --accept
sets. docs/due.md has the rules.`,
		Args: oneJob,
	}, append(command.DueRows(""), []option.Option{
		{FlagOnly: true, Name: "pause", Kind: option.Switch, Help: "expect nothing until --resume"},
		{FlagOnly: true, Name: "resume", Kind: option.Switch, Help: "end the pause: what was due meanwhile is not missed"},
		{FlagOnly: true, Name: "post-only", Kind: option.Switch, Help: "pings count with the method POST only (docs/pings.md)"},
		{FlagOnly: true, Name: "any-method", Kind: option.Switch, Help: "pings count with any method again"},
		{FlagOnly: true, Name: "label", Kind: option.List, Value: "K=V", Help: "label of the runs that pings make (repeatable; replaces those before, '' for none)"},
		{FlagOnly: true, Name: "off", Kind: option.Switch, Help: "delete the expectation"},
		{FlagOnly: true, Name: "accept", Kind: option.Switch, Help: "set the expectation that is suggested"},
		{FlagOnly: true, Name: "dismiss", Kind: option.Switch, Help: "suggest no expectation for the job any more"},
	}...), p.due, func(d namedDue) string { return p.duePage(d, time.Now()) })
}

// due does what the options ask for.
func (p *program) due(ctx context.Context, r command.Request) (out namedDue, err error) {
	out.job = r.Args[0]
	e, err := command.Expectation(r.Opts)
	if err != nil {
		return out, err
	}
	set := api.DueRequest{PostOnly: postOnly(r.Opts)}
	if set.Labels, err = dueLabels(r.Opts.List("label")); err != nil {
		return out, err
	}
	asked := 0
	for _, one := range []bool{e != nil || set.PostOnly != nil || set.Labels != nil, r.Opts.On("pause"), r.Opts.On("resume"), r.Opts.On("off"), r.Opts.On("accept"), r.Opts.On("dismiss")} {
		if one {
			asked++
		}
	}
	var due api.JobDue
	switch {
	case asked > 1:
		return out, option.Usagef("give one of --every, --cron, --pause, --resume, --off, --accept and --dismiss; --post-only, --any-method and --label go with the first two, or alone")
	case r.Opts.On("off"):
		out.off = true
		return out, r.DeleteDue(ctx, out.job)
	case r.Opts.On("dismiss"):
		out.dismissed = true
		return out, schedules.DismissSuggestion(ctx, r.Client, out.job)
	case r.Opts.On("pause"):
		due, err = r.PauseDue(ctx, out.job)
	case r.Opts.On("resume"):
		due, err = r.ResumeDue(ctx, out.job)
	case r.Opts.On("accept"):
		due, err = p.acceptDue(ctx, r)
	case asked == 0:
		due, err = r.Due(ctx, out.job)
		var none *job.Problem
		if errors.As(err, &none) && none.Status == http.StatusNotFound {
			found, serr := schedules.SuggestDue(ctx, r.Client, out.job, p.zone())
			if out.Suggested = found.Suggested; serr == nil && out.Suggested != nil {
				return out, nil
			}
		}
	default:
		due, err = setDue(ctx, r, e, set)
	}
	if path, ok := strings.CutPrefix(due.PingURL, "/"); ok { // the server does not know its address
		due.PingURL = r.URL() + "/" + path
	}
	out.JobDue = &due
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

// dueLabels returns the labels that an expectation is to have; nil if the options do not say.
func dueLabels(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	labels := map[string]string{}
	if len(list) == 1 && list[0] == "" {
		return labels, nil
	}
	for _, pair := range list {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, option.Usagef("--label: %s is not K=V", job.Quote(pair))
		}
		if _, twice := labels[key]; twice {
			return nil, option.Usagef("--label: %s is given twice", job.Quote(key))
		}
		if err := job.CheckLabel(key, value); err != nil {
			return nil, option.Usagef("--label: %v", err)
		}
		labels[key] = value
	}
	return labels, nil
}

// setDue sets an expectation, and how it is pinged. If e is nil, only the latter changes.
func setDue(ctx context.Context, r command.Request, e *job.Expectation, set api.DueRequest) (api.JobDue, error) {
	if e != nil {
		set.Expectation = *e
		return r.PutDue(ctx, r.Args[0], set)
	}
	now, err := r.Due(ctx, r.Args[0])
	if err != nil {
		return now, err
	}
	set.Expectation = now.Expectation
	return r.PutDue(ctx, r.Args[0], set)
}

// acceptDue sets the expectation that is suggested for a job.
func (p *program) acceptDue(ctx context.Context, r command.Request) (api.JobDue, error) {
	found, err := schedules.SuggestDue(ctx, r.Client, r.Args[0], p.zone())
	if err != nil {
		return api.JobDue{}, err
	}
	if found.Suggested == nil {
		return api.JobDue{}, fmt.Errorf("nothing is suggested for job %s: its starts follow no pattern yet, it is expected already, schedules start it, or the suggestion was dismissed; set --every or --cron", job.Quote(r.Args[0]))
	}
	return r.PutDue(ctx, r.Args[0], api.DueRequest{Expectation: found.Suggested.Expectation})
}

// zone is the time zone of the user, if TZ names one.
func (p *program) zone() string {
	name := p.Getenv("TZ")
	if zone, err := time.LoadLocation(name); err != nil || zone == time.Local {
		return ""
	}
	return name
}

// suggestionText says what the starts of a job fit, and how to expect that.
func suggestionText(name string, d api.SuggestedDue) string {
	when, zone := "--every "+asTyped(d.EverySeconds), ""
	if d.Cron != "" {
		when, zone = fmt.Sprintf("--cron '%s' --zone %s", d.Cron, d.Zone), " "+d.Zone
	}
	off := job.DurationText(time.Duration(d.OffSeconds) * time.Second)
	return console.Clean(fmt.Sprintf("Nobody expects %s. It starts %s%s, ± %s, by %d starts. To expect that:", name, d.When, zone, off, d.Starts)) + "\n" +
		console.Clean(fmt.Sprintf("  stint job due %s %s --grace %s", quoted(name), when, asTyped(d.GraceSeconds))) + "\nThe option --accept does that, and --dismiss ends this suggestion.\n"
}

// quoted returns a name as a word of a shell.
func quoted(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// expectedText says when a run is due.
func expectedText(e job.Expectation) string {
	grace := job.DurationText(time.Duration(e.GraceSeconds) * time.Second)
	if e.Cron != "" {
		return fmt.Sprintf("at %s (%s), %s of grace", e.Cron, e.Zone, grace)
	}
	return fmt.Sprintf("every %s, %s of grace", job.DurationText(time.Duration(e.EverySeconds)*time.Second), grace)
}

// dueLine says in one line whether a job has started as expected.
func dueLine(d api.Due, now time.Time) string {
	next := ""
	if d.NextDueAt != nil {
		next = ", next at " + console.LocalTime(*d.NextDueAt)
	}
	switch d.State {
	case api.DueNew:
		return "expected from its first start on"
	case api.DuePaused:
		return "not expected: paused"
	case api.DueOK:
		return "as expected" + next
	case api.DueNow:
		return fmt.Sprintf("due since %s, missed at %s", console.LocalTime(*d.NextDueAt), console.LocalTime(*d.MissedAt))
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
	switch {
	case d.Suggested != nil:
		return suggestionText(d.job, *d.Suggested)
	case d.dismissed:
		return console.Clean("no expectation is suggested for "+d.job+" any more") + "\n"
	case d.off:
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
	if len(d.Labels) > 0 {
		pairs := []string{}
		for _, key := range slices.Sorted(maps.Keys(d.Labels)) {
			pairs = append(pairs, key+"="+d.Labels[key])
		}
		fmt.Fprintf(&b, "%s  %s\n", s.Muted("labels"), console.Clean(strings.Join(pairs, "  ")))
	}
	if d.Pulses != nil {
		fmt.Fprintf(&b, "%s  %s that were no runs, the last %s\n", s.Muted("pulses"), console.Count(d.Pulses.Times, "ping"), console.Ago(d.Pulses.LastAt, now))
	}
	if len(d.Missed) == 0 {
		return b.String()
	}
	b.WriteString("\nMissed:\n")
	for _, m := range d.Missed[:min(len(d.Missed), 10)] {
		line := console.LocalTime(m.DueAt)
		if m.Times > 1 {
			line += fmt.Sprintf(" to %s (%d times)", console.LocalTime(m.LastAt), m.Times)
		}
		if m.StartedAt != nil {
			line += "  started at " + console.LocalTime(*m.StartedAt)
		}
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}

// asTyped returns seconds as people give them to an option: "90m", "1h".
func asTyped(seconds int64) string {
	switch {
	case seconds%3600 == 0:
		return fmt.Sprintf("%dh", seconds/3600)
	case seconds%60 == 0:
		return fmt.Sprintf("%dm", seconds/60)
	}
	return fmt.Sprintf("%ds", seconds)
}
