package definitions

import (
	"context"
	"net/http"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// DocSchema describes GetSchema.
var DocSchema = route.Doc{
	Text:    "The JSON Schema of a definition, for editors. Mistakes that a schema cannot express are reported when a definition is applied.",
	Answers: []route.Content{route.Media("application/schema+json", nil)},
}

// GetSchema answers the JSON Schema of a definition.
func (s *Routes) GetSchema(w http.ResponseWriter, r *http.Request) {
	if err := httpio.NewParams(r).Err; err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.WriteBody(w, "application/schema+json", http.StatusOK, s.Schema)
}

type listIn struct {
	Source string `query:"source" maxLength:"200" doc:"Only definitions of this source."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"200" doc:"The most definitions to return."`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before."`
}

type definitionList struct {
	Definitions []api.DefinedJob `json:"definitions" nullable:"false"`
	NextCursor  *string          `json:"next_cursor" doc:"Ask for the next page with this as cursor; null on the last page."`
}

// ListDefinitions answers a page of definitions without their texts.
func (s *Routes) ListDefinitions(ctx context.Context, in *listIn) (*route.Response[definitionList], error) {
	if in.Cursor != "" {
		if err := job.CheckName(in.Cursor); err != nil {
			return nil, httpio.NewProblem(http.StatusBadRequest, "cursor %s is not one that this server gave; begin again without it", job.Quote(in.Cursor))
		}
	}
	all, err := s.Store.ListDefinitions(ctx, in.Source, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list definitions", err)
	}
	out := definitionList{Definitions: []api.DefinedJob{}}
	if len(all) > in.Limit {
		all = all[:in.Limit]
		out.NextCursor = &all[in.Limit-1].Job
	}
	for _, a := range all {
		shown, err := view(a, s.Now())
		if err != nil {
			return nil, s.ProblemOf(ctx, "show a definition", err)
		}
		shown.YAML = ""
		out.Definitions = append(out.Definitions, shown)
	}
	return route.OK(out)
}

type definitionIn struct {
	Job     string `path:"job" maxLength:"600" doc:"The job's name."`
	Version string `query:"version" maxLength:"64" doc:"Show this version, by its hash or 4 or more of its first digits; without it, the present one."`
}

// GetDefinition answers the definition of a job, or what it was as one version.
func (s *Routes) GetDefinition(ctx context.Context, in *definitionIn) (*route.Response[api.DefinedJob], error) {
	if in.Version != "" {
		v, err := s.Store.DefinitionVersion(ctx, in.Job, in.Version)
		if err != nil {
			return nil, s.ProblemOf(ctx, "read version "+job.Quote(in.Version)+" of job "+job.Quote(in.Job), err)
		}
		return s.show(ctx, definition.Applied{
			Job: in.Job, Version: v.Hash, YAML: v.YAML, Canonical: v.Canonical, Source: v.Source, AppliedAt: v.AppliedAt, AppliedBy: v.AppliedBy,
		})
	}
	a, err := s.Store.Definition(ctx, in.Job)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the definition of job "+job.Quote(in.Job), err)
	}
	return s.show(ctx, a)
}

func (s *Routes) show(ctx context.Context, a definition.Applied) (*route.Response[api.DefinedJob], error) {
	out, err := view(a, s.Now())
	if err != nil {
		return nil, s.ProblemOf(ctx, "show the definition of job "+job.Quote(a.Job), err)
	}
	return route.OK(out)
}

// mostVersions is how many versions a list has: the last ones.
const mostVersions = 200

type versionList struct {
	Versions []api.DefinitionVersion `json:"versions" nullable:"false"`
}

// ListVersions answers the versions of a definition, the last first, with what each changed. It
// answers also for a definition that was deleted.
func (s *Routes) ListVersions(ctx context.Context, in *route.JobPath) (*route.Response[versionList], error) {
	all, err := s.Store.DefinitionVersions(ctx, in.Job, mostVersions+1)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list versions of job "+job.Quote(in.Job), err)
	}
	current, err := s.Store.Definition(ctx, in.Job)
	if err != nil && httpio.AsProblem(err).Status != http.StatusNotFound {
		return nil, s.ProblemOf(ctx, "read the definition of job "+job.Quote(in.Job), err)
	}
	out := versionList{Versions: []api.DefinitionVersion{}}
	for i, v := range all[:min(len(all), mostVersions)] {
		one := api.DefinitionVersion{
			Version: v.Hash, Current: v.Hash == current.Version, FirstAt: v.FirstAt, AppliedAt: v.AppliedAt, AppliedBy: v.AppliedBy,
			Source: v.Source, Changes: []string{},
		}
		if i+1 < len(all) {
			if one.Changes, err = changes(all[i+1].Canonical, v.Canonical); err != nil {
				return nil, s.ProblemOf(ctx, "compare versions of job "+job.Quote(in.Job), err)
			}
		}
		out.Versions = append(out.Versions, one)
	}
	return route.OK(out)
}

// changes says what differs between two contents; never nil.
func changes(before, after []byte) ([]string, error) {
	a, err := definition.FromCanonical(before)
	if err != nil {
		return nil, err
	}
	b, err := definition.FromCanonical(after)
	if err != nil {
		return nil, err
	}
	lines, err := definition.Diff(a, b)
	if lines == nil {
		lines = []string{}
	}
	return lines, err
}

type diffIn struct {
	Job  string `path:"job" maxLength:"600" doc:"The job's name."`
	From string `query:"from" required:"true" minLength:"4" maxLength:"64" doc:"A version, by its hash or 4 or more of its first digits."`
	To   string `query:"to" maxLength:"64" doc:"Another one; without it, the present one."`
}

type versionDiff struct {
	From    string   `json:"from"`
	To      string   `json:"to"`
	Changes []string `json:"changes" nullable:"false"`
}

// DiffVersions answers what differs between two versions of a definition.
func (s *Routes) DiffVersions(ctx context.Context, in *diffIn) (*route.Response[versionDiff], error) {
	from, err := s.Store.DefinitionVersion(ctx, in.Job, in.From)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read a version of job "+job.Quote(in.Job), err)
	}
	to := definition.Version{}
	if in.To == "" {
		current, err := s.Store.Definition(ctx, in.Job)
		if err != nil {
			return nil, s.ProblemOf(ctx, "read the definition of job "+job.Quote(in.Job), err)
		}
		to.Hash, to.Canonical = current.Version, current.Canonical
	} else if to, err = s.Store.DefinitionVersion(ctx, in.Job, in.To); err != nil {
		return nil, s.ProblemOf(ctx, "read a version of job "+job.Quote(in.Job), err)
	}
	lines, err := changes(from.Canonical, to.Canonical)
	if err != nil {
		return nil, s.ProblemOf(ctx, "compare versions of job "+job.Quote(in.Job), err)
	}
	return route.OK(versionDiff{from.Hash, to.Hash, lines})
}
