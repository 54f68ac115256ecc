package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// Descriptions of the calls.
var (
	DocPutPolicy = route.Doc{
		Text: "Sets the policy of a job: which health rules apply, with which thresholds, and what is done. Keys that are " +
			"absent have the values of the default policy. An unknown key or an invalid value is refused with " +
			"422 and the line and column of the error. The policy applies within seconds.",
		Request: "application/yaml",
		Answers: []route.Content{route.JSON(api.JobPolicy{})},
		Errors:  []int{400, 413, 422},
	}
	DocTestPolicy = route.Doc{
		Text: "Replays a policy over the last stored runs of the job, and returns the findings that it would have raised, and the failures " +
			"and findings that it would have missed. Nothing is stored. The rules about the connection to the server cannot be replayed.",
		Request: "application/yaml",
		Answers: []route.Content{route.JSON(api.PolicyTest{})},
		Errors:  []int{400, 413, 422},
	}
)

// readPolicy reads and parses the body of a request. It returns the policy and its text; its errors are for
// the client.
func readPolicy(r *http.Request) (policy.Policy, []byte, error) {
	text, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) || len(text) > policy.MaxSize:
		return policy.Policy{}, nil, httpio.NewProblem(http.StatusRequestEntityTooLarge, "a policy has at most %d bytes", policy.MaxSize)
	case err != nil:
		return policy.Policy{}, nil, httpio.NewProblem(http.StatusRequestTimeout, "the policy did not arrive completely")
	}
	p, err := policy.Parse(text)
	var mistake *policy.Error
	if errors.As(err, &mistake) {
		refused := httpio.NewProblem(http.StatusUnprocessableEntity, "the policy is invalid: %s", mistake)
		refused.Line, refused.Column = mistake.Line, mistake.Column
		return p, nil, refused
	}
	return p, text, err
}

// PutPolicy sets the policy of a job.
func (s *Routes) PutPolicy(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("job")
	if err := errors.Join(job.CheckName(name), httpio.NewParams(r).Err); err != nil {
		s.Fail(w, r, err)
		return
	}
	p, text, err := readPolicy(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	actions, err := json.Marshal(p.Actions)
	if err != nil {
		s.Fail(w, r, fmt.Errorf("encode the policy of job %s: %w", name, err))
		return
	}
	stored := policy.Stored{Job: name, YAML: string(text), SetAt: s.Now().UTC(), SetBy: access.CallerOf(r.Context()).Name}
	if err := s.Store.SetPolicy(r.Context(), stored, actions); err != nil {
		s.Fail(w, r, err)
		return
	}
	out, err := jobPolicy(p, stored)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.OK(w, out)
}

// jobPolicy returns the response for a policy and how it was set.
func jobPolicy(p policy.Policy, stored policy.Stored) (api.JobPolicy, error) {
	out := api.JobPolicy{YAML: stored.YAML, Default: stored.SetAt.IsZero(), SetBy: stored.SetBy}
	if !out.Default {
		out.SetAt = &stored.SetAt
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(text, &out.Effective)
	}
	if err != nil {
		return out, fmt.Errorf("encode the policy of job %s: %w", stored.Job, err)
	}
	return out, nil
}

// GetPolicy responds with the policy that applies to a job.
func (s *Routes) GetPolicy(ctx context.Context, in *route.JobPath) (*route.Response[api.JobPolicy], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	p, stored, err := s.policyOf(ctx, in.Job)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read the policy of job "+in.Job, err)
	}
	out, err := jobPolicy(p, stored)
	if err == nil {
		out.KeepPending, err = s.pendingOf(ctx, in.Job)
	}
	if err != nil {
		return nil, s.ProblemOf(ctx, "show the policy of job "+in.Job, err)
	}
	return route.OK(out)
}

// DeletePolicy deletes the policy of a job, so that the default policy applies.
func (s *Routes) DeletePolicy(ctx context.Context, in *route.JobPath) (*route.Response[api.JobPolicy], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	if err := s.Store.DeletePolicy(ctx, in.Job); err != nil {
		return nil, s.ProblemOf(ctx, "delete the policy of job "+in.Job, err)
	}
	return s.GetPolicy(ctx, in)
}

// Limits of a replay.
const (
	replayRuns    = 50
	replaySamples = 300_000
	replayBlocks  = 20_000
	replayPoints  = 5000 // of one run; if it has more samples, its peaks and an even selection
	replayTimeout = 20 * time.Second
)

// TestPolicy replays a policy over the last runs of a job.
func (s *Routes) TestPolicy(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("job")
	if err := errors.Join(job.CheckName(name), httpio.NewParams(r).Err); err != nil {
		s.Fail(w, r, err)
		return
	}
	p, _, err := readPolicy(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	ctx, place, err := s.HeavyRead(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer place.Leave()
	out, err := s.replay(ctx, place, name, p)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(httpio.ResponseDeadline()) // only the recorder of a test has none
	httpio.OK(w, out)
}

// replay replays a policy over the last runs of a job, within the limits.
func (s *Routes) replay(ctx context.Context, place *shares.Place, name string, p policy.Policy) (api.PolicyTest, error) {
	out := api.PolicyTest{WouldRaise: []api.ReplayFinding{}, WouldMiss: []api.ReplayFinding{}}
	page, err := s.Store.Runs(ctx, query.Runs{Job: name, Limit: replayRuns})
	if err != nil {
		return out, err
	}
	end, samples := time.Now().Add(replayTimeout), 0
	for _, run := range page.Runs {
		if time.Now().After(end) || samples > replaySamples {
			break
		}
		place.Progress()
		past, err := s.pastOf(ctx, run)
		if err != nil {
			return out, err
		}
		samples += len(past.Samples)
		out.Runs++
		raised := rules.Replay(past, p)
		out.WouldRaise = append(out.WouldRaise, raised...)
		missed, err := s.missed(ctx, run, raised, p)
		if err != nil {
			return out, err
		}
		out.WouldMiss = append(out.WouldMiss, missed...)
	}
	for _, found := range [][]api.ReplayFinding{out.WouldRaise, out.WouldMiss} {
		for i := range found {
			found[i].SentenceTimes = job.TimesIn(found[i].At, found[i].Sentence)
		}
	}
	return out, nil
}

// pastOf reads the data of a run for a replay.
func (s *Routes) pastOf(ctx context.Context, run job.Run) (past rules.Past, err error) {
	past.Run = run
	series, err := s.Store.Samples(ctx, run.ID, run.Attempt, query.Samples{Points: replayPoints})
	if err != nil {
		return past, err
	}
	past.Samples = series.Samples
	heads, err := s.Store.Blocks(ctx, run.ID, run.Attempt, journal.HeaderSize, replayBlocks)
	if err != nil {
		return past, err
	}
	for _, h := range heads {
		if h.OutputBytes > 0 {
			past.Printed = append(past.Printed, h.FirstAt, h.LastAt)
		}
	}
	l, err := s.Store.Lease(ctx, run.ID)
	past.Limits = l.Evidence.Limits
	return past, err
}

// missed returns the failure of a run of which nobody would have been notified, and the findings that were
// raised and would not be raised by the policy.
func (s *Routes) missed(ctx context.Context, run job.Run, raised []api.ReplayFinding, p policy.Policy) ([]api.ReplayFinding, error) {
	var out []api.ReplayFinding
	state := string(run.State)
	if slices.Contains(policy.Ends(), state) && !p.Actions[state].Notify && len(raised) == 0 {
		at := run.CreatedAt
		if run.EndedAt != nil {
			at = *run.EndedAt
		}
		out = append(out, api.ReplayFinding{Run: run.ID, Rule: state, At: at, Sentence: run.Outcome.Message})
	}
	events, err := s.Store.Events(ctx, run.ID, 0, 500)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		known := slices.Contains(policy.Rules(), e.Rule) && e.Rule != policy.Quiet
		made := slices.ContainsFunc(append(raised, out...), func(r api.ReplayFinding) bool { return r.Rule == e.Rule })
		if e.Kind == "health" && known && !made && (isReplayable(e.Rule) || !p.On(e.Rule)) {
			out = append(out, api.ReplayFinding{Run: run.ID, Rule: e.Rule, At: e.At, Sentence: e.Evidence})
		}
	}
	return out, nil
}

// isReplayable reports whether a rule can be replayed from stored samples.
func isReplayable(rule string) bool {
	return rule != policy.Spool && rule != policy.ClockSkew && rule != policy.Starved
}
