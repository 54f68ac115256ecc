package tour

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

const (
	demoPoll = 250 * time.Millisecond
	// demoLines is how much the first attempt prints before its worker is killed.
	demoLines = 4
	// demoLimit bounds each thing that the demo waits for.
	demoLimit = 2 * time.Minute
)

// reportFile is the name of the file with the definition of the job.
const reportFile = "report.yaml"

// report is that definition.
const report = `job: report
description: Prints a page a second, on whichever worker takes it
script: |
  page=0
  while [ $page -lt $PAGES ]; do
    page=$((page + 1))
    echo "page $page of $PAGES: the orders of $DAY"
    sleep 1
  done
parameters:
  - {name: DAY, type: date, default: yesterday, help: the day to report}
  - {name: PAGES, type: integer, default: "12", min: 1, max: 100, help: how many pages}
retries: {limit: 2, on: [agent_lost]}
`

// elsewhere shows a job that a server starts, and starts again on another worker.
type elsewhere struct {
	Config
	client  *client.Client
	workers map[string]*worker
}

// newElsewhere returns it. close ends its workers.
func newElsewhere(cfg Config) (*elsewhere, error) {
	c, err := client.New(client.Options{URL: cfg.URL})
	if err != nil {
		return nil, err
	}
	return &elsewhere{Config: cfg, client: c, workers: map[string]*worker{}}, nil
}

// close ends the workers that are left.
func (d *elsewhere) close() (err error) {
	for _, w := range d.workers {
		err = errors.Join(err, w.down())
	}
	return err
}

// run shows it. One worker is left, which takes further runs until close.
func (d *elsewhere) run(ctx context.Context) error {
	s := d.Style
	file := filepath.Join(d.Dir, reportFile)
	if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
		return fmt.Errorf("write the definition of the demo: %w", err)
	}
	d.Print("\n%s\n\n%s\n", s.Bold("Now the server starts a job itself. This is the definition of the job:"), s.Muted(report))
	if err := d.command(ctx, "apply", file); err != nil {
		return err
	}
	if err := d.startWorkers(ctx, "east", "west"); err != nil {
		return err
	}
	if err := d.command(ctx, "worker", "list"); err != nil {
		return err
	}
	d.Print("\n%s\n", s.Bold("A run is submitted, and a worker takes it:"))
	if err := d.command(ctx, "submit", "report"); err != nil {
		return err
	}
	if err := d.killFirst(ctx); err != nil {
		return err
	}
	run, err := d.follow(ctx)
	if err != nil {
		return err
	}
	if err := d.command(ctx, "show", "report#1"); err != nil {
		return err
	}
	if run.State != job.Succeeded || run.Attempt != 2 {
		return fmt.Errorf("attempt %d of report#1 is %s, and attempt 2 was to succeed", run.Attempt, run.State)
	}
	d.Print("\nOpen %s and press %s to run it again with other values, or see %s and %s.\n",
		s.Blue(d.URL+"/jobs/report"), s.Bold("Run…"), s.Blue(d.URL+"/workers"), s.Blue(d.URL+"/queue"))
	return nil
}

// command runs a command of stint against the server, and shows it as a person would type it.
func (d *elsewhere) command(ctx context.Context, args ...string) error {
	args = append(args, "--server", d.URL)
	d.Print("\n  %s %s\n\n", d.Called, job.CommandLine(args))
	return d.Execute(ctx, args)
}

// startWorkers starts workers and waits until the server knows them.
func (d *elsewhere) startWorkers(ctx context.Context, names ...string) error {
	for _, name := range names {
		w, err := startWorker(d.Program, name, d.URL, d.Dir)
		if err != nil {
			return err
		}
		d.workers[name] = w
	}
	return d.until(ctx, "the workers to ask for runs", func() (bool, error) {
		all, err := d.client.Workers(ctx)
		return len(all) == len(names), err
	})
}

// killFirst lets the run begin, and kills the worker that has it, with all that runs there.
func (d *elsewhere) killFirst(ctx context.Context) error {
	var run job.Run
	err := d.until(ctx, "the run to begin", func() (done bool, err error) {
		run, err = d.client.Run(ctx, "report#1")
		return run.Output.Lines >= demoLines, err
	})
	if err != nil {
		return err
	}
	worker := run.Submitted.Worker
	w := d.workers[worker]
	if w == nil {
		return fmt.Errorf("report#1 runs on a worker %s that the demo did not start", job.Quote(worker))
	}
	var jobs []int
	for _, step := range run.Steps {
		if step.EndedAt == nil && step.PID > 1 {
			jobs = append(jobs, step.PID)
		}
	}
	d.Print("\n%s\n\n", d.Style.Bold(fmt.Sprintf("It runs on %s and has printed %d lines. Now the host of %s goes down: worker, agent and job are killed.", worker, run.Output.Lines, worker)))
	return w.down(jobs...)
}

// follow prints the changes of the run until it has ended.
func (d *elsewhere) follow(ctx context.Context) (run job.Run, err error) {
	last := ""
	err = d.until(ctx, "the run to end", func() (bool, error) {
		var err error
		if run, err = d.client.Run(ctx, "report#1"); err != nil {
			return false, err
		}
		if text := progress(run); text != last {
			d.Print("  %s  %s\n", time.Now().Format(time.TimeOnly), text)
			last = text
		}
		return run.State.Terminal() && run.State != job.Lost, nil
	})
	return run, err
}

// progress is where a run is, in a few words.
func progress(run job.Run) string {
	text := fmt.Sprintf("attempt %d %s", run.Attempt, run.State)
	switch {
	case run.State == job.Retrying:
		text = fmt.Sprintf("attempt %d was lost; attempt %d waits for a worker", run.Attempt, run.Attempt+1)
	case !run.State.Terminal() && run.Submitted != nil:
		text += " on " + run.Submitted.Worker
		if run.Attempt > 1 { // the moment between the attempts may be too short to be seen
			text += fmt.Sprintf(", because attempt %d was lost", run.Attempt-1)
		}
	}
	return text
}

// until waits until something is done, for a bounded time.
func (d *elsewhere) until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited for %s: %w", what, context.Cause(ctx)), d.printed())
		}
	}
}

// printed has what the workers printed, which says why something did not happen.
func (d *elsewhere) printed() error {
	var all []error
	for name, w := range d.workers {
		if text := w.printed(); text != "" {
			all = append(all, fmt.Errorf("worker %s printed: %s", name, console.Clean(text)))
		}
	}
	return errors.Join(all...)
}
