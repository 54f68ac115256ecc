package agentcmd

import (
	"fmt"
	"os"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

// resolveRun reads the options of stint run. What cannot be used and does not stop the job is reported, and returned as notes.
func (a *agentProgram) resolveRun(opts *option.Set, nested bool) (notes []string, err error) {
	sources, _, mistakes := a.program().Sources(nested)
	wrong, err := opts.ResolveForJob(sources...)
	if err != nil {
		return nil, err
	}
	notes = command.Lines(mistakes)
	for _, w := range wrong {
		notes = append(notes, fmt.Sprintf("%v; %s", w, w.Instead()))
	}
	if text := command.Exposed(opts); text != "" {
		notes = append(notes, text)
	}
	for _, line := range notes {
		a.Say("%s", line)
	}
	return notes, nil
}

// mistake reports what does not keep the job from running, on stderr and in the run.
func (a *agentProgram) mistake(c *agent.Config, text string) {
	a.Say("%s", text)
	c.Notes = append(c.Notes, text)
}

// checkRun returns what stint run would report about resolved options, and the error with which it would refuse them.
func (a *agentProgram) checkRun(opts *option.Set) ([]string, error) {
	null, err := os.Open(os.DevNull) // what this call has as stdin says nothing about a job
	if err != nil {
		return nil, err
	}
	defer null.Close() //nolint:errcheck // only read
	var args []string
	if opts.Text("script") == "" {
		args = []string{"true"}
	}
	quiet := agentProgram{Console: a.Quiet(null), version: a.version}
	cfg, err := quiet.runConfig(opts, args, command.Nested(a.Getenv), nil)
	cfg.close()
	return cfg.Notes, err
}
