package definitions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Limits of what is applied at once.
const (
	MaxApply  = 16 << 20 // bytes of the body
	mostFiles = 1000
	bodyTime  = time.Minute
	bodyPause = 20 * time.Second
)

// Descriptions of the calls.
var (
	DocApply = route.Doc{
		Text: "Applies definitions, all or none. The response has the result and the changes of each, in words. 422 lists all mistakes in the " +
			"files with their places. 409 names each conflict: a job was edited on the page since, " +
			"or belongs to another source (force overwrites both), or more than half of a source would be deleted (yes allows it). " +
			"Paused jobs stay paused.",
		Request: "application/json", Body: api.ApplyRequest{},
		Answers: []route.Content{route.JSON(api.ApplyReply{})},
		Errors:  []int{400, 409, 413, 422},
	}
	DocPut = route.Doc{
		Text: "Changes or creates the definition of a job. The body is its text in YAML, which must name the same job. base is the version that " +
			"was changed; without it the job must have no definition. Otherwise the response is 409, unless force is true.",
		Params: []route.Param{
			route.Query("base", "The complete hash of the version that was changed.", "string"),
			route.Query("force", "true overwrites what somebody else changed.", "boolean"),
		},
		Request: "application/yaml",
		Answers: []route.Content{route.JSON(api.DefinedJob{})},
		Errors:  []int{400, 409, 413, 422},
	}
)

// PostApply applies a set of definitions.
func (s *Routes) PostApply(w http.ResponseWriter, r *http.Request) {
	var in api.ApplyRequest
	err := httpio.NewParams(r).Err
	if err == nil {
		r.Body = http.MaxBytesReader(w, httpio.NewPacedReader(w, r, bodyPause, bodyTime), MaxApply)
		err = httpio.ReadManyJSON(r, "a set of definitions", true, 4*mostFiles, &in)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	reply, err := s.apply(r.Context(), in)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.OK(w, reply)
}

func (s *Routes) apply(ctx context.Context, in api.ApplyRequest) (api.ApplyReply, error) {
	set := definition.Set{
		Source: in.Source, Prune: in.Prune, DryRun: in.DryRun, Force: in.Force, Yes: in.Yes, By: caller(ctx, in.By), At: s.Now().UTC(),
	}
	switch {
	case len(in.Files) == 0:
		return api.ApplyReply{}, httpio.NewProblem(http.StatusBadRequest, "there is no file to apply")
	case len(in.Files) > mostFiles:
		return api.ApplyReply{}, httpio.NewProblem(http.StatusBadRequest, "there are %d files, and at most %d can be applied at once", len(in.Files), mostFiles)
	case in.Prune && in.Source == "":
		return api.ApplyReply{}, httpio.NewProblem(http.StatusBadRequest, "prune needs a source: it deletes the definitions of the source that are not among the files")
	case in.Source != "" && job.CheckName(in.Source) != nil:
		return api.ApplyReply{}, httpio.NewProblem(http.StatusBadRequest, "source %s cannot be a name: at most %d printable characters, none of # / \\", job.Quote(in.Source), job.MaxNameBytes)
	}
	files := map[string]string{} // by job
	var mistakes []job.TextMistake
	for _, f := range in.Files {
		if ctx.Err() != nil {
			return api.ApplyReply{}, ctx.Err()
		}
		n, wrong, err := readNew(httpio.Printable(f.Name), f.YAML)
		if err != nil {
			return api.ApplyReply{}, err
		}
		if other, twice := files[n.Job]; twice && len(wrong) == 0 {
			wrong = []job.TextMistake{{File: httpio.Printable(f.Name), Line: 1, Column: 1, Detail: fmt.Sprintf("the job %s is defined in %s too", job.Quote(n.Job), job.Quote(other))}}
		}
		if mistakes = append(mistakes, wrong...); len(wrong) == 0 {
			files[n.Job] = httpio.Printable(f.Name)
			set.New = append(set.New, n)
		}
	}
	if len(mistakes) > 0 {
		return api.ApplyReply{}, refused(mistakes)
	}
	results, err := s.Store.ApplyDefinitions(ctx, set)
	if err != nil {
		return api.ApplyReply{}, asProblem(err)
	}
	return s.reply(ctx, set, results, files)
}

// reply describes the result of each definition in a sentence.
func (s *Routes) reply(ctx context.Context, set definition.Set, results []definition.Result, files map[string]string) (api.ApplyReply, error) {
	out := api.ApplyReply{DryRun: set.DryRun, Results: []api.ApplyResult{}}
	var changed []string
	for _, r := range results {
		one := api.ApplyResult{
			Job: r.Job, File: files[r.Job], Result: r.Result, Version: r.Version, Before: r.Before.Hash, Changes: []string{}, Overwrites: r.Overwrites,
		}
		if r.Result == api.ApplyUpdated {
			i := slices.IndexFunc(set.New, func(n definition.New) bool { return n.Job == r.Job })
			var err error
			if one.Changes, err = changes(r.Before.Canonical, set.New[i].Canonical); err != nil {
				return out, err
			}
		}
		if r.Result != api.ApplyUnchanged {
			changed = append(changed, fmt.Sprintf("%s %s %.12s", r.Result, r.Job, r.Version))
		}
		out.Results = append(out.Results, one)
	}
	detail := strings.Join(changed, ", ")
	if set.DryRun {
		detail = "dry run: " + detail
	}
	access.SetDetail(ctx, detail)
	return out, nil
}

// PutDefinition changes or creates one definition, as a person does on the page.
func (s *Routes) PutDefinition(w http.ResponseWriter, r *http.Request) {
	out, err := s.put(w, r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.OK(w, out)
}

func (s *Routes) put(w http.ResponseWriter, r *http.Request) (api.DefinedJob, error) {
	name := r.PathValue("job")
	p := httpio.NewParams(r, "base", "force")
	base, force := p.Values.Get("base"), p.Bool("force", false)
	if base != "" && (len(base) != 64 || !definition.IsHash(base)) {
		p.Refuse("base=%s: want the whole hash of a version", job.Quote(base))
	}
	if err := errors.Join(job.CheckName(name), p.Err); err != nil {
		return api.DefinedJob{}, err
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, httpio.NewPacedReader(w, r, bodyPause, bodyTime), definition.MaxSize))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return api.DefinedJob{}, httpio.NewProblem(http.StatusRequestEntityTooLarge, "a definition has at most %d bytes", definition.MaxSize)
	case err != nil:
		return api.DefinedJob{}, httpio.NewProblem(http.StatusRequestTimeout, "the definition did not arrive completely")
	}
	n, wrong, err := readNew("", string(text))
	switch {
	case err != nil:
		return api.DefinedJob{}, err
	case len(wrong) > 0:
		return api.DefinedJob{}, refused(wrong)
	case n.Job != name:
		return api.DefinedJob{}, httpio.NewProblem(http.StatusUnprocessableEntity, "the text defines the job %s, and the path names %s", job.Quote(n.Job), job.Quote(name))
	}
	ctx := r.Context()
	_, err = s.Store.ApplyDefinitions(ctx, definition.Set{
		New: []definition.New{n}, Edit: true, Base: base, Force: force, By: caller(ctx, ""), At: s.Now().UTC(),
	})
	if err != nil {
		return api.DefinedJob{}, asProblem(err)
	}
	access.SetDetail(ctx, "version "+n.Version)
	a, err := s.Store.Definition(ctx, name)
	if err != nil {
		return api.DefinedJob{}, err
	}
	return view(a, s.Now())
}

// DeleteDefinition deletes the definition of a job. Its runs stay, also those that wait, and so do
// its versions.
func (s *Routes) DeleteDefinition(ctx context.Context, in *route.JobPath) (*struct{}, error) {
	a, err := s.Store.Definition(ctx, in.Job)
	if err == nil {
		err = s.Store.DeleteDefinition(ctx, in.Job)
	}
	if err != nil {
		return nil, s.ProblemOf(ctx, "delete the definition of job "+job.Quote(in.Job), err)
	}
	access.SetDetail(ctx, "version "+a.Version)
	return nil, nil
}

// pauseBy returns a pause that begins now. by is the name that a request without a login gave.
func (s *Routes) pauseBy(ctx context.Context, by, why string) *api.Pause {
	return &api.Pause{At: s.Now().UTC(), By: caller(ctx, by), Why: httpio.Printable(why)}
}

type pauseIn struct {
	Job  string `path:"job" maxLength:"600" doc:"The job's name."`
	Body *struct {
		_   struct{} `additionalProperties:"false"`
		By  string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
		Why string   `json:"why,omitempty" maxLength:"1000" doc:"In their words."`
	}
}

// PauseJob keeps a job from being started until somebody resumes it. Runs that wait or work go on.
func (s *Routes) PauseJob(ctx context.Context, in *pauseIn) (*route.Response[api.DefinedJob], error) {
	by, why := "", ""
	if in.Body != nil {
		by, why = in.Body.By, in.Body.Why
	}
	return s.setPause(ctx, in.Job, s.pauseBy(ctx, by, why))
}

// ResumeJob ends that.
func (s *Routes) ResumeJob(ctx context.Context, in *route.JobPath) (*route.Response[api.DefinedJob], error) {
	return s.setPause(ctx, in.Job, nil)
}

func (s *Routes) setPause(ctx context.Context, name string, pause *api.Pause) (*route.Response[api.DefinedJob], error) {
	a, err := s.Store.PauseJob(ctx, name, pause)
	if err != nil {
		return nil, s.ProblemOf(ctx, "pause job "+job.Quote(name), err)
	}
	detail := "version " + a.Version
	if pause != nil && pause.Why != "" {
		detail += ": " + pause.Why
	}
	access.SetDetail(ctx, detail)
	return s.show(ctx, a)
}
