package claims

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/definitions"
	"stint.dev/stint/internal/store/health"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/internal/store/postgrestest"
	storequeue "stint.dev/stint/internal/store/queue"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// definitionText is the job of these tests; it is tried again three times.
const definitionText = "job: report\ncommand: [true]\nlimits: {memory: 1GiB}\nretries: {limit: 3, memory: 2x}\n"

var definitionHash string

// server is one server on a database.
type server struct {
	*Claims
	queue  *storequeue.Queue
	intake *intake.Intake
	health *health.Health
	outbox *outbox.Outbox
}

// bench is a database with servers on it, and their clock.
type bench struct {
	t       *testing.T
	engine  string
	place   string // the URL or the file of the database
	marked  bool   // it is a copy that stays one
	opened  []*db.DB
	servers []server
	now     atomic.Int64 // microseconds since noon
}

func (b *bench) clock() time.Time { return noon.Add(time.Duration(b.now.Load()) * time.Microsecond) }

func (b *bench) pass(d time.Duration) { b.now.Add(d.Microseconds()) }

// newBench makes a database of an engine with two servers on it; with SQLite they share the process.
func newBench(t *testing.T, engine string) *bench {
	t.Helper()
	place := filepath.Join(t.TempDir(), "stint.db")
	if engine == "PostgreSQL" {
		place = postgrestest.URL(t)
	}
	b := openBench(t, engine, place, false)
	b.define()
	return b
}

// openBench opens the database at a place.
func openBench(t *testing.T, engine, place string, marked bool) *bench {
	t.Helper()
	b := &bench{t: t, engine: engine, place: place, marked: marked}
	b.open(t)
	t.Cleanup(func() { b.close(t) })
	return b
}

func (b *bench) close(t testing.TB) {
	t.Helper()
	for _, d := range b.opened {
		must(t, d.Close())
	}
	b.opened, b.servers = nil, nil
}

func (b *bench) open(t *testing.T) {
	t.Helper()
	var open func() (*db.DB, error)
	if b.engine == "PostgreSQL" {
		open = func() (*db.DB, error) { return db.OpenPostgres(t.Context(), b.place, true, false) }
	} else {
		one, err := db.OpenSQLite(t.Context(), b.place, true, false)
		open = func() (*db.DB, error) { return one, err }
	}
	for range 2 {
		d, err := open()
		must(t, err)
		if !slices.Contains(b.opened, d) {
			b.opened = append(b.opened, d)
		}
		d.Log, d.Now = slog.New(slog.DiscardHandler), b.clock
		must(t, d.Identify(t.Context(), noon))
		if !b.marked {
			must(t, d.Activate(t.Context()))
		}
		items := troubled.New(d)
		c := New(d, false)
		must(t, c.OpenTokenKey(t.Context()))
		b.servers = append(b.servers, server{c, storequeue.New(d), intake.New(d, items, blocks.New(d, uuid.NewString(), nil, 0), c), health.New(d, items, c), outbox.New(d, items, runs.New(d, items), c)})
	}
}

// copied copies the database as it is now, and returns what opens the copy later. Its clock goes on from that of b.
func (b *bench) copied(t *testing.T) (restore func() *bench) {
	t.Helper()
	return b.copiedAs(t, false)
}

// copiedAs is copied; with marked the copy is one that was not activated.
func (b *bench) copiedAs(t *testing.T, marked bool) (restore func() *bench) {
	t.Helper()
	b.close(t)
	place := filepath.Join(t.TempDir(), "copy.db")
	if b.engine == "PostgreSQL" {
		place = postgrestest.Copy(t, b.place)
	} else {
		data, err := os.ReadFile(b.place)
		must(t, err)
		must(t, os.WriteFile(place, data, 0o600))
		if marked {
			must(t, db.MarkCopied(t.Context(), place, noon))
		}
	}
	b.open(t)
	return func() *bench {
		r := openBench(t, b.engine, place, marked)
		r.now.Store(b.now.Load())
		return r
	}
}

func onBoth(t *testing.T, test func(t *testing.T, b *bench)) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) { test(t, newBench(t, engine)) })
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) define() {
	d, mistakes := definition.Parse([]byte(definitionText), nil)
	if len(mistakes) > 0 {
		b.t.Fatal(mistakes)
	}
	canonical, err := d.Canonical()
	must(b.t, err)
	definitionHash = definition.Hash(canonical)
	set := definition.Set{New: []definition.New{{Job: "report", Version: definitionHash, YAML: definitionText, Canonical: canonical}}, By: "ada", At: noon}
	_, err = definitions.New(b.servers[0].DB).ApplyDefinitions(b.t.Context(), set)
	must(b.t, err)
}

// submit puts a run into the queue.
func (b *bench) submit(t testing.TB) string {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	_, created, err := b.servers[0].queue.Submit(t.Context(), id, job.SubmitRequest{Job: "report"}, "ada", false)
	if must(t, err); !created {
		t.Fatal("the run was there")
	}
	return id
}

// match makes the runs ready whose time has come.
func (b *bench) match(t testing.TB) {
	t.Helper()
	must(t, b.servers[0].queue.Match(t.Context()))
}

// empty ends the active runs and removes all runs from the queue. A run that stayed active would be called
// lost later, and come back to the queue beside the run of the next test.
func (b *bench) empty(t testing.TB) {
	t.Helper()
	b.pass(time.Hour)
	for b.judge(t, b.servers[0]) > 0 {
	}
	for _, table := range []string{"queue_ready", "queue_entries", "claims", "ended_claims", "workers"} {
		must(t, b.servers[0].Change(t.Context(), "empty "+table, `DELETE FROM `+table))
	}
}

// run reads a run.
func (b *bench) run(t testing.TB, id string) tables.RunRow {
	t.Helper()
	var row tables.RunRow
	must(t, b.servers[0].Write(t.Context(), db.Runs(id), func(tx *db.Tx) (err error) {
		row, err = tables.LockRun(t.Context(), tx, id)
		return err
	}))
	return row
}

// waits is how many entries of a run wait in the queue, and how many claims it has.
func (b *bench) waits(t testing.TB, id string) (waiting, claims int) {
	t.Helper()
	d := b.servers[0].DB
	must(t, d.Reader.QueryRowContext(t.Context(), `SELECT (SELECT COUNT(*) FROM queue_entries WHERE run_id = $1 AND gate <> 'taken'), (SELECT COUNT(*) FROM claims WHERE run_id = $1)`, id).Scan(&waiting, &claims))
	return waiting, claims
}

// poll is the request of a worker for runs.
func (b *bench) poll(worker string, change func(*job.ClaimRequest)) job.ClaimRequest {
	r := job.ClaimRequest{
		ClaimID: uuid.NewString(), WorkerID: "id of " + worker, Host: "host of " + worker, Version: "1", Specs: []int{job.SpecVersion}, Slots: 4, Free: 4, WaitMS: 20_000,
	}
	if change != nil {
		change(&r)
	}
	return r
}

// claimOne has a worker take the only run that waits.
func (b *bench) claimOne(t testing.TB, worker string) job.Claim {
	t.Helper()
	b.match(t)
	reply, err := b.servers[0].Claim(t.Context(), worker, b.poll(worker, nil))
	must(t, err)
	if len(reply.Claims) != 1 {
		t.Fatalf("worker %s got %+v", worker, reply)
	}
	return reply.Claims[0]
}

// process is an agent that a worker has started for a claim.
type process struct {
	claim       job.Claim
	incarnation string
	host        string
	journal     *bytes.Buffer
	w           *journal.Writer
	sent        int64
	first       []byte

	answers        []answer
	started, ended bool
}

// answer is a reply to the question for the permit, with when the question was asked.
type answer struct {
	job.Permit
	asked time.Time
}

func newProcess(t testing.TB, c job.Claim, host string) *process {
	t.Helper()
	id := uuid.New()
	p := &process{claim: c, incarnation: fmt.Sprintf("%x", id[:]), host: host, journal: &bytes.Buffer{}}
	w, err := journal.NewWriter(p.journal)
	must(t, err)
	p.w = w
	must(t, w.AppendJSON(journal.TypeAttempt, noon, journal.Attempt{
		Run: c.Run, Attempt: c.Attempt, Job: c.Job, Args: []string{"true"}, Host: host, Incarnation: p.incarnation,
	}))
	p.first = bytes.Clone(p.journal.Bytes())
	return p
}

// ask asks a server for the permit.
func (b *bench) ask(t testing.TB, s server, p *process) job.Permit {
	t.Helper()
	asked := b.clock()
	a := index.Append{
		Run: p.claim.Run, Attempt: p.claim.Attempt, Data: p.first, At: asked,
		Permit: &index.PermitRequest{Claim: p.claim.Token, Incarnation: p.incarnation},
	}
	got, _, err := s.intake.Ingest(t.Context(), []index.Append{a}, nil)
	must(t, err)
	if got[0].Err != nil || got[0].Permit == nil {
		t.Fatalf("asked for a permit: %+v", got[0])
	}
	if granted := got[0].Permit.Answer == job.PermitGranted; granted != (got[0].Refusal == "") || !granted && !slices.Contains(queue.Refusals(), queue.Refusal(got[0].Refusal)) {
		t.Errorf("the permit is %s, refused because of %q", got[0].Permit.Answer, got[0].Refusal)
	}
	p.answers = append(p.answers, answer{*got[0].Permit, asked})
	return *got[0].Permit
}

// begin writes the beginning of the command, end the end of the attempt.
func (p *process) begin(t testing.TB, at time.Time) {
	must(t, p.w.AppendJSON(journal.TypeStepStarted, at, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "true", PID: 7}))
}

func (p *process) end(t testing.TB, at time.Time, o job.Outcome) {
	must(t, p.w.AppendJSON(journal.TypeStepEnded, at, journal.StepEnded{Outcome: o}))
	must(t, p.w.Finish(at, journal.Final{Outcome: o}))
	p.ended = true
}

// send sends what the process has written to a server.
func (b *bench) send(t testing.TB, s server, p *process) index.Appended {
	t.Helper()
	at := max(p.sent, int64(len(p.first)))
	a := index.Append{Run: p.claim.Run, Attempt: p.claim.Attempt, Offset: at, Data: bytes.Clone(p.journal.Bytes()[at:]), At: b.clock()}
	got, _, err := s.intake.Ingest(t.Context(), []index.Append{a}, nil)
	must(t, err)
	if got[0].Err == nil {
		p.sent = got[0].Size
	}
	return got[0]
}

// beat sends a heartbeat.
func (b *bench) beat(t testing.TB, s server, run string, attempt int) lease.BeatResult {
	t.Helper()
	_, got, err := s.intake.Ingest(t.Context(), nil, []lease.Beat{{Run: run, Attempt: attempt, At: b.clock(), Lease: 25 * time.Second, Heartbeat: job.Heartbeat{OutputAgeMS: -1}}})
	must(t, err)
	must(t, got[0].Err)
	return got[0]
}

// judge calls the runs lost whose leases have ended.
func (b *bench) judge(t testing.TB, s server) (lost int) {
	t.Helper()
	leases, err := s.health.Due(t.Context(), b.clock(), 100)
	must(t, err)
	var verdicts []lease.Verdict
	for _, l := range leases {
		if l.ExpiresAt.Before(b.clock()) {
			verdicts = append(verdicts, lease.Verdict{Run: l.Run, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: b.clock(), Lost: true, Evidence: "No heartbeat."})
		}
	}
	judged, err := s.health.Judge(t.Context(), verdicts)
	must(t, err)
	return len(judged)
}
