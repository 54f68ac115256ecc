package agentcmd

import (
	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/doctor"
	"stint.dev/stint/internal/cli/option"
)

// doctor checks everything that an agent depends on.
func (a *agentProgram) doctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check what an agent needs here: server, TLS, token, clock, disk, containment, limits",
		Long: `Check what an agent needs on this host, one line for each check, and print what to do. The exit
code is 1 if something is wrong that loses data or prevents a job from running.`,
		Args: command.NoArgs,
	}
	opts := option.Register(cmd.Flags(), append(append(command.ServerRows(), limitRows()...), containmentRow(), command.JSONRow()))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.program().Resolve(opts); err != nil {
			return err
		}
		servers, err := command.EachServer(opts, a.version)
		if err != nil {
			return err
		}
		for _, c := range servers {
			defer c.Close()
		}
		_, bad := command.ServerURLs(opts)
		cfg := doctor.Config{Servers: servers, BadAddresses: bad, Token: opts.Text("token") != "" || command.TokenFile(opts) != "", StateDir: a.StateDir}
		cfg.Containment.AtMost, _ = containment(opts.Text("containment")) // see checkContainment
		setLimits(&cfg.Containment, opts)
		if cfg.Roots, err = command.Authorities(opts); err != nil {
			return err
		}
		wait := a.Wait("checking this host")
		found := doctor.Check(cmd.Context(), cfg)
		wait.Done()
		return a.printFindings(found, opts.On("json"))
	}
	return cmd
}

func (a *agentProgram) printFindings(found []doctor.Finding, asJSON bool) error {
	bad := false
	for _, f := range found {
		bad = bad || f.Level == "error"
	}
	var err error
	if asJSON {
		err = a.PrintJSON(map[string]any{"checks": found})
	} else {
		err = console.WriteAll(a.Out, doctor.Text(found, a.StyleFor(a.Out), a.Width(a.Out)))
	}
	if err == nil && bad {
		return &console.ExitError{Code: console.ExitFailed}
	}
	return err
}
