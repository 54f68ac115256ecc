package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stint.dev/stint/job"
)

// Defined is what a definition says of each of its runs, and a request may say otherwise.
type Defined struct {
	Priority job.Priority
	Requires map[string]string
}

// Again returns the request for another run like one that was submitted: r, and where r says nothing, what
// that run was given. Defaults and the version of the definition are not kept, so that they are those of
// now; neither are times, dependencies and the key. spec is that of the run, and d is what its version of
// the definition says.
func Again(r job.SubmitRequest, of job.Run, spec job.Spec, d Defined) (job.SubmitRequest, error) {
	was := of.Submitted
	switch {
	case was == nil:
		return r, invalid("again", r.Again, fmt.Sprintf("%s#%d was not submitted: start its command again on its host", of.Job, of.Number))
	case r.Job != of.Job:
		return r, invalid("again", r.Again, fmt.Sprintf("is a run of job %s, not of %s", job.Quote(of.Job), job.Quote(r.Job)))
	case r.Command != nil:
		return r, invalid("again", r.Again, "says what to run: leave the command out")
	case was.Definition == "" && len(spec.Env) > 0:
		names := strings.Join(slices.Sorted(maps.Keys(spec.Env)), ", ")
		return r, invalid("again", r.Again, "was given variables, which are not kept for other runs: submit its command with "+names)
	}
	r.Again = ""
	r.Labels, spec.Labels = joined(spec.Labels, r.Labels), nil
	requires := maps.Clone(was.Requires)
	if was.Definition == "" {
		d = Defined{}
		r.Command = &spec
		if r.Group == "" {
			r.Group = was.Group
		}
	}
	maps.DeleteFunc(requires, func(k, v string) bool { value, ok := d.Requires[k]; return ok && v == value })
	r.Requires, r.Parameters = joined(requires, r.Requires), joined(was.Given, r.Parameters)
	if d.Priority == "" {
		d.Priority = job.PriorityNormal
	}
	if r.Priority == "" && was.Priority != d.Priority {
		r.Priority = was.Priority
	}
	return r, nil
}

// joined returns both maps as one, with the values of the second where both have a key; nil if both are empty.
func joined(first, second map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, first)
	maps.Copy(all, second)
	if len(all) == 0 {
		return nil
	}
	return all
}
