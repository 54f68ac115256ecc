// Package tour is what stint demo shows of a server: a job that runs through it, and a job that the server
// starts, whose first attempt is killed and which starts again on another worker.
package tour

import (
	"context"
	"path/filepath"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// Config configures Show.
type Config struct {
	// URL is the address of the server, Dir a directory for files.
	URL, Dir string
	// Program is the file of stint, and Called is how it was called.
	Program, Called string
	// PageNote is printed of the page; it may be empty.
	PageNote string
	// Ends says that the server ends afterwards; else Show returns when ctx ends.
	Ends bool
	// Execute runs a command of stint in this process.
	Execute func(ctx context.Context, args []string) error
	// Report prints the error of a command, and returns its exit code.
	Report func(error) int
	// Print writes to a person.
	Print func(format string, args ...any)
	Style console.Style
}

// Show runs the jobs and prints what happens. It returns the exit code of the first that failed.
func Show(ctx context.Context, cfg Config) int {
	code := cfg.runJob(ctx)
	if code == console.ExitOK && ctx.Err() == nil {
		d, err := newElsewhere(cfg)
		if err == nil {
			defer func() { cfg.Report(d.close()) }()
			err = d.run(ctx)
		}
		if err != nil && ctx.Err() == nil {
			code = cfg.Report(err)
		}
	}
	if !cfg.Ends && ctx.Err() == nil {
		cfg.Print("\nThe server keeps serving at %s until Ctrl-C.\n", cfg.Style.Blue(cfg.URL))
		<-ctx.Done() // the worker that is left takes runs until then
	}
	return code
}

// runJob runs a job as people run their own. It returns the job's exit code.
func (c Config) runJob(ctx context.Context) int {
	work := filepath.Join(c.Dir, "work")
	install := job.CommandLine([]string{c.Program, "demo-job", "collect", work})
	args := []string{
		"run", "--server", c.URL, "--job", "demo", "--label", "kind=demo", "--sample-period", "1s",
		"--install", install, "--", c.Program, "demo-job", "study", work,
	}
	s := c.Style
	c.Print("%s %s\n", s.Bold("A server is running at"), s.Blue(c.URL))
	if c.PageNote != "" {
		c.Print("%s\n", s.Muted(c.PageNote))
	}
	c.Print("%s\n\n  %s %s\n\n", s.Bold("Now a job runs through it, as you would run your own:"), c.Called, job.CommandLine(args))
	c.Print("While it runs, open %s or, in another terminal, run:\n\n", s.Blue(c.URL))
	for _, query := range []string{"runs", "logs -f demo#1", "show demo#1"} {
		c.Print("  %s %s --server %s\n", c.Called, query, c.URL)
	}
	c.Print("\n")
	code := c.Report(c.Execute(ctx, args)) // the same code, over HTTP, as in a process of its own
	c.Print("\n%s exit code %d\n\n", s.Bold("The job has ended:"), code)
	if ctx.Err() == nil {
		c.Report(c.Execute(ctx, []string{"show", "--server", c.URL, "demo#1"}))
	}
	return code
}
