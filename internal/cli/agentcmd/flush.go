package agentcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/address"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// flush delivers the journals that wait on this host.
func (a *agentProgram) flush() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flush [flags]",
		Short: "Deliver the journals that wait on this host",
		Long: `Deliver the journals that wait on this host because the server was away when their runs
ended. A run whose agent died is completed first, with what is known of its end.

A journal that an installation has a part of goes to that one, whatever the address. Of the others
everything goes to the server that --server names; without it, only what was meant for one of the addresses
of STINT_SERVER or the default. Where hosts share a state directory, only the journals
of this host are taken, unless --any is given. Exit code 1 when a journal could not be
delivered.`,
		Args: command.NoArgs,
	}
	opts := option.Register(cmd.Flags(), append(command.ServerRows(),
		option.Option{FlagOnly: true, Name: "any", Kind: option.Switch, Help: "deliver also what was meant for another server, belongs to another host, or was refused before"},
		command.JSONRow(),
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		protect()
		if err := a.program().Resolve(opts); err != nil {
			return err
		}
		ctx, stop := command.Interruptible(cmd) // a second signal ends it also where a file system does not answer
		defer stop()
		a.program().WarnOfAddresses(opts)
		c, err := command.NewClient(opts, a.version, "")
		if err != nil {
			return err
		}
		defer c.Close()
		dir, err := a.StateDir()
		if err != nil {
			return err
		}
		wait := a.Wait("delivering to %s", c.URL())
		report, err := flush.Run(ctx, flush.Config{
			StateDir: dir, Server: c, ServerURL: address.Join(c.URLs()), WithToken: withToken(c), AnyServer: opts.Flagged("server"), Any: opts.On("any"),
			Host: owner.Host{Name: command.HostName(), BootID: command.BootID()},
		})
		wait.Done()
		if perr := a.printFlush(report, c.URL(), opts.On("json")); perr != nil {
			return perr
		}
		if err != nil {
			return err
		}
		for _, j := range report.Journals {
			if j.Err != nil {
				return &console.ExitError{Code: console.ExitFailed}
			}
		}
		return nil
	}
	return cmd
}

// flushed is a journal of the report as JSON.
type flushed struct {
	Run       string     `json:"run"`
	Attempt   int        `json:"attempt"`
	Job       string     `json:"job"`
	Bytes     int64      `json:"bytes"`
	Delivered bool       `json:"delivered"`
	OwnRun    string     `json:"own_run,omitempty"` // as which it was delivered, because its id is that of another run
	Deleted   bool       `json:"deleted"`           // the run was deleted on the server, and the journal removed here
	Empty     bool       `json:"empty,omitempty"`   // its agent had written nothing; the journal was removed here
	Completed bool       `json:"completed"`         // the agent had died; its outcome was added now
	Damaged   bool       `json:"damaged,omitempty"` // part of it was damaged on the disk
	Skipped   flush.Skip `json:"skipped,omitempty"` // why it was left alone
	Server    string     `json:"server,omitempty"`  // that it is meant for: its addresses, one a line
	// Installation is the one that has taken a part of it.
	Installation string `json:"installation,omitempty"`
	Host         string `json:"host,omitempty"` // of its agent
	Error        string `json:"error,omitempty"`
	Path         string `json:"path,omitempty"` // where it waits
	Refusal      string `json:"refusal,omitempty"`
}

// skipTexts are why a journal was left alone, and what to do about it.
var skipTexts = map[flush.Skip]func(f flushed) string{
	flush.InUse:       func(flushed) string { return "its agent is at work" },
	flush.Gone:        func(flushed) string { return "another agent has just delivered it" },
	flush.OtherServer: func(f flushed) string { return "meant for " + f.addresses() + "; --any delivers it here" },
	flush.OtherInstallation: func(f flushed) string {
		return "belongs to another installation (" + f.Installation + "), that of " + f.addresses() + "; --any delivers it here"
	},
	flush.OtherHost: func(f flushed) string {
		return "belongs to host " + f.Host + ", where its agent may be at work; --any delivers it from here"
	},
	flush.Refused: func(f flushed) string { return "refused before: " + f.Refusal + "; --any sends it again" },
}

func (a *agentProgram) printFlush(report flush.Report, server string, asJSON bool) error {
	list := make([]flushed, 0, len(report.Journals))
	taken := 0
	for _, j := range report.Journals {
		f := flushed{
			Run: j.Run, Attempt: j.Attempt, Job: j.Job, Bytes: j.Bytes, Server: j.Server, Installation: j.Installation, Host: j.Host, Refusal: j.Refusal,
			Delivered: j.Delivered, OwnRun: j.OwnRun, Deleted: j.Deleted, Empty: j.Empty, Completed: j.Unfinished, Damaged: j.Damaged, Skipped: j.Skipped,
		}
		if j.Err != nil {
			f.Error = j.Err.Error()
		}
		if !j.Delivered && !j.Deleted && !j.Empty {
			f.Path = j.Path
		}
		if j.Skipped == "" {
			taken++
		}
		list = append(list, f)
	}
	if asJSON {
		return a.PrintJSON(map[string]any{"journals": list, "untried": report.Untried})
	}
	s := a.StyleFor(a.Out)
	for _, f := range list {
		text := fmt.Sprintf("%s %s (%s): %s\n", console.Clean(f.Job), f.name(), job.Bytes(f.Bytes), f.line(s))
		if err := console.WriteAll(a.Out, text); err != nil {
			return err
		}
	}
	switch {
	case report.Untried > 0:
		a.Say("%s not tried after this failure", journals(report.Untried, "more ", "was", "were"))
	case taken == 0 && len(list) > 0:
		a.Say("nothing waits for %s; %s left alone", server, journals(len(list), "", "was", "were"))
	case taken == 0:
		a.Say("nothing waits for %s", server)
	}
	return nil
}

// journals begins a sentence about a number of journals: "2 more journals were".
func journals(n int, more, one, many string) string {
	if n == 1 {
		return "1 " + more + "journal " + one
	}
	return fmt.Sprintf("%d %sjournals %s", n, more, many)
}

// addresses are those that it is meant for, as one line.
func (f flushed) addresses() string { return strings.ReplaceAll(f.Server, "\n", ", ") }

// name is that of the run, with the attempt if there were several.
func (f flushed) name() string {
	if f.Attempt > 1 {
		return fmt.Sprintf("%s attempt %d", console.Clean(f.Run), f.Attempt)
	}
	return console.Clean(f.Run) // the name of a directory if that names no run
}

// line returns the result for a journal.
func (f flushed) line(s console.Style) string {
	switch {
	case f.Error != "":
		return s.Red("✕") + " kept at " + console.Clean(f.Path+": "+f.Error)
	case f.Skipped != "":
		return s.Muted("left alone: ") + console.Clean(skipTexts[f.Skipped](f))
	case f.Deleted:
		return s.Green("✓") + " removed, because the run was deleted on the server"
	case f.Empty:
		return s.Muted("removed: its agent had written nothing")
	case f.OwnRun != "":
		return s.Green("✓") + " delivered as run " + f.OwnRun + ", because its id is that of another run"
	case f.Damaged:
		return s.Green("✓") + " delivered without what was damaged on the disk"
	case f.Completed:
		return s.Green("✓") + " delivered, completed because its agent had died"
	}
	return s.Green("✓") + " delivered"
}
