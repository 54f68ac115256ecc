// Package importcmd holds the commands that take over what another tracker has.
package importcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/lists"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

type program struct{ *command.Program }

// Command returns the command with all others below it.
func Command(c *command.Program) *cobra.Command {
	p := &program{c}
	return command.Group(&cobra.Command{
		Use:   "import",
		Short: "Import the expectations of another tracker",
	}, p.healthchecks())
}

// result is what came of the checks.
type result struct {
	Checks []step `json:"checks"`
	DryRun bool   `json:"dry_run"`
}

func (p *program) healthchecks() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "healthchecks [flags]",
		Short: "Import the checks of a Healthchecks project",
		Long: `Read the checks of a project of Healthchecks, and set an expectation for each, as stint job due
does: UUID and slug, so that its pings work here, schedule, grace and pause, and tags as labels.
Print what is not imported. Nothing is written to Healthchecks. A repeated import applies what
has changed. docs/due.md has the steps.`,
		Args: command.NoArgs,
	}, []option.Option{
		{FlagOnly: true, Name: "url", Value: "URL", Default: "https://healthchecks.io", Help: "address of Healthchecks"},
		{Name: "api-key", Value: "KEY", Help: "API key of the project, not a read-only one; better given as STINT_API_KEY, which no process listing shows"},
		{FlagOnly: true, Name: "api-key-file", Value: "FILE", Help: "file with the API key"},
		{FlagOnly: true, Name: "dry-run", Kind: option.Switch, Help: "only print what would be expected"},
	}, p.importChecks, p.text)
}

// importChecks reads the checks, and expects what they do.
func (p *program) importChecks(ctx context.Context, r command.Request) (out result, err error) {
	key, err := apiKey(r.Opts)
	if err != nil {
		return out, err
	}
	source, err := newSource(r.Opts.Text("url"), key, "stint/"+p.Version)
	if err != nil {
		return out, err
	}
	checks, err := source.checks(ctx)
	if err != nil {
		return out, err
	}
	have, err := expectations(ctx, r)
	if err != nil {
		return out, err
	}
	out = result{Checks: plan(checks, have), DryRun: r.Opts.On("dry-run")}
	for _, s := range out.Checks {
		if out.DryRun {
			break
		}
		if err := s.apply(ctx, r); err != nil {
			return out, fmt.Errorf("expect job %s for the check %s: %w; call the command again to go on", job.Quote(s.Job), s.UUID, err)
		}
	}
	return out, nil
}

// keyLength is the number of characters of an API key.
const keyLength = 32

// apiKey returns the API key that the options name.
func apiKey(opts *option.Set) (string, error) {
	key, file := strings.TrimSpace(opts.Text("api-key")), opts.Text("api-key-file")
	command.HideArguments(key)
	if file != "" {
		if opts.Given("api-key") {
			return "", option.Usagef("--api-key and --api-key-file exclude each other: choose one")
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", option.Usagef("--api-key-file: %v", err)
		}
		key = strings.TrimSpace(string(data))
	}
	switch {
	case key == "":
		return "", option.Usagef("an API key of Healthchecks is missing: make one on the settings page of the project, and give it with STINT_API_KEY or --api-key-file")
	case strings.HasPrefix(key, "hcr_"):
		return "", option.Usagef("%s", readOnlyText)
	case len(key) != keyLength:
		return "", option.Usagef("the API key of Healthchecks has %d characters, and not %d: copy it again", keyLength, len(key))
	}
	return key, nil
}

// readOnlyText says why a read-only key will not do.
const readOnlyText = "the API key is read-only: with it, Healthchecks does not show the UUIDs by which checks are pinged. Give one that may write; nothing is written with it"

// expectations returns the expectations of all jobs, by job.
func expectations(ctx context.Context, r command.Request) (map[string]api.JobDue, error) {
	have := map[string]api.JobDue{}
	for cursor := ""; ; {
		page, err := lists.Jobs(ctx, r.Client, lists.JobsQuery{Cursor: cursor, Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, j := range page.Jobs {
			if j.Due == nil {
				continue
			}
			if have[j.Name], err = r.Due(ctx, j.Name); err != nil {
				return nil, err
			}
			if have[j.Name].PingURL == "" {
				return nil, errors.New("the token may not read the UUIDs of expectations: use one of the scope write")
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return have, nil
		}
	}
}

// apply does what the step says.
func (s step) apply(ctx context.Context, r command.Request) error {
	if s.Action == created || s.Action == changed {
		set := api.DueRequest{Expectation: s.Expectation, UUID: &s.UUID, Slug: &s.Slug, PostOnly: &s.PostOnly, Labels: s.Labels}
		if _, err := r.PutDue(ctx, s.Job, set); err != nil {
			return err
		}
	}
	if s.pause {
		_, err := r.PauseDue(ctx, s.Job)
		return err
	}
	return nil
}

// text prints what came of the checks, and what was left out.
func (p *program) text(out result) string {
	if len(out.Checks) == 0 {
		p.Say("the project has no checks")
		return ""
	}
	var rows [][]console.Cell
	for _, s := range out.Checks {
		for _, note := range s.LeftOut {
			p.Say("%s: %s", s.label(), note)
		}
		if s.Action == leftOut {
			continue
		}
		action := string(s.Action)
		if out.DryRun && s.Action != unchanged {
			action = "would be " + action
		}
		rows = append(rows, []console.Cell{console.T(s.Job), console.T(s.when()), console.T(s.UUID), console.T(action)})
	}
	p.Say("channels, pings and flips of Healthchecks are not read; stint notify set says where notifications go")
	if len(rows) == 0 {
		return ""
	}
	return p.Table([]console.Column{{Head: "JOB", Min: 16}, {Head: "EXPECTED", Min: 16}, {Head: "UUID", Drop: 1}, {Head: "EXPECTATION", Min: 8}}, rows)
}

// when says when a run is expected.
func (s step) when() string {
	grace := job.DurationText(time.Duration(s.Expectation.GraceSeconds) * time.Second)
	when := "every " + job.DurationText(time.Duration(s.Expectation.EverySeconds)*time.Second)
	if s.Expectation.Cron != "" {
		when = "at " + s.Expectation.Cron + " (" + s.Expectation.Zone + ")"
	}
	if s.Paused {
		when += ", paused"
	}
	return when + ", " + grace + " of grace"
}
