package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// finding is one line of the doctor.
type finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"` // ok, warning, error
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"`
}

// doctor looks at everything an agent depends on.
func (a *agentProgram) doctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Check what an agent needs here: server, TLS, token, clock, disk, containment, limits",
		Long: `Check what an agent needs here, one line each, and say what to do. Exit code 1 when
something is wrong that loses data or keeps a job from running.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return option.Usagef("unexpected argument %q: doctor takes options only", args[0])
			}
			return nil
		},
	}
	opts := option.Register(cmd.Flags(), append(append(ServerRows(), limitRows()...), containmentRow(),
		option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON"},
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.Resolve(a.Getenv); err != nil {
			return err
		}
		c, err := Client(opts, a.version, "")
		if err != nil {
			return err
		}
		defer c.Close()
		contain := process.Options{Run: noRun, Attempt: 1}
		if contain.AtMost, err = containment(opts.Text("containment")); err != nil {
			return err
		}
		if err := setLimits(&contain, opts); err != nil {
			return err
		}
		roots, err := authorities(opts)
		if err != nil {
			return err
		}
		wait := a.Wait("looking")
		findings := []finding{
			a.checkServer(cmd.Context(), c), checkTLS(cmd.Context(), c.URL(), roots, time.Now()),
			checkToken(cmd.Context(), c, opts.Text("token") != ""),
		}
		findings = append(findings, a.stateFindings(c.URL())...)
		findings = append(findings, checkContainment(contain)...)
		findings = append(findings, checkRuntime()...)
		findings = append(findings, checkFiles(), checkPipes())
		wait.Done()
		return a.printFindings(findings, opts.On("json"))
	}
	return cmd
}

func (a *agentProgram) printFindings(findings []finding, asJSON bool) error {
	bad := false
	for _, f := range findings {
		bad = bad || f.Level == "error"
	}
	var err error
	if asJSON {
		err = a.PrintJSON(map[string]any{"checks": findings})
	} else {
		err = console.WriteAll(a.Out, a.findingLines(findings))
	}
	if err == nil && bad {
		return &console.ExitError{Code: console.ExitFailed}
	}
	return err
}

func (a *agentProgram) findingLines(findings []finding) string {
	s := a.StyleFor(a.Out)
	var text string
	for _, f := range findings {
		mark := s.Green("✓")
		switch f.Level {
		case "warning":
			mark = s.Yellow("!")
		case "error":
			mark = s.Red("✕")
		}
		line := f.Detail
		if f.Do != "" {
			line += "; " + f.Do
		}
		text += fmt.Sprintf("%s %-12s %s\n", mark, f.Check, console.Clean(line))
	}
	return text
}

// checkServer asks the server who it is and compares the clocks.
func (a *agentProgram) checkServer(ctx context.Context, c *client.Client) finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	before := time.Now()
	about, err := c.About(ctx)
	took := time.Since(before)
	var problem *job.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		return finding{"server", "error", err.Error(), "set STINT_TOKEN to a valid token"}
	case err != nil:
		return finding{"server", "error", err.Error(), "meanwhile jobs run, and their journals wait on this host"}
	}
	detail := fmt.Sprintf("%s answers in %s, version %s", c.URL(), console.Duration(took), about.Version)
	if clock, err := http.ParseTime(about.Date); err == nil {
		// The header has whole seconds, so half a second is its middle.
		skew := before.Add(took / 2).Sub(clock.Add(500 * time.Millisecond)).Round(time.Second)
		if skew.Abs() > 2*time.Second {
			return finding{"server", "warning", fmt.Sprintf("%s; this host's clock is %s off", detail, skew), "keep the clock with NTP"}
		}
		detail += ", clocks agree"
	}
	return finding{"server", "ok", detail, ""}
}

// stateLimit bounds the look at the state directory.
const stateLimit = 10 * time.Second

func (a *agentProgram) stateFindings(server string) []finding {
	findings, err := bounded.Call(stateLimit, func() ([]finding, error) { return a.checkState(server), nil })
	if err != nil {
		return []finding{{"state", "error", "the state directory: " + err.Error(), "set STINT_STATE to a file system that answers; until then journals are held in memory only"}}
	}
	return findings
}

// checkState looks at the state directory and what waits in it.
func (a *agentProgram) checkState(server string) []finding {
	dir, err := a.StateDir()
	if err != nil {
		return []finding{{"state", "error", err.Error(), "set STINT_STATE to a directory that this user can write"}}
	}
	const inMemory = "meanwhile journals are held in memory only"
	sp, err := spool.Open(dir)
	if err != nil {
		return []finding{{"state", "error", err.Error(), inMemory}}
	}
	if err := writable(sp.Dir()); err != nil {
		return []finding{{"state", "error", err.Error(), "set STINT_STATE to a directory that this user can write; " + inMemory}}
	}
	out := []finding{spaceFinding(dir)}
	waiting, err := sp.List()
	if err != nil {
		return append(out, finding{"spool", "error", err.Error(), ""})
	}
	var bytes int64
	for _, e := range waiting {
		bytes += e.Size
	}
	if len(waiting) == 0 {
		return append(out, finding{"spool", "ok", "nothing waits for delivery", ""})
	}
	return append(out, finding{
		"spool", "warning", fmt.Sprintf("%s (%s) waiting or being written", console.Count(int64(len(waiting)), "journal"), job.Bytes(bytes)),
		"stint flush --server " + server + " delivers what is finished; with --any also what was meant for another server",
	})
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkContainment makes the containment that a run would get, and takes it down again. A limit
// that was not given is looked at with a figure that holds nothing back.
func checkContainment(o process.Options) []finding {
	if o.MemoryLimitBytes == 0 {
		o.MemoryLimitBytes = 1 << 40
	}
	if o.CPULimit == 0 {
		o.CPULimit = 1024
	}
	g, err := process.Contain(o)
	if err != nil {
		return []finding{{"containment", "error", err.Error(), ""}}
	}
	out := []finding{{"containment", "ok", "jobs are contained by " + g.Level(), better(g.Level())}}
	if o.AtMost != "" && g.Level() == o.AtMost {
		out[0].Detail, out[0].Do = out[0].Detail+", the best that --containment allows", ""
	}
	for _, n := range g.Notes() {
		out = append(out, finding{"containment", "warning", strings.ReplaceAll(n, "\n", "; "), "jobs run all the same, without it"})
	}
	if err := g.Close(); err != nil {
		out = append(out, finding{"containment", "warning", err.Error(), ""})
	}
	return out
}
