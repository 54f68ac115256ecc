package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore has runs that it gives to every worker, and notes what it was asked for.
type fakeStore struct {
	httpio.RunStore
	mu        sync.Mutex
	ready     int
	signal    chan struct{} // closed when ready grows
	atSignal  func()        // is called, once, when the signal is requested
	asked     int
	given     map[string][]job.Claim
	draining  string
	submitted map[string]job.SubmitRequest
	by        string
	author    bool
	err       error
	drain     job.Drain
	released  []string
	groups    []job.Group
}

func newStore() *fakeStore {
	return &fakeStore{given: map[string][]job.Claim{}, submitted: map[string]job.SubmitRequest{}}
}

func (f *fakeStore) Submit(_ context.Context, run string, r job.SubmitRequest, by string, author bool) (job.Run, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.submitted[run]
	f.submitted[run], f.by, f.author = r, by, author
	return job.Run{ID: run, Job: r.Job, State: job.Queued}, !known, f.err
}

func (f *fakeStore) SubmittedSpec(context.Context, string) (job.Spec, error) {
	return job.Spec{}, f.err
}

func (f *fakeStore) DefinitionVersion(context.Context, string, string) (definition.Version, error) {
	return definition.Version{}, f.err
}

func (f *fakeStore) ListQueue(_ context.Context, q query.Queue) (job.QueuePage, error) {
	return job.QueuePage{Queued: int64(q.Limit)}, f.err
}

func (f *fakeStore) ReleaseHeld(context.Context, string) (int64, error) {
	return 2, f.err
}

func (f *fakeStore) SetPriority(_ context.Context, run string, p job.Priority) (job.Run, error) {
	return job.Run{ID: run, Submitted: &job.Submission{Priority: p}}, f.err
}

func (f *fakeStore) Groups(context.Context) ([]job.Group, error) { return f.groups, f.err }

func (f *fakeStore) SetGroup(_ context.Context, name string, limit int, by string) (job.Group, error) {
	f.groups, f.by = append(f.groups, job.Group{Name: name, Limit: limit, Active: 3}), by
	return f.groups[len(f.groups)-1], f.err
}

func (f *fakeStore) DeleteGroup(context.Context, string) error { return f.err }

func (f *fakeStore) Claim(_ context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	reply := job.ClaimReply{ClaimID: r.ClaimID, Worker: worker, Claims: []job.Claim{}, Draining: f.draining, Now: time.Now()}
	if f.err != nil {
		return reply, f.err
	}
	if n := min(f.ready, r.Free); n > 0 && f.given[r.ClaimID] == nil {
		f.ready -= n
		f.given[r.ClaimID] = make([]job.Claim, n)
	}
	reply.Claims = append(reply.Claims, f.given[r.ClaimID]...)
	return reply, nil
}

func (f *fakeStore) ReleaseClaim(_ context.Context, worker, claim, reason string) (job.Run, []job.RunEvent, error) {
	f.released = append(f.released, worker+" "+claim+": "+reason)
	return job.Run{}, nil, f.err
}

func (f *fakeStore) ListWorkers(context.Context) ([]job.WorkerInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []job.WorkerInfo{{Name: "w7", Drain: &f.drain}}, f.err
}

func (f *fakeStore) RunsReady() <-chan struct{} {
	f.mu.Lock()
	at := f.atSignal
	f.atSignal = nil
	f.mu.Unlock()
	if at != nil {
		at()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.signal == nil {
		f.signal = make(chan struct{})
	}
	return f.signal
}

func (f *fakeStore) AnyReady(context.Context) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready > 0, nil
}

// add makes runs ready.
func (f *fakeStore) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready += n
	if f.signal != nil {
		close(f.signal)
		f.signal = nil
	}
}

func (f *fakeStore) DrainWorker(_ context.Context, _ string, d job.Drain) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drain, f.draining = d, d.Reason
	return f.err
}

func (f *fakeStore) ResumeWorker(context.Context, string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = ""
	return f.err
}

func (f *fakeStore) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func newRoutes(t *testing.T, f *fakeStore) *Routes {
	errorWriter := httpio.ErrorWriter{Log: slog.New(slog.DiscardHandler)}
	return New(Config{
		Finder: httpio.Finder{ErrorWriter: errorWriter, Runs: f}, Submissions: f, Queue: f, Groups: f, Workers: f, Now: time.Now, Stopping: t.Context().Done(),
		Notify: func(string) {}, Polled: func(bool) {}, Changed: func([]job.RunEvent) {},
	})
}

// send calls a plain handler as the mux would.
func send(t *testing.T, h http.HandlerFunc, who access.Caller, path map[string]string, body any) (int, string) {
	t.Helper()
	text, ok := body.(string)
	if !ok {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte(text)))
	r.RemoteAddr = "127.0.0.1:999"
	if addr, ok := path["from"]; ok {
		r.RemoteAddr = addr
	}
	for name, value := range path {
		r.SetPathValue(name, value)
	}
	w := httptest.NewRecorder()
	h(w, r.WithContext(access.WithCaller(t.Context(), who)))
	return w.Code, w.Body.String()
}

var (
	writer = access.Caller{Name: "ci", Scope: access.Write, Via: access.ViaToken, Token: "t"}
	author = access.Caller{Name: "ada", Scope: access.Author, Via: access.ViaToken, Token: "t"}
)

const runID = "01890a5d-ac96-774b-bcce-b30200000001"

func TestPutRun(t *testing.T) {
	f := newStore()
	s := newRoutes(t, f)
	put := func(who access.Caller, run string, body any) (int, string) {
		return send(t, s.PutRun, who, map[string]string{"run": run}, body)
	}
	in := job.SubmitRequest{Job: "report", Parameters: map[string]string{"DAY": "today"}, By: "somebody else"}
	if status, body := put(writer, runID, in); status != http.StatusCreated || !strings.Contains(body, runID) {
		t.Errorf("%d %s", status, body)
	}
	if got := f.submitted[runID]; f.by != "ci" || f.author || got.By != "" || got.Parameters["DAY"] != "today" {
		t.Errorf("by %q, author %t: %+v", f.by, f.author, got)
	}
	if status, body := put(author, strings.ToUpper(runID), in); status != http.StatusOK || !f.author {
		t.Errorf("%d %s", status, body)
	}
	if put(access.Local(), runID, in); f.by != "somebody else" || !f.author {
		t.Errorf("by %q, author %t", f.by, f.author)
	}
	keyed := job.SubmitRequest{Job: "report", Key: "7"}
	if status, body := put(writer, job.RunIDForKey("report", "7"), keyed); status != http.StatusCreated {
		t.Errorf("%d %s", status, body)
	}
	for _, c := range []struct {
		run    string
		body   any
		status int
		says   string
	}{
		{runID, keyed, 400, "submit that one"},
		{"report#1", in, 400, "run id"},
		{runID, `{"job":"report","bogus":1}`, 400, "bogus"},
		{runID, `{"job":"report","job":"x"}`, 400, "twice"},
		{runID, `{"job":1}`, 400, "job cannot be a JSON number"},
		{runID, `[`, 400, ""},
		{runID, `{"job":"` + strings.Repeat("x", MaxSubmission) + `"}`, 413, "at most"},
	} {
		if status, body := put(writer, c.run, c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%.60v: %d %s, want %d and %q", c.body, status, body, c.status, c.says)
		}
	}
	for err, want := range map[error]int{
		&queue.ConflictError{Why: "another request"}:    http.StatusConflict,
		&queue.AuthorError{}:                            http.StatusForbidden,
		&query.NotFoundError{What: "definition"}:        http.StatusNotFound,
		&job.InvalidError{What: "priority", Value: "x"}: http.StatusBadRequest,
		&queue.FullError{}:                              http.StatusTooManyRequests,
		&definition.ValuesError{}:                       http.StatusBadRequest,
		errors.New("the disk burns"):                    http.StatusInternalServerError,
	} {
		f.err = err
		if status, body := put(writer, runID, in); status != want || strings.Contains(body, "burns") {
			t.Errorf("%v: %d %s", err, status, body)
		}
	}
	f.err = &definition.ValuesError{All: []*definition.ValueError{{Parameter: "SCALE", Why: "11 is more than 10"}, {Parameter: "DAY", Why: "it must be given"}}}
	want := `"parameters":[{"name":"SCALE","detail":"11 is more than 10"},{"name":"DAY","detail":"it must be given"}]`
	if _, body := put(writer, runID, in); !strings.Contains(body, want) {
		t.Errorf("%s does not have %s", body, want)
	}
}

func TestWhoMayAskForRuns(t *testing.T) {
	f := newStore()
	s := newRoutes(t, f)
	w7 := access.Caller{Name: "w7's", Scope: access.Worker, Via: access.ViaToken, Token: "t", Worker: "w7", Labels: map[string]string{"zone": "fra"}}
	ask := func(who access.Caller, worker, from string, labels map[string]string) (int, string) {
		return send(t, s.PostClaims, who, map[string]string{"worker": worker, "from": from}, job.ClaimRequest{ClaimID: "c", Labels: labels})
	}
	zone := map[string]string{"zone": "fra"}
	for _, c := range []struct {
		name         string
		who          access.Caller
		worker, from string
		labels       map[string]string
		status       int
		says         string
	}{
		{"its own name and label", w7, "w7", "192.0.2.1:9", zone, 200, ""},
		{"fewer labels", w7, "w7", "192.0.2.1:9", nil, 200, ""},
		{"another name", w7, "w8", "192.0.2.1:9", zone, 403, `is for the worker \"w7\"`},
		{"another value", w7, "w7", "192.0.2.1:9", map[string]string{"zone": "ber"}, 403, "zone=ber"},
		{"a further label", w7, "w7", "192.0.2.1:9", map[string]string{"zone": "fra", "gpu": ""}, 403, "gpu="},
		{"an admin", access.Caller{Name: "root", Scope: access.Admin, Via: access.ViaToken, Token: "t"}, "any", "192.0.2.1:9", zone, 200, ""},
		{"this machine", access.Local(), "any", "127.0.0.1:9", zone, 200, ""},
		{"this machine, IPv6", access.Local(), "any", "[::1]:9", zone, 200, ""},
		{"everybody, from elsewhere", access.Local(), "any", "192.0.2.1:9", zone, 403, "--insecure"},
		{"a bad name", access.Local(), "a/b", "127.0.0.1:9", zone, 400, "worker name"},
	} {
		if status, body := ask(c.who, c.worker, c.from, c.labels); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d and %q", c.name, status, body, c.status, c.says)
		}
	}
	if status, body := send(t, s.PostClaims, w7, map[string]string{"worker": "w7"}, `{"claim_id":"c","of_a_newer_worker":{"x":[1]}}`); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	for _, body := range []string{"", "{", `{"free":"x"}`, `{"free":1,"free":2}`} {
		if status, text := send(t, s.PostClaims, w7, map[string]string{"worker": "w7"}, body); status != 400 {
			t.Errorf("%q: %d %s", body, status, text)
		}
	}
	ctx := access.WithCaller(t.Context(), w7)
	in := &releaseClaimIn{Worker: "w7", Claim: "c1"}
	in.Body.Reason = "no such directory\n"
	if _, err := s.ReleaseClaim(ctx, in); err != nil || len(f.released) != 1 || !strings.HasPrefix(f.released[0], "w7 c1: no such directory") {
		t.Errorf("%v, %v", f.released, err)
	}
	in.Worker = "w8"
	if _, err := s.ReleaseClaim(ctx, in); httpio.AsProblem(err).Status != http.StatusForbidden || len(f.released) != 1 {
		t.Errorf("%v, %v", f.released, err)
	}
}

// claimed is an answer to a request for runs, and when it came.
type claimed struct {
	reply job.ClaimReply
	err   error
	after time.Duration
}

// ask asks for runs beside the test.
func ask(s *Routes, ctx context.Context, in job.ClaimRequest) <-chan claimed {
	begun, out := time.Now(), make(chan claimed, 1)
	go func() {
		reply, err := s.claim(ctx, "w7", in)
		out <- claimed{reply, err, time.Since(begun)}
	}()
	return out
}

func TestRequestsAreHeldOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newStore()
		s := newRoutes(t, f)
		stopping := make(chan struct{})
		s.Stopping = stopping
		go s.Run(t.Context())
		synctest.Wait()
		one := job.ClaimRequest{ClaimID: "a", Free: 1, WaitMS: 20_000}

		// It waits to the end without asking again.
		waits := ask(s, t.Context(), one)
		got := <-waits
		if got.err != nil || len(got.reply.Claims) != 0 || got.after != 20*time.Second || f.count() != 1 || time.Since(got.reply.Now) > time.Second {
			t.Errorf("%+v after %d questions", got, f.count())
		}

		// A wake-up brings the run at once; a second one finds nothing and waits on.
		waits = ask(s, t.Context(), one)
		time.AfterFunc(3*time.Second, func() { f.add(0) })
		time.AfterFunc(5*time.Second, func() { f.add(1) })
		got = <-waits
		if got.err != nil || len(got.reply.Claims) != 1 || got.after != 5*time.Second || f.count() != 4 {
			t.Errorf("%+v after %d questions", got, f.count())
		}
		// The same question again has the same answer.
		if got = <-ask(s, t.Context(), one); len(got.reply.Claims) != 1 || got.after != 0 {
			t.Errorf("%+v", got)
		}

		// A drain is reported at once, and so is its end.
		one.ClaimID = "b"
		waits = ask(s, t.Context(), one)
		synctest.Wait()
		in := &drainIn{Worker: "w7"}
		in.Body = &drainBody{Reason: "new disk"}
		if _, err := s.DrainWorker(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if got = <-waits; got.reply.Draining != "new disk" || got.after != 0 {
			t.Errorf("%+v", got)
		}
		waits = ask(s, t.Context(), one)
		synctest.Wait()
		if _, err := s.ResumeWorker(t.Context(), &workerPath{"w7"}); err != nil {
			t.Fatal(err)
		}
		if got = <-waits; got.reply.Draining != "" || got.after != 0 {
			t.Errorf("%+v", got)
		}

		// A worker that leaves, a client that left, and a server that stops are not held up.
		leaving := one
		leaving.Leaving = true
		if got = <-ask(s, t.Context(), leaving); got.err != nil || got.after != 0 {
			t.Errorf("%+v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		waits = ask(s, ctx, one)
		synctest.Wait()
		cancel()
		if got = <-waits; !errors.Is(got.err, context.Canceled) {
			t.Errorf("%+v", got)
		}
		waits = ask(s, t.Context(), one)
		synctest.Wait()
		close(stopping)
		if got = <-waits; got.err != nil || got.after != 0 || got.reply.ClaimID != "b" {
			t.Errorf("%+v", got)
		}
		if n := s.polls.Count(); n != 0 || s.polls.asking != 0 {
			t.Errorf("%d requests are still held open, %d look", n, s.polls.asking)
		}
	})
}

// A run that becomes ready while those who wait are being woken for another one, which is gone, is not missed.
func TestARunThatBecomesReadyDuringAWakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newStore()
		s := newRoutes(t, f)
		go s.Run(t.Context())
		waits := ask(s, t.Context(), job.ClaimRequest{ClaimID: "a", Free: 1, WaitMS: 20_000})
		synctest.Wait()
		f.mu.Lock()
		f.atSignal = func() {
			synctest.Wait() // the requests that were woken have looked
			f.add(1)
		}
		f.mu.Unlock()
		f.add(0)
		if got := <-waits; len(got.reply.Claims) != 1 || got.after != 0 {
			t.Errorf("%d runs after %s", len(got.reply.Claims), got.after)
		}
	})
}

// One run that becomes ready is given to one worker, and a hundred idle ones ask at most once each.
func TestOneRunWakesWorkersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newStore()
		s := newRoutes(t, f)
		go s.Run(t.Context())
		var all []<-chan claimed
		for i := range 100 {
			all = append(all, ask(s, t.Context(), job.ClaimRequest{ClaimID: string(rune('A' + i)), Free: 1, WaitMS: 20_000}))
			synctest.Wait()
		}
		f.add(1)
		for i, waits := range all {
			got := <-waits
			switch n := len(got.reply.Claims); {
			case n > 0 && (i >= mostAsking || got.after != 0):
				t.Errorf("request %d got a run after %s, and others wait longer", i, got.after)
			case n == 0 && got.after != 20*time.Second:
				t.Errorf("request %d: %+v", i, got)
			}
		}
		if f.ready != 0 {
			t.Error("nobody got the run")
		}
		if n := f.count(); n > 200 {
			t.Errorf("they asked %d times", n)
		}
	})
}

func TestDrain(t *testing.T) {
	f := newStore()
	s := newRoutes(t, f)
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	s.Now = func() time.Time { return now }
	in := &drainIn{Worker: "w7"}
	in.Body = &drainBody{Reason: "new disk", By: "somebody", DeadlineMS: 7_200_000}
	if _, err := s.DrainWorker(access.WithCaller(t.Context(), writer), in); err != nil {
		t.Fatal(err)
	}
	if d := f.drain; d.By != "ci" || d.Reason != "new disk" || !d.At.Equal(now) || d.StopBy == nil || !d.StopBy.Equal(now.Add(2*time.Hour)) {
		t.Errorf("%+v", d)
	}
	f.err = &query.NotFoundError{What: "worker"}
	if _, err := s.ResumeWorker(t.Context(), &workerPath{"none"}); httpio.AsProblem(err).Status != http.StatusNotFound {
		t.Error(err)
	}
}

func TestGroups(t *testing.T) {
	f := newStore()
	s := newRoutes(t, f)
	ctx := access.WithCaller(t.Context(), author)
	empty, err := s.ListGroups(ctx, nil)
	if err != nil || empty.Body.Groups == nil {
		t.Errorf("%+v, %v", empty, err)
	}
	in := &groupIn{Group: "db"}
	in.Body.Limit = 4
	set, err := s.PutGroup(ctx, in)
	if err != nil || set.Body != (job.Group{Name: "db", Limit: 4, Active: 3}) || f.by != "ada" {
		t.Errorf("%+v by %s, %v", set, f.by, err)
	}
	in.Group = "a/b"
	if _, err := s.PutGroup(ctx, in); httpio.AsProblem(err).Status != http.StatusBadRequest || len(f.groups) != 1 {
		t.Error(err)
	}
	f.err = &query.NotFoundError{What: "group"}
	if _, err := s.DeleteGroup(ctx, &groupPath{"none"}); httpio.AsProblem(err).Status != http.StatusNotFound {
		t.Error(err)
	}
}
