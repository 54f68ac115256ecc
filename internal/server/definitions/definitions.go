// Package definitions applies, shows and pauses the definitions of jobs.
package definitions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Store keeps definitions. Methods that name a job return *query.NotFoundError when it has no
// definition.
type Store interface {
	Definition(ctx context.Context, job string) (definition.Applied, error)
	// ListDefinitions returns definitions in the order of jobs, those after a job; of one source unless
	// that is empty.
	ListDefinitions(ctx context.Context, source, after string, limit int) ([]definition.Applied, error)
	// DefinitionVersions returns the contents that a definition has had, the last first.
	DefinitionVersions(ctx context.Context, job string, limit int) ([]definition.Version, error)
	// DefinitionVersion returns the one whose hash begins with some digits.
	DefinitionVersion(ctx context.Context, job, digits string) (definition.Version, error)
	// ApplyDefinitions sets all, or none with a *definition.ConflictError.
	ApplyDefinitions(ctx context.Context, set definition.Set) ([]definition.Result, error)
	DeleteDefinition(ctx context.Context, job string) error
	// PauseJob keeps a job from being started; nil ends that.
	PauseJob(ctx context.Context, job string, pause *api.Pause) (definition.Applied, error)
}

// Routes answers the calls.
type Routes struct {
	httpio.ErrorWriter
	Store     Store
	Schedules ScheduleStore
	Calendar  CalendarStore
	Now       func() time.Time
	// Schema is the JSON Schema of a definition.
	Schema []byte
}

// caller returns the name of the sender of a request; given is used for requests without a login.
func caller(ctx context.Context, given string) string {
	if who := access.CallerOf(ctx); who.Name != "" {
		return who.Name
	}
	return httpio.Printable(given)
}

// readNew reads a definition for the store. Mistakes of the text name the file.
func readNew(file, text string) (definition.New, []job.TextMistake, error) {
	d, mistakes := definition.Parse([]byte(text), policy.Check)
	if len(mistakes) > 0 {
		var all []job.TextMistake
		for _, m := range mistakes {
			all = append(all, job.TextMistake{File: file, Line: m.Line, Column: m.Column, Detail: m.Why})
		}
		return definition.New{}, all, nil
	}
	canonical, err := d.Canonical()
	if err != nil {
		return definition.New{}, nil, err
	}
	n := definition.New{Job: d.Job, Version: definition.Hash(canonical), YAML: text, Canonical: canonical, Policy: d.PolicyText()}
	if n.Policy == "" {
		return n, nil, nil
	}
	p, err := policy.Parse([]byte(n.Policy))
	if err == nil {
		n.Actions, err = json.Marshal(p.Actions)
	}
	if err != nil {
		return n, nil, fmt.Errorf("write the policy of the definition of job %s: %w", job.Quote(d.Job), err)
	}
	return n, nil, nil
}

// refused is the problem of texts with mistakes.
func refused(mistakes []job.TextMistake) error {
	first := mistakes[0]
	where := fmt.Sprintf("line %d, column %d", first.Line, first.Column)
	if first.File != "" {
		where = first.File + ", " + where
	}
	p := httpio.NewProblem(http.StatusUnprocessableEntity, "the definition is invalid: %s: %s", where, first.Detail)
	if n := len(mistakes); n > 1 {
		p.Detail += fmt.Sprintf("; and %d more mistakes", n-1)
	}
	p.Line, p.Column, p.Mistakes = first.Line, first.Column, mistakes
	return p
}

// asProblem turns what the store refuses into a problem.
func asProblem(err error) error {
	var conflict *definition.ConflictError
	if errors.As(err, &conflict) {
		return httpio.NewProblem(http.StatusConflict, "%s", conflict)
	}
	return err
}

// view shows a definition.
func view(a definition.Applied, at time.Time) (api.DefinedJob, error) {
	d, err := definition.FromCanonical(a.Canonical)
	if err != nil {
		return api.DefinedJob{}, fmt.Errorf("read the definition of job %s: %w", job.Quote(a.Job), err)
	}
	zone, err := d.Location()
	if err != nil {
		return api.DefinedJob{}, err
	}
	out := api.DefinedJob{
		Job: a.Job, Version: a.Version, Source: a.Source, Description: d.Description, YAML: a.YAML,
		Command: job.CommandLine(d.Spec(nil).Args), Parameters: []api.ParameterInput{}, Zone: d.Zone, Priority: job.PriorityNormal,
		Group: d.Group, AppliedAt: a.AppliedAt, AppliedBy: a.AppliedBy, EditedAt: a.EditedAt, EditedBy: a.EditedBy, Paused: a.Paused,
	}
	if d.Priority != "" {
		out.Priority = d.Priority
	}
	for _, p := range d.Parameters {
		in := api.ParameterInput{
			Name: p.Name, Type: p.Type, Default: p.Default, Choices: p.Choices, Min: p.Min, Max: p.Max, Pattern: p.Pattern, Help: p.Help,
		}
		if p.Default != nil {
			if value, why := p.DefaultAt(at.In(zone)); why == "" {
				in.Resolved = &value
			}
		}
		out.Parameters = append(out.Parameters, in)
	}
	return out, nil
}
