package agentcmd

import (
	"fmt"

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
