package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const typesText = `job: types
script: x
parameters:
  - {name: TEXT, type: text}
  - {name: NUMBER, type: number, min: 0.1, max: 10, default: "1"}
  - {name: INTEGER, type: integer, default: "1"}
  - {name: BOOLEAN, type: boolean, default: "true"}
  - {name: CHOICE, type: choice, choices: [a, b], default: a}
  - {name: DATE, type: date, default: today}
  - {name: MORE, type: text, default: ""}
  - {name: MUCH, type: text, default: ""}
  - {name: MOST, type: text, default: ""}
  - {name: LAST, type: text, default: ""}
`

// Each value that a parameter cannot have is refused with the name of the parameter, all of them at once,
// and nothing joins the queue.
func TestValuesThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	l.apply(api.ApplyRequest{Files: files(typesText)}).ok(t, nil)
	large := strings.Repeat("x", 32<<10)
	for name, c := range map[string]struct {
		values map[string]string
		says   []string // none: it is taken
	}{
		"32 KiB":           {values: map[string]string{"TEXT": large}},
		"more than 32 KiB": {map[string]string{"TEXT": large + "x"}, []string{"TEXT", "32768"}},
		"128 KiB": {
			map[string]string{"TEXT": large, "MORE": large, "MUCH": large, "MOST": large, "LAST": large}, []string{"131072"},
		},
		"NUL":           {map[string]string{"TEXT": "a\x00b"}, []string{"TEXT", "NUL"}},
		"none":          {nil, []string{"TEXT"}},
		"an empty one":  {values: map[string]string{"TEXT": ""}},
		"unknown ones":  {map[string]string{"TEXT": "", "NIGHT": "1", "PATH": "/tmp", "LD_PRELOAD": "x.so"}, []string{"NIGHT", "PATH", "LD_PRELOAD"}},
		"another case":  {map[string]string{"TEXT": "", "Date": "today"}, []string{"Date"}},
		"wrong types":   {map[string]string{"TEXT": "", "NUMBER": "1e", "INTEGER": "1.5", "BOOLEAN": "yes?", "CHOICE": "c", "DATE": "2026-02-30"}, []string{"NUMBER", "INTEGER", "BOOLEAN", "CHOICE", "DATE"}},
		"out of bounds": {map[string]string{"TEXT": "", "NUMBER": "11"}, []string{"NUMBER", "10"}},
		"no number":     {map[string]string{"TEXT": "", "NUMBER": "NaN"}, []string{"NUMBER"}},
		"huge":          {map[string]string{"TEXT": "", "INTEGER": strings.Repeat("9", 400)}, []string{"INTEGER"}},
		"shell":         {values: map[string]string{"TEXT": "$(reboot); `id` '\"\n"}},
	} {
		r := l.submit(newID(), job.SubmitRequest{Job: "types", Parameters: c.values})
		if c.says == nil {
			if run := r.created(t); run.Submitted.Parameters["TEXT"] != c.values["TEXT"] {
				t.Errorf("%s: another value arrived", name)
			}
			continue
		}
		p := r.problem(t, http.StatusBadRequest)
		for _, text := range c.says {
			if !strings.Contains(p.Detail, text) {
				t.Errorf("%s: %.300q does not say %q", name, p.Detail, text)
			}
		}
		if len(p.Detail) > 3000 {
			t.Errorf("%s: the answer has %d bytes", name, len(p.Detail))
		}
	}
	for _, name := range []string{"PATH", "LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "NODE_OPTIONS", "GIT_SSH", "STINT_TOKEN", "HOME", "IFS", "a-b", "1A", ""} {
		text := fmt.Sprintf("job: x\nscript: y\nparameters: [{name: %q, type: text}]\n", name)
		if p := l.apply(api.ApplyRequest{Files: files(text)}).problem(t, http.StatusUnprocessableEntity); p.Line != 3 {
			t.Errorf("%s: %q in line %d", name, p.Detail, p.Line)
		}
	}
	for _, body := range []string{"", "null", "[]", "{}", `{"job":1}`, `{"job":"types","parameters":{"TEXT":1}}`, `{"job":"types","parameters":[]}`, `{"job":"types","bogus":1}`, `{"job":"types","job":"x"}`, `{"job":"types"} x`} {
		l.do("PUT", "/api/v1/runs/"+newID(), []byte(body), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	}
	huge := []byte(`{"job":"types","parameters":{"TEXT":"` + strings.Repeat("x", 3<<20) + `"}}`)
	l.do("PUT", "/api/v1/runs/"+newID(), huge, "Content-Type", "application/json").problem(t, http.StatusRequestEntityTooLarge)
	l.wantQueued(3)
}

// wantQueued checks how many runs wait.
func (l *live) wantQueued(n int64) {
	l.t.Helper()
	var page job.QueuePage
	if l.get("/api/v1/queue").ok(l.t, &page); page.Queued != n {
		l.t.Errorf("%d runs are in the queue, want %d", page.Queued, n)
	}
}

// A run can only wait for runs that are there, so that none waits for itself, in a circle, or for ever.
func TestDependenciesThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	after := func(runs ...string) job.SubmitRequest {
		r := job.SubmitRequest{Job: "x", Command: &job.Spec{Args: []string{"true"}}}
		for _, run := range runs {
			r.After = append(r.After, job.Dependency{Run: run, When: "succeeded"})
		}
		return r
	}
	one, two, three := newID(), newID(), newID()
	l.submit(one, after(one)).problem(t, http.StatusBadRequest)
	l.submit(one, after(two)).problem(t, http.StatusNotFound) // the first of a circle
	l.submit(two, after()).created(t)
	l.submit(one, after(two)).created(t)
	l.submit(two, after(one)).problem(t, http.StatusConflict) // the end of a circle
	l.submit(three, after(one, one)).problem(t, http.StatusBadRequest)
	l.wantQueued(2)

	// What can never be met is refused.
	l.do("POST", "/api/v1/runs/"+two+"/cancel", nil).ok(t, nil)
	if p := l.submit(three, after(two)).problem(t, http.StatusBadRequest); !strings.Contains(p.Detail, "can never be met") {
		t.Error(p.Detail)
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = newID()
	}
	l.submit(three, after(many...)).problem(t, http.StatusBadRequest)
}

// poll asks for runs as a worker, without waiting.
func (l *live) poll(worker string, in job.ClaimRequest) reply {
	l.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.do("POST", "/api/v1/workers/"+worker+"/claims", body, "Content-Type", "application/json")
}

func worker(id string) job.ClaimRequest {
	return job.ClaimRequest{ClaimID: uuid.NewString(), WorkerID: id, Host: "h-" + id, Version: "test", Specs: []int{job.SpecVersion}, Slots: 4, Free: 4, Commands: true}
}

// claims returns the claims of a reply.
func (r reply) claims(t *testing.T) []job.Claim {
	t.Helper()
	var out job.ClaimReply
	r.ok(t, &out)
	return out.Claims
}

// A run that no worker can take is taken into the queue, and says at once why it waits.
func TestRunsThatNoWorkerTakes(t *testing.T) {
	l := start(t, server.Config{})
	why := func(id string) string {
		var e api.Explanation
		l.get("/api/v1/runs/"+id+"/explain").ok(t, &e)
		if e.Waiting == nil || len(e.Waiting.Gates) != 1 || e.Waiting.Gates[0].Gate != job.GateNoWorker {
			t.Fatalf("%+v", e.Waiting)
		}
		return e.Waiting.Gates[0].Text
	}
	command := job.SubmitRequest{Job: "x", Command: &job.Spec{Args: []string{"true"}}, Requires: map[string]string{"gpu": "true"}}
	gpu, plain := newID(), newID()
	l.submit(gpu, command).created(t)
	if text := why(gpu); !strings.Contains(text, "No worker is connected") || !strings.Contains(text, "gpu=true") {
		t.Error(text)
	}
	command.Requires = nil
	for name, change := range map[string]func(*job.ClaimRequest){
		"w1": func(r *job.ClaimRequest) { r.Labels = map[string]string{"gpu": "false"}; r.Commands = false },
		"w2": func(r *job.ClaimRequest) { r.Specs = []int{job.SpecVersion + 1} }, // newer, and without what is old
		"w3": func(r *job.ClaimRequest) { r.Specs = nil },                        // older than the first version
		"w4": func(r *job.ClaimRequest) { r.Allow = []string{"y"} },
	} {
		in := worker(name)
		change(&in)
		if got := l.poll(name, in).claims(t); len(got) != 0 {
			t.Errorf("%s was given %+v", name, got)
		}
	}
	l.submit(plain, command).created(t)
	text := why(plain)
	for _, part := range []string{"None of the 4 workers can take it", "--allow-commands", "2 would, with another version of stint", "1 would if allowed to take the job (--allow)"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}

	// A newer worker may say more than this server knows.
	in := worker("w5")
	in.Specs = []int{job.SpecVersion, job.SpecVersion + 1}
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(body), "{", `{"gpus":[{"memory":1}],`, 1)
	got := l.do("POST", "/api/v1/workers/w5/claims", []byte(newer), "Content-Type", "application/json").claims(t)
	if len(got) != 1 || got[0].Run != plain {
		t.Errorf("%+v", got)
	}
}

// Two workers with one name: the second is refused, with the host of the first, which keeps its claims.
func TestTwoWorkersWithOneName(t *testing.T) {
	l := start(t, server.Config{})
	l.submit(newID(), job.SubmitRequest{Job: "x", Command: &job.Spec{Args: []string{"true"}}}).created(t)
	first := worker("a")
	given := l.poll("w1", first).claims(t)
	if len(given) != 1 {
		t.Fatalf("%+v", given)
	}
	second := worker("b")
	if p := l.poll("w1", second).problem(t, http.StatusConflict); !strings.Contains(p.Detail, "h-a") || !strings.Contains(p.Detail, "choose another name") {
		t.Error(p.Detail)
	}
	second.ClaimID = first.ClaimID // of the first
	l.poll("w1", second).problem(t, http.StatusConflict)
	if got := l.poll("w1", first).claims(t); len(got) != 1 || got[0].Claim != given[0].Claim || got[0].Token != given[0].Token {
		t.Errorf("%+v, want %+v again", got, given)
	}
	// Under its own name the second gets nothing of the first, also with the same question.
	if got := l.poll("w2", second); got.status == http.StatusOK && len(got.claims(t)) != 0 {
		t.Errorf("%s", got.body)
	}
	for name, change := range map[string]func(*job.ClaimRequest){
		"no claim_id": func(r *job.ClaimRequest) { r.ClaimID = "" }, "no worker_id": func(r *job.ClaimRequest) { r.WorkerID = "" },
		"slots": func(r *job.ClaimRequest) { r.Slots = -1 }, "many slots": func(r *job.ClaimRequest) { r.Slots = 1 << 30 },
		"a long wait": func(r *job.ClaimRequest) { r.WaitMS = 1 << 40 }, "a label": func(r *job.ClaimRequest) { r.Labels = map[string]string{"": "x"} },
		"control characters": func(r *job.ClaimRequest) { r.Host = "a\x1b[2J" },
	} {
		in := worker("a")
		change(&in)
		if p := l.poll("w1", in).problem(t, http.StatusBadRequest); strings.Contains(p.Detail, "\x1b") {
			t.Errorf("%s: %q", name, p.Detail)
		}
	}
}

// Requests that repeat, forge or mix up claims and permits start nothing: one process has the permit.
func TestPermitsThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	ids := []string{newID(), newID(), newID()}
	for _, id := range ids {
		l.submit(id, job.SubmitRequest{Job: "x", Command: &job.Spec{Args: []string{"true"}}}).created(t)
	}
	byRun := map[string]job.Claim{}
	for _, c := range l.poll("w1", worker("a")).claims(t) {
		byRun[c.Run] = c
	}
	if len(byRun) != 3 {
		t.Fatalf("%+v", byRun)
	}
	ask := func(run string, attempt int, token, incarnation string) reply {
		t.Helper()
		return l.do("POST", journalPath(run, attempt, 0), newAttempt(t, run, attempt, "x", nil).bytes(), job.HeaderClaim, token, job.HeaderIncarnation, incarnation)
	}
	answer := func(r reply) job.Permit {
		t.Helper()
		var p job.Permit
		r.ok(t, &p)
		return p
	}
	one, two := ids[0], ids[1]
	mine, other := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	forged := access.ClaimToken([]byte("a key that is not the server's"), byRun[one].Claim)
	for name, r := range map[string]reply{
		"a forged claim":          ask(one, 1, forged, mine),
		"the claim's id":          ask(one, 1, byRun[one].Claim, mine),
		"a wrong incarnation":     ask(one, 1, byRun[one].Token, "0A"),
		"half of a token":         ask(one, 1, byRun[one].Token[:20], mine),
		"without the incarnation": ask(one, 1, byRun[one].Token, ""),
	} {
		if r.status < 400 || r.status >= 500 || strings.Contains(string(r.body), `"granted"`) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for name, p := range map[string]job.Permit{
		"the claim of another run": answer(ask(one, 1, byRun[two].Token, mine)),
		"a later attempt":          answer(ask(one, 2, byRun[one].Token, mine)),
	} {
		if p.Answer != job.PermitRefused || p.Why == "" || p.AttemptToken != "" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if run := l.run(one); run.State != job.Queued || run.Attempt != 0 {
		t.Errorf("%s in attempt %d after what was refused", run.State, run.Attempt)
	}
	first := answer(ask(one, 1, byRun[one].Token, mine))
	if first.Answer != job.PermitGranted || first.AttemptToken == "" {
		t.Fatalf("%+v", first)
	}
	if again := answer(ask(one, 1, byRun[one].Token, mine)); again.Answer != job.PermitGranted {
		t.Errorf("the same process again: %+v", again)
	}
	if p := answer(ask(one, 1, byRun[one].Token, other)); p.Answer != job.PermitRefused || p.AttemptToken != "" {
		t.Errorf("another process: %+v", p)
	}

	// A claim that was given back is worth nothing, and neither is one of a run that was canceled.
	if r := l.do("POST", "/api/v1/workers/w1/claims/"+byRun[two].Claim+"/release", []byte(`{"reason":"no room"}`), "Content-Type", "application/json"); r.status != http.StatusNoContent {
		t.Fatalf("%d %s", r.status, r.body)
	}
	l.do("POST", "/api/v1/runs/"+ids[2]+"/cancel", nil).ok(t, nil)
	for _, id := range ids[1:] {
		if p := answer(ask(id, 1, byRun[id].Token, mine)); p.Answer != job.PermitRefused {
			t.Errorf("%s: %+v", l.run(id).State, p)
		}
	}
	if run := l.run(two); run.State != job.Queued {
		t.Errorf("a claim that was given back: %s", run.State)
	}
	// Nobody writes to an attempt without its permit.
	data := newAttempt(t, two, 1, "x", nil).command().bytes()
	if p := l.do("POST", journalPath(two, 1, 0), data).problem(t, http.StatusConflict); p.Type != job.ProblemRunSubmitted {
		t.Errorf("%+v", p)
	}
	for run, state := range map[string]job.State{one: job.Starting, two: job.Queued, ids[2]: job.Canceled} {
		if got := l.run(run); got.State != state {
			t.Errorf("%s is %s, want %s", run, got.State, state)
		}
	}
}
