package croncmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/crontab"
)

// changeRows returns the options of a command that changes crontabs.
func changeRows() []option.Option {
	return []option.Option{
		userRow(),
		{FlagOnly: true, Name: "dry-run", Kind: option.Switch, Help: "only print what would change"},
		{FlagOnly: true, Name: "yes", Kind: option.Switch, Help: "do not ask"},
	}
}

// adopt has the runs of crontabs recorded.
func (p *program) adopt() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopt [flags] [FILE…]",
		Short: "Have the runs of crontabs recorded",
		Long: `Insert lines into your crontab, or into FILEs such as /etc/crontab, that have cron run the jobs
below them through stint-sh. No other line changes. The command prints the difference and asks at a
terminal; elsewhere it needs --yes. A copy of the crontab is kept in the state directory, and
stint cron release removes the lines. docs/cron.md says what cron and the jobs notice.`,
	}
	opts := option.Register(cmd.Flags(), append(changeRows(),
		option.Option{FlagOnly: true, Name: "shell", Value: "PATH", Help: "path of stint-sh (default: the one beside this program)"}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.resolve(opts, args); err != nil {
			return err
		}
		shell, err := p.shell(cmd.Context(), opts.Text("shell"), opts.Text("user") != "" || len(args) > 0)
		if err != nil {
			return err
		}
		return p.change(cmd.Context(), opts, args, change{
			of:      func(t crontab.Table) crontab.Table { return t.Adopt(shell) },
			nothing: "has no job to adopt", done: "runs of its jobs are recorded from now on; stint cron release undoes it",
		})
	}
	return cmd
}

// release undoes adopt.
func (p *program) release() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release [flags] [FILE…]",
		Short: "Remove from crontabs what stint cron adopt inserted",
		Long: `Remove from your crontab, or from FILEs such as /etc/crontab, the lines of stint cron adopt: SHELL
with the path of a stint-sh, STINT_REAL_SHELL and STINT_CRON_JOB. No other line changes, so that the
crontab is what it was, with what was edited since. What stint cron due set stays on the server:
stint job due JOB --off deletes it. The command prints the difference and asks at a
terminal; elsewhere it needs --yes. A copy is kept in the state directory.`,
	}
	opts := option.Register(cmd.Flags(), changeRows())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.resolve(opts, args); err != nil {
			return err
		}
		return p.change(cmd.Context(), opts, args, change{
			of: crontab.Table.Release, nothing: "has no line of stint cron adopt", done: "runs of its jobs are not recorded any more",
		})
	}
	return cmd
}

// change is what a command does to crontabs.
type change struct {
	of            func(crontab.Table) crontab.Table
	nothing, done string // what is printed of a crontab
}

// change prints what changes in crontabs, asks, and changes them.
func (p *program) change(ctx context.Context, opts *option.Set, files []string, c change) error {
	var sources []source
	for _, name := range files {
		s, err := p.host.file(name)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	if len(files) == 0 {
		s, err := p.host.ofUser(ctx, opts.Text("user"))
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	for _, s := range sources {
		after := c.of(s.table)
		difference := crontab.Diff(s.table, after)
		if difference == "" {
			p.Say("%s %s", s.name(), c.nothing)
			continue
		}
		if err := console.WriteAll(p.Out, p.differenceText(s.name(), difference)); err != nil {
			return err
		}
		if opts.On("dry-run") {
			continue
		}
		if yes, err := p.agreed(opts.On("yes"), s.name()); err != nil || !yes {
			return err
		}
		kept, err := p.replace(ctx, s, after.String())
		if err != nil {
			return err
		}
		p.Say("%s was changed: %s; what it was is in %s", s.name(), c.done, kept)
	}
	return nil
}

// agreed asks a person whether a crontab is to be changed.
func (p *program) agreed(yes bool, name string) (bool, error) {
	if yes {
		return true, nil
	}
	if !p.CanAsk() {
		return false, option.Usagef("%s was not changed: give --yes to change it without a question", name)
	}
	ok, err := p.Confirm("Change %s?", name)
	if err == nil && !ok {
		p.Say("%s was not changed", name)
	}
	return ok, err
}

// differenceText returns a difference below its header, in colours at a terminal.
func (p *program) differenceText(name, difference string) string {
	s := p.StyleFor(p.Out)
	var b strings.Builder
	for line := range strings.Lines(fmt.Sprintf("--- %s\n+++ %s, changed\n%s", name, name, difference)) {
		line = strings.TrimSuffix(line, "\n")
		text := console.Clean(line[1:])
		if strings.HasSuffix(line, "\r") {
			text = console.Clean(strings.TrimSuffix(line[1:], "\r")) + `\r`
		}
		text = line[:1] + text
		switch line[0] {
		case '+':
			text = s.Green(text)
		case '-':
			text = s.Red(text)
		case '@':
			text = s.Muted(text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}
