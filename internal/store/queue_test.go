package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/assign"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// submit adds a run to the queue, which must be taken, and returns its id.
func submit(t *testing.T, s *store.Store, r job.SubmitRequest) string {
	t.Helper()
	id := runID()
	run, created, err := s.Submit(t.Context(), id, r, "ada", true)
	if err != nil || !created || run.ID != id {
		t.Fatalf("submit %s: %v, %v, %v", r.Job, run.ID, created, err)
	}
	return id
}

func submitCommand(t *testing.T, s *store.Store, name string, change func(*job.SubmitRequest)) string {
	t.Helper()
	r := job.SubmitRequest{Job: name, Command: &job.Spec{Args: []string{"true"}}}
	if change != nil {
		change(&r)
	}
	return submit(t, s, r)
}

// anyWorker takes everything that requires no label.
func anyWorker(n int) assign.Want {
	return assign.Want{Poll: "poll", N: n, Worker: rules.Worker{Host: "a", Commands: true, Specs: []int{1}}}
}

// within runs a function in a transaction.
func within(t *testing.T, s *store.Store, do func(ctx context.Context, tx *db.Tx) error) {
	t.Helper()
	must(t, s.Write(t.Context(), db.None, func(tx *db.Tx) error { return do(t.Context(), tx) }))
}

// takeOne takes runs from the queue for one worker.
func takeOne(ctx context.Context, tx *db.Tx, w assign.Want) ([]queue.Entry, error) {
	all, err := assign.Runs(ctx, tx, w)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// take takes runs from the queue.
func take(t *testing.T, s *store.Store, w assign.Want) (entries []queue.Entry) {
	t.Helper()
	within(t, s, func(ctx context.Context, tx *db.Tx) (err error) {
		entries, err = takeOne(ctx, tx, w)
		return err
	})
	return entries
}

// namesOf are the jobs of entries, one after the other.
func namesOf(entries []queue.Entry) string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Job)
	}
	return strings.Join(names, " ")
}

// with calls a function of the queue about one run in a transaction.
func with(t *testing.T, s *store.Store, do func(context.Context, *db.Tx, string) error, run string) {
	t.Helper()
	within(t, s, func(ctx context.Context, tx *db.Tx) error { return do(ctx, tx, run) })
}

const reportText = `job: report
command: [python, report.py]
env: {REGION: eu}
parameters:
  - {name: DAY, type: date, default: yesterday}
  - {name: SCALE, type: integer}
limits: {timeout: 2h, memory: 1GiB}
requires: {zone: fra}
priority: high
start_within: 6h
`

func definitionSet(t *testing.T, text string) definition.Set {
	t.Helper()
	return definition.Set{New: []definition.New{defined(t, text)}, By: "ada"}
}

func submitRuns(t *testing.T, s *store.Store) {
	s.SetClock(func() time.Time { return noon })
	report := defined(t, reportText)
	applied(t, s, definition.Set{New: []definition.New{report}, By: "ada"})
	id := runID()
	request := job.SubmitRequest{Job: "report", Parameters: map[string]string{"SCALE": "2"}, Labels: map[string]string{"team": "ml"}, DelayMS: 60_000}
	run, created, err := s.Submit(t.Context(), id, request, "ada", false)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	later, by := noon.Add(time.Minute), noon.Add(6*time.Hour+time.Minute)
	want := &job.Submission{
		By: "ada", At: noon, Definition: report.Version, Parameters: map[string]string{"DAY": "2026-02-28", "SCALE": "2"},
		Given: map[string]string{"SCALE": "2"}, Priority: job.PriorityHigh, Requires: map[string]string{"zone": "fra"}, NotBefore: &later, StartBy: &by,
	}
	if diff := cmp.Diff(want, run.Submitted); diff != "" {
		t.Error("(-want +got)", diff)
	}
	if run.State != job.Queued || run.Attempt != 0 || run.Number != 1 || run.Command != "python report.py" || run.Labels["team"] != "ml" || !run.CreatedAt.Equal(noon) {
		t.Errorf("%+v", run)
	}
	if stored := mustRun(t, s, id); !cmp.Equal(stored, run) {
		t.Error("stored:", cmp.Diff(run, stored))
	}
	page, err := s.Runs(t.Context(), query.Runs{Limit: 10, Labels: map[string]string{"team": "ml"}})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("found by its label: %d, %v", len(page.Runs), err)
	}
	again, created, err := s.Submit(t.Context(), id, request, "bob", false)
	if err != nil || created || !cmp.Equal(again, run) {
		t.Errorf("the same request again: %v, %v %s", created, err, cmp.Diff(run, again))
	}
	request.DelayMS = 1
	var conflict *rules.ConflictError
	if _, _, err := s.Submit(t.Context(), id, request, "ada", false); !errors.As(err, &conflict) {
		t.Errorf("another request with the same id: %v", err)
	}

	second := defined(t, strings.Replace(reportText, "report.py", "second.py", 1))
	applied(t, s, definition.Set{New: []definition.New{second}, By: "ada"})
	newest := mustRun(t, s, submit(t, s, job.SubmitRequest{Job: "report", Parameters: map[string]string{"SCALE": "1"}}))
	pinned := mustRun(t, s, submit(t, s, job.SubmitRequest{Job: "report", Version: report.Version[:12], Parameters: map[string]string{"SCALE": "1"}}))
	if newest.Command != "python second.py" || newest.Number != 2 || pinned.Command != "python report.py" || pinned.Number != 3 {
		t.Errorf("%s#%d, %s#%d", newest.Command, newest.Number, pinned.Command, pinned.Number)
	}
}

// twoVersions applies two versions of the job twice whose hashes begin with the same digits.
func twoVersions(t *testing.T, s *store.Store) (digits string) {
	t.Helper()
	seen := map[string]definition.New{}
	for i := 0; ; i++ {
		d := defined(t, fmt.Sprintf("job: twice\nscript: exit %d\n", i))
		if other, ok := seen[d.Version[:4]]; ok {
			applied(t, s, definition.Set{New: []definition.New{other}, By: "ada"})
			applied(t, s, definition.Set{New: []definition.New{d}, By: "ada"})
			return d.Version[:4]
		}
		seen[d.Version[:4]] = d
	}
}

func submissionsThatAreRefused(t *testing.T, s *store.Store) {
	s.SetClock(func() time.Time { return noon })
	applied(t, s, definition.Set{New: []definition.New{defined(t, reportText)}, By: "ada"})
	byHand, data := whole(t, journal.Attempt{}, 3, "x\n")
	one(t, s, byHand, 1, 0, data) // a run that failed
	scale := map[string]string{"SCALE": "2"}
	command := &job.Spec{Args: []string{"true"}}
	digits := twoVersions(t, s)
	isA := func(target any) func(error) bool { return func(err error) bool { return errors.As(err, target) } }
	for name, c := range map[string]struct {
		id      string
		request job.SubmitRequest
		is      func(error) bool
	}{
		"no definition":         {"", job.SubmitRequest{Job: "other"}, isA(new(*query.NotFoundError))},
		"no version":            {"", job.SubmitRequest{Job: "report", Version: "abcdef"}, isA(new(*query.NotFoundError))},
		"two versions":          {"", job.SubmitRequest{Job: "twice", Version: digits}, isA(new(*job.InvalidError))},
		"a missing parameter":   {"", job.SubmitRequest{Job: "report"}, isA(new(*definition.ValuesError))},
		"an unknown parameter":  {"", job.SubmitRequest{Job: "report", Parameters: map[string]string{"SCALE": "2", "X": "1"}}, isA(new(*definition.ValuesError))},
		"a contradiction":       {"", job.SubmitRequest{Job: "report", Parameters: scale, Requires: map[string]string{"zone": "ber"}}, isA(new(*job.InvalidError))},
		"a job's name":          {"", job.SubmitRequest{Job: "report", Command: command}, isA(new(*job.InvalidError))},
		"a run of an agent":     {byHand, job.SubmitRequest{Job: "report", Parameters: scale}, isA(new(*rules.ConflictError))},
		"no id":                 {"1", job.SubmitRequest{Job: "report", Parameters: scale}, isA(new(*job.InvalidError))},
		"after an unknown run":  {"", job.SubmitRequest{Job: "report", Parameters: scale, After: []job.Dependency{{Run: runID(), When: "ended"}}}, isA(new(*query.NotFoundError))},
		"after a failure":       {"", job.SubmitRequest{Job: "report", Parameters: scale, After: []job.Dependency{{Run: byHand, When: "succeeded"}}}, isA(new(*job.InvalidError))},
		"something in the path": {"", job.SubmitRequest{Job: "a/b", Command: command}, isA(new(*job.InvalidError))},
	} {
		id := c.id
		if id == "" {
			id = runID()
		}
		if _, _, err := s.Submit(t.Context(), id, c.request, "ada", true); !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Run(t.Context(), id); err == nil && c.id == "" {
			t.Errorf("%s: the run is there", name)
		}
	}
	var author *rules.AuthorError
	if _, _, err := s.Submit(t.Context(), runID(), job.SubmitRequest{Job: "x", Command: command}, "eve", false); !errors.As(err, &author) {
		t.Errorf("a command without the scope: %v", err)
	}
	submitCommand(t, s, "x", nil)
	skip := job.SubmitRequest{Job: "x", Command: command, Overlap: "skip"}
	var conflict *rules.ConflictError
	if _, _, err := s.Submit(t.Context(), runID(), skip, "ada", true); !errors.As(err, &conflict) || !strings.Contains(err.Error(), "x#1 is queued") {
		t.Errorf("beside other work: %v", err)
	}
	if rows, err := s.CountRows(t.Context(), "submissions"); err != nil || rows != 1 {
		t.Errorf("%d submissions, %v", rows, err)
	}
}

// Many who submit with one id make one run.
func submitAtOnce(t *testing.T, s *store.Store) {
	id := runID()
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wg.Go(func() {
			_, created, err := s.Submit(t.Context(), id, job.SubmitRequest{Job: "x", Command: &job.Spec{Args: []string{"true"}}}, "ada", true)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if n := len(take(t, s, anyWorker(10))); made != 1 || n != 1 {
		t.Errorf("%d were made, %d are in the queue", made, n)
	}
}

func takeRuns(t *testing.T, s *store.Store) {
	for range 3 {
		submitCommand(t, s, "many", nil)
	}
	submitCommand(t, s, "few", func(r *job.SubmitRequest) { r.Command.MemoryBytes = 7 })
	submitCommand(t, s, "urgent", func(r *job.SubmitRequest) { r.Priority = job.PriorityHigh })
	submitCommand(t, s, "gpu", func(r *job.SubmitRequest) { r.Requires = map[string]string{"gpu": "true"} })
	if got := take(t, s, assign.Want{Poll: "p", N: 10, Worker: rules.Worker{Specs: []int{1}}}); len(got) != 0 {
		t.Errorf("a worker without commands has %s", namesOf(got))
	}
	if got := take(t, s, assign.Want{Poll: "p", N: 10, Worker: rules.Worker{Commands: true, Specs: []int{2}}}); len(got) != 0 {
		t.Errorf("a worker of another version has %s", namesOf(got))
	}
	if got := take(t, s, anyWorker(0)); len(got) != 0 {
		t.Errorf("no slot takes %s", namesOf(got))
	}
	allow := anyWorker(10)
	allow.Worker.Allow = []string{"gpu", "few"}
	got := take(t, s, allow)
	wantText(t, namesOf(got), "few")
	if got[0].Spec.MemoryBytes != 7 || got[0].Attempt != 1 || !slices.Equal(got[0].Spec.Args, []string{"true"}) {
		t.Errorf("%+v", got[0])
	}
	withheld := anyWorker(10)
	withheld.Withheld = []string{"many"}
	wantText(t, namesOf(take(t, s, withheld)), "urgent")
	gpu := anyWorker(10)
	gpu.Worker.Labels = map[string]string{"gpu": "true", "zone": "fra"}
	gpu.Worker.Allow = []string{"gpu"}
	wantText(t, namesOf(take(t, s, gpu)), "gpu")
	wantText(t, namesOf(take(t, s, anyWorker(2))), "many many")
	if left, err := s.AnyReady(t.Context()); err != nil || !left {
		t.Errorf("a run is ready: %t, %v", left, err)
	}
	wantText(t, namesOf(take(t, s, anyWorker(2))), "many")
	if left, err := s.AnyReady(t.Context()); err != nil || left {
		t.Errorf("all were taken, and a run is ready: %t, %v", left, err)
	}
	wantText(t, namesOf(take(t, s, anyWorker(2))), "")
}

// A job with many runs does not delay one with few.
func lanesOfTheQueue(t *testing.T, s *store.Store) {
	for range 20 {
		submitCommand(t, s, "m", nil)
	}
	take(t, s, anyWorker(5))
	for range 3 {
		submitCommand(t, s, "f", nil)
	}
	order := namesOf(take(t, s, anyWorker(7)))
	if order != "f m f m f m m" && order != "m f m f m f m" {
		t.Errorf("the order is %s", order)
	}
}

func returnedClaims(t *testing.T, s *store.Store) {
	first := submitCommand(t, s, "a", nil)
	second := submitCommand(t, s, "a", nil)
	third := submitCommand(t, s, "a", nil)
	taken := take(t, s, anyWorker(2))
	if len(taken) != 2 || taken[0].Run != first || taken[1].Run != second {
		t.Fatalf("%+v", taken)
	}
	with(t, s, queue.Return, first)
	with(t, s, queue.Return, third)   // no worker has it
	with(t, s, queue.Return, runID()) // not in the queue
	with(t, s, queue.Leave, second)   // it got a permit
	with(t, s, queue.Return, second)
	taken = take(t, s, anyWorker(5))
	if len(taken) != 2 || taken[0].Run != first || taken[1].Run != third {
		t.Errorf("%+v", taken)
	}
	// Another attempt.
	later := noon.Add(time.Hour)
	now := noon
	s.SetClock(func() time.Time { return now })
	within(t, s, func(ctx context.Context, tx *db.Tx) error {
		return queue.Enqueue(ctx, tx, queue.Entry{Run: second, Attempt: 2, NotBefore: &later, Avoid: []string{"a", "b"}, MemoryBytes: 5})
	})
	must(t, s.Match(t.Context()))
	if got := take(t, s, anyWorker(5)); len(got) != 0 {
		t.Errorf("before its time: %+v", got)
	}
	now = later
	must(t, s.Match(t.Context()))
	elsewhere := anyWorker(5)
	elsewhere.Others = []rules.Worker{{Host: "c", Commands: true, Specs: []int{1}}}
	if got := take(t, s, elsewhere); len(got) != 0 {
		t.Errorf("on a host where it failed: %+v", got)
	}
	got := take(t, s, anyWorker(5))
	if len(got) != 1 || got[0].Attempt != 2 || got[0].Spec.MemoryBytes != 5 || !slices.Equal(got[0].Avoid, []string{"a", "b"}) {
		t.Errorf("without another host: %+v", got)
	}
	with(t, s, queue.Return, second)
	elsewhere.Worker.Host = "c"
	if got := take(t, s, elsewhere); len(got) != 1 {
		t.Errorf("on another host: %+v", got)
	}
	var none *query.NotFoundError
	err := s.Write(t.Context(), db.None, func(tx *db.Tx) error { return queue.Enqueue(t.Context(), tx, queue.Entry{Run: runID(), Attempt: 2}) })
	if !errors.As(err, &none) {
		t.Errorf("an attempt of a run that was not submitted: %v", err)
	}
}

func setGroup(t *testing.T, s *store.Store, limit int) {
	t.Helper()
	if g, err := s.SetGroup(t.Context(), "db", limit, "ada"); err != nil || g.Limit != limit {
		t.Fatal(g, err)
	}
}

func groupsOfTheQueue(t *testing.T, s *store.Store) {
	grouped := func(r *job.SubmitRequest) { r.Group = "db" }
	var ids []string
	for i := range 4 {
		ids = append(ids, submitCommand(t, s, fmt.Sprint("job", i), grouped))
	}
	match := func() { t.Helper(); must(t, s.Match(t.Context())) }
	setGroup(t, s, 2)
	match()
	got := take(t, s, anyWorker(10))
	wantText(t, namesOf(got), "job0 job1")
	match()
	wantText(t, namesOf(take(t, s, anyWorker(10))), "")

	with(t, s, queue.Leave, ids[0]) // it got a permit, and has its place until it ends
	match()
	wantText(t, namesOf(take(t, s, anyWorker(10))), "")
	with(t, s, groups.FreePlace, ids[0])
	with(t, s, groups.FreePlace, ids[0])
	match()
	wantText(t, namesOf(take(t, s, anyWorker(10))), "job2")
	with(t, s, queue.Return, ids[1])
	match()
	wantText(t, namesOf(take(t, s, anyWorker(10))), "job1") // it has its old rank

	setGroup(t, s, 1)
	with(t, s, groups.FreePlace, ids[1])
	match()
	wantText(t, namesOf(take(t, s, anyWorker(10))), "") // as many are active as may be
	must(t, s.DeleteGroup(t.Context(), "db"))
	match()
	wantText(t, namesOf(take(t, s, anyWorker(10))), "job3")
	var none *query.NotFoundError
	if err := s.DeleteGroup(t.Context(), "db"); !errors.As(err, &none) {
		t.Errorf("deleted twice: %v", err)
	}
	var bad *job.InvalidError
	for name, limit := range map[string]int{"a/b": 1, "": 1, "x": -1, "y": job.MaxGroupLimit + 1} {
		if _, err := s.SetGroup(t.Context(), name, limit, ""); !errors.As(err, &bad) {
			t.Errorf("group %q with limit %d: %v", name, limit, err)
		}
	}
}

// What was made ready for a place leaves the ready runs when another selector's run, or a lower limit, takes
// the place.
func placesThatAreGone(t *testing.T, s *store.Store) {
	setGroup(t, s, 1)
	first := submitCommand(t, s, "a", func(r *job.SubmitRequest) { r.Group = "db" })
	submitCommand(t, s, "b", func(r *job.SubmitRequest) { r.Group, r.Requires = "db", map[string]string{"zone": "fra"} })
	must(t, s.Match(t.Context()))
	if n, err := s.CountRows(t.Context(), "queue_ready"); err != nil || n != 2 {
		t.Fatalf("%d runs are ready, %v: one of each selector", n, err)
	}
	wantText(t, namesOf(take(t, s, anyWorker(10))), "a")
	fra := anyWorker(10)
	fra.Worker.Labels = map[string]string{"zone": "fra"}
	wantText(t, namesOf(take(t, s, fra)), "")
	if n, err := s.CountRows(t.Context(), "queue_ready"); err != nil || n != 0 {
		t.Errorf("%d runs are ready, %v", n, err)
	}
	free := submitCommand(t, s, "c", nil) // behind what is blocked
	if got := take(t, s, fra); len(got) != 1 || got[0].Run != free {
		t.Errorf("%+v", got)
	}
	with(t, s, queue.Leave, first)
	with(t, s, groups.FreePlace, first)
	must(t, s.Match(t.Context()))
	wantText(t, namesOf(take(t, s, fra)), "b")
}

func pausedDefinitions(t *testing.T, s *store.Store) {
	applied(t, s, definition.Set{New: []definition.New{defined(t, "job: a\nscript: echo\n")}, By: "ada"})
	worker := assign.Want{Poll: "p", N: 10, Worker: rules.Worker{Specs: []int{1}}}
	submit(t, s, job.SubmitRequest{Job: "a"})
	if _, err := s.PauseJob(t.Context(), "a", &api.Pause{At: noon, By: "bob"}); err != nil {
		t.Fatal(err)
	}
	wantText(t, namesOf(take(t, s, worker)), "")
	submit(t, s, job.SubmitRequest{Job: "a"})
	must(t, s.Match(t.Context()))
	wantText(t, namesOf(take(t, s, worker)), "")
	if _, err := s.PauseJob(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	must(t, s.Match(t.Context()))
	wantText(t, namesOf(take(t, s, worker)), "a a")
}

// The queue gives no run to two workers, and no group more than its limit, if workers ask at once.
func takeAtOnce(t *testing.T, s *store.Store) {
	setGroup(t, s, 3)
	for i := range 30 {
		submitCommand(t, s, fmt.Sprint("job", i%4), func(r *job.SubmitRequest) { r.Group = map[int]string{0: "db"}[i%3] })
	}
	must(t, s.Match(t.Context()))
	var wg sync.WaitGroup
	var mu sync.Mutex
	times, active := map[string]int{}, 0
	for worker := range 8 {
		wg.Go(func() {
			for range 5 {
				w := anyWorker(2)
				w.Poll = fmt.Sprint(worker)
				var entries []queue.Entry
				err := s.Write(t.Context(), db.None, func(tx *db.Tx) (err error) {
					entries, err = takeOne(t.Context(), tx, w)
					return err
				})
				mu.Lock()
				if err != nil {
					t.Error(err)
				}
				for _, e := range entries {
					times[e.Run]++
					if e.Group == "db" {
						active++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if active != 3 || len(times) != 23 || slices.Max(slices.Collect(maps.Values(times))) != 1 {
		t.Errorf("%d runs were taken, %d of the group: %v", len(times), active, times)
	}
}

// The ceilings of the queue hold.
func fullQueue(t *testing.T, s *store.Store) {
	first := submitCommand(t, s, "a", nil)
	must(t, s.FillQueue(t.Context(), first, 9_999))
	var full *rules.FullError
	request := job.SubmitRequest{Job: "a", Command: &job.Spec{Args: []string{"true"}}}
	s.SetClock(func() time.Time { return noon }) // counts anew
	if _, _, err := s.Submit(t.Context(), runID(), request, "ada", true); !errors.As(err, &full) || full.Job != "a" {
		t.Errorf("%v", err)
	}
	submitCommand(t, s, "b", nil)
}
