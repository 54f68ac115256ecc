package defcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// diff compares versions of a definition.
func (p *program) diff() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "diff [flags] NAME [VERSION [VERSION]]",
		Short: "Show what differs between versions of a job's definition",
		Long: `Show in words the differences between two versions of a job's definition: the last two, a given
version and the current one, or two given versions. A version is named by its hash or at least 4
of its first digits; stint job versions lists them.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 3 {
				return option.Usagef("%s needs the NAME of one job, and may have two versions", cmd.CommandPath())
			}
			return job.CheckName(args[0])
		},
	}, nil, func(ctx context.Context, r command.Request) (client.DefinitionDiff, error) {
		switch len(r.Args) {
		case 3:
			return r.DiffDefinition(ctx, r.Args[0], r.Args[1], r.Args[2])
		case 2:
			return r.DiffDefinition(ctx, r.Args[0], r.Args[1], "")
		}
		all, err := r.DefinitionVersions(ctx, r.Args[0])
		if err != nil {
			return client.DefinitionDiff{}, err
		}
		if len(all) < 2 {
			return client.DefinitionDiff{}, fmt.Errorf("the definition of job %s has one version only", job.Quote(r.Args[0]))
		}
		return r.DiffDefinition(ctx, r.Args[0], all[1].Version, all[0].Version)
	}, func(d client.DefinitionDiff) string {
		s := p.StyleFor(p.Out)
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n", s.Muted(shortVersion(d.From)+" → "+shortVersion(d.To)))
		for _, change := range d.Changes {
			b.WriteString(console.Clean(change) + "\n")
		}
		if len(d.Changes) == 0 {
			b.WriteString("They are the same.\n")
		}
		return b.String()
	})
}

// schema prints schemas of what people write.
func (p *program) schema() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a definition, for editors",
	}, &cobra.Command{
		Use:   "definition",
		Short: "Print the JSON Schema of a definition",
		Long: `Print the JSON Schema of a definition, with which editors complete and check it. A server has it
too, at /schema/definition.json.`,
		Args: command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := definition.Schema()
			if err != nil {
				return err
			}
			return console.WriteAll(p.Out, string(text))
		},
	})
}

// export prints the text of a definition.
func (p *program) export() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "export [flags] NAME",
		Short: "Print the definition of a job as it is now, or as it was",
		Args:  oneJob,
	}, []option.Option{
		{FlagOnly: true, Name: "version", Value: "VERSION", Help: "print this version: its hash or 4 or more of its first digits"},
	}, func(ctx context.Context, r command.Request) (api.DefinedJob, error) {
		return r.Definition(ctx, r.Args[0], r.Opts.Text("version"))
	}, func(d api.DefinedJob) string {
		if strings.HasSuffix(d.YAML, "\n") {
			return d.YAML
		}
		return d.YAML + "\n"
	})
}

// versions lists the versions of a definition.
func (p *program) versions() *cobra.Command {
	type list struct {
		Versions []api.DefinitionVersion `json:"versions"`
	}
	return command.Reply(p.Program, &cobra.Command{
		Use:   "versions [flags] NAME",
		Short: "List the versions of a job's definition, the last first",
		Args:  oneJob,
	}, nil, func(ctx context.Context, r command.Request) (list, error) {
		all, err := r.DefinitionVersions(ctx, r.Args[0])
		return list{all}, err
	}, func(l list) string {
		s := p.StyleFor(p.Out)
		var rows [][]console.Cell
		for _, v := range l.Versions {
			current := ""
			if v.Current {
				current = "now"
			}
			rows = append(rows, []console.Cell{
				console.T(shortVersion(v.Version)), console.P(current, s.Green), console.T(console.Ago(v.AppliedAt, time.Now())),
				console.T(v.AppliedBy), console.T(v.Source), console.T(strings.Join(v.Changes, "; ")),
			})
		}
		return p.Table([]console.Column{{Head: "VERSION"}, {Head: ""}, {Head: "APPLIED"}, {Head: "BY", Min: 6, Drop: 2}, {Head: "SOURCE", Min: 8, Drop: 1}, {Head: "CHANGES", Min: 16}}, rows)
	})
}

// pause keeps a job from being started.
func (p *program) pause() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "pause [flags] NAME",
		Short: "Keep a job from being submitted",
		Long: `Refuse submissions of a job until stint job resume. Queued and active runs continue; stint apply
does not end the pause.`,
		Args: oneJob,
	}, []option.Option{
		{FlagOnly: true, Name: "why", Value: "TEXT", Help: "the reason, which the job shows"},
	}, func(ctx context.Context, r command.Request) (api.DefinedJob, error) {
		return r.PauseJob(ctx, r.Args[0], command.UserName(), r.Opts.Text("why"))
	}, func(d api.DefinedJob) string {
		if d.Paused == nil {
			return "" // it was resumed meanwhile
		}
		return console.Clean(fmt.Sprintf("%s is paused, since %s", d.Job, console.Ago(d.Paused.At, time.Now()))) + "\n"
	})
}

// resume ends a pause.
func (p *program) resume() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "resume [flags] NAME",
		Short: "End the pause of a job",
		Args:  oneJob,
	}, nil, func(ctx context.Context, r command.Request) (api.DefinedJob, error) {
		return r.ResumeJob(ctx, r.Args[0])
	}, func(d api.DefinedJob) string {
		return console.Clean(d.Job+" can be submitted again") + "\n"
	})
}
