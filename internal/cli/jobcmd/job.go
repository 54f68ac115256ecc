package jobcmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/client/deletion"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// job holds the commands about one job.
func (p *program) job(others []*cobra.Command) *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "job",
		Short: "Show, pause or delete a job, its definition, or the policy by which its runs are judged",
	}, append([]*cobra.Command{p.jobShow(), p.jobSet(), p.jobDue(), p.jobDelete()}, others...)...)
}

func oneJob(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs the NAME of one job", cmd.CommandPath())
	}
	return job.CheckName(args[0])
}

func (p *program) jobShow() *cobra.Command {
	type page struct {
		api.Summary
		Policy api.JobPolicy `json:"policy"`
	}
	return command.Reply(p.Program, &cobra.Command{
		Use:   "show [flags] NAME",
		Short: "Show a job: its runs, its usual figures, and its policy",
		Args:  oneJob,
	}, nil, func(ctx context.Context, r command.Request) (reply page, err error) {
		if reply.Summary, err = r.Job(ctx, r.Args[0]); err == nil {
			reply.Policy, err = r.Policy(ctx, r.Args[0])
		}
		return reply, err
	}, func(reply page) string { return p.jobPage(reply.Summary, reply.Policy, time.Now()) })
}

func (p *program) jobDelete() *cobra.Command {
	type deleted struct {
		Job        string   `json:"job"`
		Runs       int64    `json:"runs"`
		Definition bool     `json:"definition,omitempty"` // only that
		NotReached []string `json:"not_reached,omitempty"`
	}
	return command.Reply(p.Program, &cobra.Command{
		Use:   "delete [flags] NAME",
		Short: "Delete a job with all its runs, their logs, its definition and its policy",
		Long: `Delete a job with all its runs, their logs, its definition and its policy, for good. It needs a
token of the scope admin. A job with active runs is not deleted: cancel them first. At a terminal
it asks before it deletes, unless --yes is given; in a script it does not ask.

With --definition only the definition is deleted, and the policy that it brought: the job cannot
be submitted any more, and its runs stay, also those that wait. That needs the scope author.`,
		Args: oneJob,
	}, []option.Option{
		{FlagOnly: true, Name: "yes", Kind: option.Switch, Help: "delete without asking"},
		{FlagOnly: true, Name: "definition", Kind: option.Switch, Help: "delete the definition only"},
	}, func(ctx context.Context, r command.Request) (deleted, error) {
		name := r.Args[0]
		if r.Opts.On("definition") {
			return deleted{Job: name, Definition: true}, r.DeleteDefinition(ctx, name)
		}
		if !r.Opts.On("yes") {
			if err := p.confirmDeletion(ctx, r.Client, name); err != nil {
				return deleted{}, err
			}
		}
		done, err := deletion.Job(ctx, r.Client, name)
		return deleted{Job: name, Runs: done.Runs, NotReached: done.NotReached}, err
	}, func(d deleted) string {
		if d.Definition {
			return console.Clean("the definition of the job "+d.Job+" is deleted; its runs stay") + "\n"
		}
		return console.Clean(fmt.Sprintf("the job %s is deleted, with %s", d.Job, console.Count(d.Runs, "run"))) + "\n"
	})
}

// confirmDeletion asks whether to delete a job. It returns an error if the answer is no.
func (p *program) confirmDeletion(ctx context.Context, c *client.Client, name string) error {
	sum, err := c.Job(ctx, name)
	if isMissing(err) {
		sum, err = api.Summary{}, nil // it may have a policy or definition only
	}
	if err != nil {
		return err
	}
	yes, err := p.Confirm("Delete the job %s for good, with %s, their logs, its definition and its policy?", name, console.Count(sum.Runs, "run"))
	if err == nil && !yes {
		err = fmt.Errorf("the job %s is not deleted", name)
	}
	return err
}

func (p *program) jobPage(sum api.Summary, policy api.JobPolicy, now time.Time) string {
	s := p.StyleFor(p.Out)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s, %d active, %d succeeded\n", s.Bold(console.Clean(sum.Name)), console.Count(sum.Runs, "run"), sum.Active, sum.Succeeded)
	if sum.LastRun != nil {
		fmt.Fprintf(&b, "%s  %s, %s\n", s.Muted("last run     "), console.Clean(command.RunName(*sum.LastRun)), sum.LastRun.State)
	}
	if sum.Due != nil {
		fmt.Fprintf(&b, "%s  %s\n", s.Muted("expected     "), console.Clean(expectedText(sum.Due.Expectation)))
		fmt.Fprintf(&b, "%s  %s\n", s.Muted("             "), console.Clean(dueLine(*sum.Due, now)))
	}
	for _, f := range sum.Findings {
		fmt.Fprintf(&b, "%s  %s\n", s.Muted(fmt.Sprintf("%-13s", f.Rule)), console.Clean(fmt.Sprintf("%s, began %s: %s", f.Health, console.Ago(f.Since, now), console.LocalTimes(f.Evidence, f.SentenceTimes))))
	}
	if sum.LastSuccessAt != nil {
		fmt.Fprintf(&b, "%s  %s\n", s.Muted("last success "), console.Ago(*sum.LastSuccessAt, now))
	}
	if x := sum.Expected; x != nil {
		fmt.Fprintf(&b, "\nUsual, by its last %d good runs (half of them; 95 %% of them):\n", x.Runs)
		lasting := func(f float64) string { return job.DurationText(time.Duration(f * float64(time.Second))) }
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
		b.WriteString("\nThe default policy applies.\n")
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
	return command.Reply(p.Program, &cobra.Command{
		Use:   "set [flags] NAME",
		Short: "Set the policy of a job, or remove it",
		Long: `Set the policy of a job: which health rules are on, their thresholds, and the actions. An
invalid policy is refused with line and column. docs/health.md describes policies; stint
policy test replays one over the stored runs.`,
		Args: oneJob,
	}, []option.Option{
		{FlagOnly: true, Name: "policy", Value: "FILE", Help: "the policy (YAML); - reads standard input"},
		{FlagOnly: true, Name: "default", Kind: option.Switch, Help: "remove the job's policy: the default applies again"},
	}, p.setPolicy, func(set namedPolicy) string {
		text := "the policy of " + set.job + " is set"
		if set.Default {
			text = "the default policy applies to " + set.job
		}
		if set.unknown {
			p.Say("no job %s is known, so the policy waits for its first run; if the name is a mistake, remove the policy with: stint job set --default %s", job.Quote(set.job), set.job)
		}
		return console.Clean(text) + "\n"
	})
}

// unknown reports whether the server has neither runs nor a definition of a job, if it says so.
func unknown(ctx context.Context, c *client.Client, name string) bool {
	_, err := c.Job(ctx, name)
	if isMissing(err) {
		_, err = c.Definition(ctx, name, "")
	}
	return isMissing(err)
}

func isMissing(err error) bool {
	var missing *job.Problem
	return errors.As(err, &missing) && missing.Status == http.StatusNotFound
}

// namedPolicy is a policy, and the job that has it.
type namedPolicy struct {
	api.JobPolicy
	job     string
	unknown bool // no job of this name has a run or a definition
}

func (p *program) setPolicy(ctx context.Context, r command.Request) (set namedPolicy, err error) {
	file := r.Opts.Text("policy")
	set.job = r.Args[0]
	if (file != "") == r.Opts.On("default") {
		return set, option.Usagef("give either --policy FILE or --default")
	}
	if r.Opts.On("default") {
		set.JobPolicy, err = r.DeletePolicy(ctx, set.job)
		return set, err
	}
	text, err := p.readPolicy(file)
	if err != nil {
		return set, err
	}
	if set.JobPolicy, err = r.SetPolicy(ctx, set.job, text); err != nil {
		return set, inFile(file, err)
	}
	set.unknown = unknown(ctx, r.Client, set.job)
	return set, nil
}
