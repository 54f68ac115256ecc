package jobcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// policy holds the commands about policies.
func (p *program) policy() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "policy",
		Short: "Test a policy on the stored runs of a job",
	}, p.policyTest())
}

func (p *program) policyTest() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "test [flags] NAME",
		Short: "Show what a policy would have raised and missed in a job's stored runs",
		Long: `Replay a policy over the last stored runs of a job and print what it would have raised,
and which bad ends and findings it would have missed. Nothing is changed.`,
		Args: oneJob,
	}, []option.Option{
		{FlagOnly: true, Name: "policy", Value: "FILE", Help: "the policy (YAML); - reads standard input"},
	}, func(ctx context.Context, r command.Request) (api.PolicyTest, error) {
		file := r.Opts.Text("policy")
		if file == "" {
			return api.PolicyTest{}, option.Usagef("give the policy to test with --policy FILE")
		}
		text, err := p.readPolicy(file)
		if err != nil {
			return api.PolicyTest{}, err
		}
		wait := p.Wait("replaying over the runs of %s", r.Args[0])
		defer wait.Done()
		test, err := r.TestPolicy(ctx, r.Args[0], text)
		return test, inFile(file, err)
	}, testText)
}

func testText(t api.PolicyTest) string {
	if t.Runs == 0 {
		return "the policy is valid; the job has no stored runs to test it on\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "over %s: %d would be raised, %d missed\n", console.Count(int64(t.Runs), "run"), len(t.WouldRaise), len(t.WouldMiss))
	list := func(head string, all []api.ReplayFinding) {
		for _, r := range all {
			fmt.Fprintf(&b, "%s  %s  %s  %s: %s\n", head, r.Run[:min(len(r.Run), 13)], console.LocalTime(r.At), console.Clean(r.Rule), console.Clean(console.LocalTimes(r.Sentence, r.SentenceTimes)))
		}
	}
	list("raised", t.WouldRaise)
	list("missed", t.WouldMiss)
	return b.String()
}

// readPolicy reads a policy from a file, up to the size that the server accepts.
func (p *program) readPolicy(file string) ([]byte, error) {
	from := p.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, policy.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the policy %s: %w", file, err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, option.Usagef("--policy: %s is empty; stint job set NAME --default removes the policy of a job", file)
	}
	if len(text) > policy.MaxSize {
		return nil, fmt.Errorf("the policy %s has more than %d bytes", file, policy.MaxSize)
	}
	return text, nil
}

// inFile adds file, line and column to the error of an invalid policy, as compilers do.
func inFile(file string, err error) error {
	var mistake *job.Problem
	if errors.As(err, &mistake) && mistake.Line > 0 {
		why := mistake.Detail
		if _, after, found := strings.Cut(why, fmt.Sprintf("column %d: ", mistake.Column)); found {
			why = after
		}
		return fmt.Errorf("%s:%d:%d: %s", file, mistake.Line, mistake.Column, why)
	}
	return err
}
