package croncmd

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/crontab"
	"stint.dev/stint/internal/schedule"
)

// userRow is the option that names whose crontab is meant.
func userRow() option.Option {
	return option.Option{FlagOnly: true, Name: "user", Value: "NAME", Help: "the crontab of this user; needs root (default: your own)"}
}

// listed is a job of a crontab, as JSON.
type listed struct {
	Crontab  string     `json:"crontab"` // a file, or "crontab of NAME"
	Line     int        `json:"line"`
	Schedule string     `json:"schedule"`
	NextAt   *time.Time `json:"next_at"` // null for @reboot, and what only some crons know
	User     string     `json:"user,omitempty"`
	Command  string     `json:"command"`
	Job      string     `json:"job"`
	State    string     `json:"state"`
}

// The states of a job of a crontab.
const (
	stateAdopted = "adopted"
	stateNot     = "not adopted"
	stateSkipped = "skipped" // it runs stint by itself, or STINT_SKIP=1 is set
)

// list lists the jobs of crontabs.
func (p *program) list() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [flags] [FILE…]",
		Short: "List the jobs of crontabs, and whether their runs are recorded",
		Long: `List the jobs of crontabs with their next time, the name of their job, and whether their runs are
recorded: of your crontab, /etc/crontab and /etc/cron.d, or of the FILEs. Files of a directory
cron.d and /etc/crontab have the user of each job; others have none. Scripts in /etc/cron.daily and
the like, and timers of systemd, are not listed. docs/cron.md says what the states mean.`,
	}
	opts := option.Register(cmd.Flags(), []option.Option{userRow(), command.JSONRow()})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.resolve(opts, args); err != nil {
			return err
		}
		sources, err := p.sources(cmd.Context(), opts.Text("user"), args)
		if err != nil {
			return err
		}
		jobs := jobsOf(sources, time.Now())
		if opts.On("json") {
			return p.PrintJSON(map[string][]listed{"jobs": jobs})
		}
		if len(jobs) == 0 {
			p.Say("there are no jobs in crontabs here")
			return nil
		}
		return console.WriteAll(p.Out, p.table(jobs))
	}
	return cmd
}

// resolve reads the options of a command that may have files as arguments.
func (p *program) resolve(opts *option.Set, files []string) error {
	if err := opts.Resolve(option.Environment(p.Getenv)); err != nil {
		return err
	}
	if len(files) > 0 && opts.Text("user") != "" {
		return option.Usagef("both --user and a FILE were given: choose one")
	}
	return nil
}

// sources returns the crontabs that files name; without files, those of the user and the system. What of
// these cannot be read is reported and left out.
func (p *program) sources(ctx context.Context, user string, files []string) (all []source, err error) {
	for _, name := range files {
		s, err := p.host.file(name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(files) > 0 {
		return all, nil
	}
	own, err := p.host.ofUser(ctx, user)
	if err != nil && user != "" {
		return nil, err
	}
	system, systemErr := p.host.system()
	if err = errors.Join(err, systemErr); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			p.Say("%s", line)
		}
	}
	return append([]source{own}, system...), nil
}

// jobsOf returns the jobs of crontabs in their order.
func jobsOf(sources []source, now time.Time) []listed {
	all := []listed{}
	for _, s := range sources {
		for _, e := range s.table.Entries() {
			l := listed{
				Crontab: cmp.Or(s.file, strings.TrimPrefix(s.name(), "the ")), Line: e.Number, Schedule: e.Schedule, NextAt: next(e, now),
				User: e.User, Command: e.Command, Job: e.Job, State: stateNot,
			}
			switch {
			case e.Skipped:
				l.State = stateSkipped
			case e.Adopted:
				l.State = stateAdopted
			}
			all = append(all, l)
		}
	}
	return all
}

// next returns when a job is due next; nil if that is not known.
func next(e crontab.Entry, now time.Time) *time.Time {
	zone := time.Local
	if e.Zone != "" {
		var err error
		if zone, err = time.LoadLocation(e.Zone); err != nil {
			return nil // cron does not know it either
		}
	}
	expression, err := schedule.Parse(strings.TrimPrefix(e.Schedule, "-"))
	if err != nil {
		return nil
	}
	at := expression.Next(now, zone)
	if at.IsZero() {
		return nil
	}
	return &at
}

// table lays jobs out, below the name of each crontab.
func (p *program) table(jobs []listed) string {
	s := p.StyleFor(p.Out)
	var b strings.Builder
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].Crontab == jobs[0].Crontab {
			n++
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.Bold(console.Clean(jobs[0].Crontab)) + "\n")
		var rows [][]console.Cell
		for _, l := range jobs[:n] {
			at := console.T("-")
			if l.NextAt != nil {
				at = console.At(*l.NextAt, "2006-01-02 15:04")
			}
			state := console.P(l.State, s.Muted)
			if l.State == stateAdopted {
				state.Paint = s.Green
			}
			rows = append(rows, []console.Cell{
				console.T(l.Schedule), at, console.T(cmp.Or(l.User, "-")), console.T(l.Job), state, console.T(strings.TrimSpace(l.Command)),
			})
		}
		b.WriteString(p.Table([]console.Column{{Head: "SCHEDULE", Min: 12}, {Head: "NEXT", Drop: 2}, {Head: "USER", Min: 4, Drop: 1}, {Head: "JOB", Min: 16}, {Head: "STATE"}, {Head: "COMMAND", Min: 12}}, rows))
		jobs = jobs[n:]
	}
	return b.String()
}
