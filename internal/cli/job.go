package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"stint.dev/stint/client"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// job holds the commands about one job.
func (p *program) job() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "job",
		Short: "Show or delete a job, or set the policy by which its runs are judged",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.jobShow(), p.jobSet(), p.jobDelete())
	return cmd
}

func oneJob(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s wants the NAME of one job", cmd.CommandPath())
	}
	return job.CheckName(args[0])
}

func (p *program) jobShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [flags] NAME",
		Short: "Show a job: its runs, what is usual for it, and its policy",
		Args:  oneJob,
	}
	opts := option.Register(cmd.Flags(), append(p.serverRows(),
		jsonRow(),
	))
	cmd.RunE = p.withClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		sum, err := c.Job(ctx, args[0])
		if err != nil {
			return err
		}
		policy, err := c.Policy(ctx, args[0])
		if err != nil {
			return err
		}
		if opts.On("json") {
			return p.PrintJSON(struct {
				job.Summary
				Policy job.JobPolicy `json:"policy"`
			}{sum, policy})
		}
		return console.WriteAll(p.Out, p.jobPage(sum, policy, time.Now()))
	})
	return cmd
}

func (p *program) jobDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete [flags] NAME",
		Short: "Delete a job with all its runs, their logs and its policy",
		Long: `Delete a job with all its runs, their logs and its policy, for good. It needs a token of the
scope admin. A job with active runs is not deleted: cancel them first. At a terminal it asks
before it deletes, unless --yes is given; in a script it does not ask.`,
		Args: oneJob,
	}
	opts := option.Register(cmd.Flags(), append(p.serverRows(),
		option.Option{FlagOnly: true, Name: "yes", Kind: option.Switch, Help: "delete without asking"},
		jsonRow(),
	))
	cmd.RunE = p.withClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		if !opts.On("yes") {
			if err := p.confirmDeletion(ctx, c, args[0]); err != nil {
				return err
			}
		}
		runs, err := c.DeleteJob(ctx, args[0])
		if err != nil {
			return err
		}
		if opts.On("json") {
			return p.PrintJSON(struct {
				Job  string `json:"job"`
				Runs int64  `json:"runs"`
			}{args[0], runs})
		}
		return console.WriteAll(p.Out, console.Clean(fmt.Sprintf("the job %s is deleted, with %s", args[0], console.Count(runs, "run")))+"\n")
	})
	return cmd
}

// confirmDeletion asks whether a job is to be deleted. The error says that it is not.
func (p *program) confirmDeletion(ctx context.Context, c *client.Client, name string) error {
	sum, err := c.Job(ctx, name)
	var missing *job.Problem
	if errors.As(err, &missing) && missing.Status == http.StatusNotFound {
		sum, err = job.Summary{}, nil // it may have a policy only
	}
	if err != nil {
		return err
	}
	yes, err := p.Confirm("Delete the job %s for good, with %s, their logs and its policy?", name, console.Count(sum.Runs, "run"))
	if err == nil && !yes {
		err = fmt.Errorf("the job %s is not deleted", name)
	}
	return err
}

func (p *program) jobPage(sum job.Summary, policy job.JobPolicy, now time.Time) string {
	s := p.StyleFor(p.Out)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s, %d active, %d succeeded\n", s.Bold(console.Clean(sum.Name)), console.Count(sum.Runs, "run"), sum.Active, sum.Succeeded)
	if sum.LastRun != nil {
		fmt.Fprintf(&b, "%s  %s, %s\n", s.Muted("last run     "), console.Clean(runName(*sum.LastRun)), sum.LastRun.State)
	}
	if sum.LastSuccessAt != nil {
		fmt.Fprintf(&b, "%s  %s\n", s.Muted("last success "), console.Ago(*sum.LastSuccessAt, now))
	}
	if x := sum.Expected; x != nil {
		fmt.Fprintf(&b, "\nUsual, by its last %d good runs (half of them; 95 %% of them):\n", x.Runs)
		lasting := func(f float64) string { return console.Duration(time.Duration(f * float64(time.Second))) }
		size := func(f float64) string { return job.Bytes(int64(f)) }
		for _, row := range []struct {
			name string
			of   job.Percentiles
			text func(float64) string
		}{
			{"duration", x.DurationSeconds, lasting},
			{"peak memory", x.PeakMemoryBytes, size},
			{"output", x.OutputBytesPerSecond, func(f float64) string { return size(f) + "/s" }},
			{"longest silence", x.LongestSilenceSeconds, lasting},
		} {
			fmt.Fprintf(&b, "  %s  %s; %s\n", s.Muted(fmt.Sprintf("%-15s", row.name)), row.text(row.of.P50), row.text(row.of.P95))
		}
	}
	if policy.Default {
		b.WriteString("\nThe default policy holds.\n")
		return b.String()
	}
	by := ""
	if policy.SetBy != "" {
		by = " by " + policy.SetBy
	}
	fmt.Fprintf(&b, "\nPolicy, set %s%s:\n", console.Ago(*policy.SetAt, now), console.Clean(by))
	for line := range strings.SplitSeq(strings.TrimRight(policy.YAML, "\n"), "\n") {
		fmt.Fprintf(&b, "  %s\n", console.Clean(line))
	}
	return b.String()
}

func (p *program) jobSet() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set [flags] NAME",
		Short: "Set the policy of a job, or remove it",
		Long: `Set the policy of a job: which health rules count, from which figures on, and what is
done. A mistake in it is refused with its line and column. docs/health.md says what a
policy holds; stint policy test tries one over the stored runs.`,
		Args: oneJob,
	}
	opts := option.Register(cmd.Flags(), append(p.serverRows(),
		option.Option{FlagOnly: true, Name: "policy", Value: "FILE", Help: "the policy (YAML); - reads standard input"},
		option.Option{FlagOnly: true, Name: "default", Kind: option.Switch, Help: "remove the job's policy: the default holds again"},
		jsonRow(),
	))
	cmd.RunE = p.withClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		file := opts.Text("policy")
		if (file != "") == opts.On("default") {
			return option.Usagef("give either --policy FILE or --default")
		}
		var set job.JobPolicy
		var err error
		if opts.On("default") {
			set, err = c.DeletePolicy(ctx, args[0])
		} else {
			text, rerr := p.readPolicy(file)
			if rerr != nil {
				return rerr
			}
			set, err = c.SetPolicy(ctx, args[0], text)
		}
		if err != nil {
			return inFile(file, err)
		}
		if opts.On("json") {
			return p.PrintJSON(set)
		}
		said := "the policy of " + args[0] + " is set"
		if set.Default {
			said = "the default policy holds for " + args[0]
		}
		return console.WriteAll(p.Out, console.Clean(said)+"\n")
	})
	return cmd
}
