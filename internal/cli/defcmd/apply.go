package defcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// apply sets definitions from files.
func (p *program) apply() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "apply [flags] FILE|DIR…",
		Short: "Apply definitions of jobs from files, all or none",
		Long: `Apply definitions of jobs from YAML files, or from all files in directories that end in .yaml or
.yml, and print what changes. All are applied or none: every mistake is reported with file, line
and column. - reads one definition from standard input.

A job that was edited on the page since is a conflict: stint job export prints the current
definition, and --force overwrites it. Pauses of jobs are not changed.

With --source NAME the definitions belong to that source, such as a repository, and --prune
deletes those of the source that are not in the files any more; their runs stay. It needs a
token of the scope author. docs/jobs.md describes definitions.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return option.Usagef("%s needs a FILE or DIR with definitions; - reads standard input", cmd.CommandPath())
			}
			return nil
		},
	}, []option.Option{
		{FlagOnly: true, Name: "source", Value: "NAME", Help: "where the files are kept; the definitions belong to it"},
		{FlagOnly: true, Name: "dry-run", Kind: option.Switch, Help: "only print what would change"},
		{FlagOnly: true, Name: "prune", Kind: option.Switch, Help: "delete the definitions of the source that are not in the files"},
		{FlagOnly: true, Name: "force", Kind: option.Switch, Help: "overwrite what was edited on the page since, or belongs to another source"},
		{FlagOnly: true, Name: "yes", Kind: option.Switch, Help: "prune also more than half of the source"},
	}, func(ctx context.Context, r command.Request) (api.ApplyReply, error) {
		in := api.ApplyRequest{
			Source: r.Opts.Text("source"), DryRun: r.Opts.On("dry-run"), Prune: r.Opts.On("prune"), Force: r.Opts.On("force"), Yes: r.Opts.On("yes"),
			By: command.UserName(),
		}
		if in.Prune && in.Source == "" {
			return api.ApplyReply{}, option.Usagef("--prune: it deletes the definitions of a source that are not in the files: give --source NAME too")
		}
		var err error
		if in.Files, err = p.readFiles(r.Args); err != nil {
			return api.ApplyReply{}, err
		}
		reply, err := r.Apply(ctx, in)
		return reply, p.inFiles(err)
	}, p.appliedText)
}

// mostFiles is how many files are sent at once, as many as the server takes.
const mostFiles = 1000

// readFiles reads the files that arguments name.
func (p *program) readFiles(args []string) ([]api.ApplyFile, error) {
	var names []string
	for _, arg := range args {
		more, err := filesOf(arg)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	if len(names) > mostFiles {
		return nil, fmt.Errorf("there are %d files, and at most %d can be applied at once: apply them in parts, each with a source of its own", len(names), mostFiles)
	}
	var files []api.ApplyFile
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue // a file, and the directory that it is in
		}
		text, err := p.readFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, api.ApplyFile{Name: name, YAML: string(text)})
	}
	return files, nil
}

// filesOf returns the files that an argument names, those of a directory in order.
func filesOf(arg string) ([]string, error) {
	if arg == "-" {
		return []string{arg}, nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, fmt.Errorf("read definitions: %w", err)
	}
	if !info.IsDir() {
		return []string{filepath.Clean(arg)}, nil
	}
	var names []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && path != arg
		switch {
		case err != nil:
			return err
		case d.IsDir() && hidden:
			return fs.SkipDir
		case d.IsDir(), hidden, filepath.Ext(path) != ".yaml" && filepath.Ext(path) != ".yml":
			return nil
		}
		names = append(names, path)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read definitions in %s: %w", arg, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no file that ends in .yaml or .yml in %s", arg)
	}
	return names, nil
}

// readFile reads one definition, up to the size that the server accepts.
func (p *program) readFile(name string) ([]byte, error) {
	from := p.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read a definition: %w", err)
		}
		defer f.Close() //nolint:errcheck // only read
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, definition.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the definition %s: %w", name, err)
	}
	if len(text) > definition.MaxSize {
		return nil, option.Usagef("the definition %s has more than %d bytes", name, definition.MaxSize)
	}
	return text, nil
}

// inFiles prints all mistakes of definitions, each with file, line and column as compilers do.
func (p *program) inFiles(err error) error {
	var problem *job.Problem
	if !errors.As(err, &problem) || len(problem.Mistakes) == 0 {
		return err
	}
	for _, m := range problem.Mistakes {
		fmt.Fprintf(p.Err, "%s:%d:%d: %s\n", console.Clean(m.File), m.Line, m.Column, console.Clean(m.Detail))
	}
	return option.Usagef("nothing was applied: %s", console.Count(int64(len(problem.Mistakes)), "mistake"))
}

// appliedText prints what became of each definition.
func (p *program) appliedText(reply api.ApplyReply) string {
	s := p.StyleFor(p.Out)
	var b strings.Builder
	unchanged := 0
	for _, r := range reply.Results {
		paint, version := s.Muted, shortVersion(r.Version)
		switch r.Result {
		case api.ApplyUnchanged:
			unchanged++
			continue
		case api.ApplyCreated:
			paint = s.Green
		case api.ApplyUpdated:
			paint, version = s.Yellow, shortVersion(r.Before)+" → "+shortVersion(r.Version)
		case api.ApplyDeleted:
			paint, version = s.Red, shortVersion(r.Before)
		}
		fmt.Fprintf(&b, "%s  %s  %s\n", paint(fmt.Sprintf("%-9s", r.Result)), s.Bold(console.Clean(r.Job)), s.Muted(version))
		for _, change := range r.Changes {
			fmt.Fprintf(&b, "           %s\n", console.Clean(change))
		}
		if r.Overwrites != "" {
			fmt.Fprintf(&b, "           %s\n", console.Clean("overwritten: it "+r.Overwrites))
		}
	}
	if unchanged > 0 {
		fmt.Fprintf(&b, "%s\n", s.Muted(console.Count(int64(unchanged), "definition")+" unchanged"))
	}
	if reply.DryRun {
		b.WriteString("Nothing was changed: this was a dry run.\n")
	}
	return b.String()
}
