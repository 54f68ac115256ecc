package agentcmd

import (
	"fmt"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

// resolveRun reads the options of stint run. What cannot be used and does not stop the job is reported, and returned as notes.
//
// Inside of a job only what leads to the server is read, from the environment and from files: every other option was meant for
// the run around it. A name for the job was set on purpose if it is not that of the run around it.
func (a *agentProgram) resolveRun(opts *option.Set, nested bool) (notes []string, err error) {
	files, mistakes := a.program().Files()
	sources := append([]option.Source{option.Environment(a.Getenv)}, files.Sources()...)
	if nested {
		named := a.Getenv("STINT_JOB") != a.Getenv("STINT_PARENT_JOB")
		sources[0] = inherited{sources[0], named}
		for i := range sources[1:] {
			sources[i+1] = inherited{sources[i+1], false}
		}
	}
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

// inherited is a source of which a run inside of a job reads only what leads to the server, and perhaps a name for the job.
type inherited struct {
	option.Source
	named bool
}

func (s inherited) Settings(o option.Option) ([]option.Setting, bool) {
	if !o.Inherited && !(s.named && o.Name == "job") {
		return nil, false
	}
	return s.Source.Settings(o)
}

// mistake reports what does not keep the job from running, on stderr and in the run.
func (a *agentProgram) mistake(c *agent.Config, text string) {
	a.Say("%s", text)
	c.Notes = append(c.Notes, text)
}
