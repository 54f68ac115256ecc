package claims

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/definitions"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// groupJobs are jobs of the group db, with how long the place of a lost attempt is held; less than 0 for the default.
var groupJobs = map[string]time.Duration{"default": -1, "short": 40 * time.Second, "none": 0, "once": -1}

// defineGroup defines the jobs of the group db.
func (b *bench) defineGroup() {
	set := definition.Set{By: "ada", At: noon}
	for name, hold := range groupJobs {
		text := "job: " + name + "\ncommand: [true]\ngroup: db\n"
		switch {
		case name == "once":
		case hold < 0:
			text += "retries: {limit: 3}\n"
		default:
			text += fmt.Sprintf("retries: {limit: 3, hold: %s}\n", hold)
		}
		d, mistakes := definition.Parse([]byte(text), nil)
		if len(mistakes) > 0 {
			b.t.Fatal(mistakes)
		}
		canonical, err := d.Canonical()
		must(b.t, err)
		set.New = append(set.New, definition.New{Job: name, Version: definition.Hash(canonical), YAML: text, Canonical: canonical})
	}
	_, err := definitions.New(b.servers[0].DB).ApplyDefinitions(b.t.Context(), set)
	must(b.t, err)
}

func (b *bench) setLimit(limit int) {
	_, err := groups.New(b.servers[0].DB).SetGroup(b.t.Context(), "db", limit, "ada")
	must(b.t, err)
}

func (b *bench) submitTo(name string) string {
	b.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	_, _, err := b.servers[0].queue.Submit(b.t.Context(), id, job.SubmitRequest{Job: name}, "ada", false)
	must(b.t, err)
	return id
}

// claimAll has a worker take what is ready.
func (b *bench) claimAll(worker string) []job.Claim {
	b.t.Helper()
	b.match(b.t)
	reply, err := b.servers[0].Claim(b.t.Context(), worker, b.poll(worker, nil))
	must(b.t, err)
	return reply.Claims
}

// start has a worker take the only run that is ready, and its process start.
func (b *bench) start(worker string) *process {
	b.t.Helper()
	claims := b.claimAll(worker)
	if len(claims) != 1 {
		b.t.Fatalf("worker %s got %+v", worker, claims)
	}
	p := newProcess(b.t, claims[0], "host of "+worker)
	if got := b.ask(b.t, b.servers[0], p); got.Answer != job.PermitGranted {
		b.t.Fatalf("%+v", got)
	}
	p.begin(b.t, b.clock())
	b.send(b.t, b.servers[0], p)
	return p
}

// places are the places of the group, and whether they are held for a lost attempt.
func (b *bench) places() map[string]bool {
	b.t.Helper()
	rows, err := b.servers[0].Reader.QueryContext(b.t.Context(), `SELECT run_id, until IS NOT NULL FROM queue_places WHERE group_name = 'db'`)
	must(b.t, err)
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	places := map[string]bool{}
	for rows.Next() {
		var run string
		var held bool
		must(b.t, rows.Scan(&run, &held))
		places[run] = held
	}
	must(b.t, rows.Err())
	return places
}

// active is what the group shows.
func (b *bench) active() string {
	b.t.Helper()
	all, err := groups.New(b.servers[0].DB).Groups(b.t.Context())
	must(b.t, err)
	return fmt.Sprintf("%d of %d", all[0].Active, all[0].Limit)
}

func (b *bench) loseOne() {
	b.t.Helper()
	b.pass(time.Minute)
	if n := b.judge(b.t, b.servers[0]); n != 1 {
		b.t.Fatalf("%d attempts were lost", n)
	}
}

var exitZero = job.Classify(job.Ending{Kind: job.CommandStep})

// No run starts beside one that is cut off, while that may live; and one that returns has its place again.
func TestPlaceOfALostAttempt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.defineGroup()
		b.setLimit(1)
		first := b.submitTo("default")
		p := b.start("w1")
		second := b.submitTo("default")
		b.loseOne()
		if row := b.run(t, first); row.Run.State != job.Retrying {
			t.Fatalf("the run is %s", row.Run.State)
		}
		b.pass(14 * time.Minute)
		if got := b.claimAll("w2"); len(got) != 0 || b.active() != "1 of 1" {
			t.Fatalf("%+v, %s: beside an attempt that may live", got, b.active())
		}
		waits, err := b.servers[0].queue.ExplainQueued(t.Context(), second)
		must(t, err)
		want := fmt.Sprintf("The group db has 1 of 1 places taken, by default#1 (lost, may be alive, keeps its place until %s).", job.TimeText(noon.Add(16*time.Minute)))
		if len(waits.Gates) == 0 || waits.Gates[0].Text != want || waits.Gates[0].OpensAt == nil || !waits.Gates[0].OpensAt.Equal(noon.Add(16*time.Minute)) {
			t.Errorf("%+v, want %s", waits.Gates, want)
		}
		b.beat(t, b.servers[0], first, 1)
		b.pass(10 * time.Second)
		if got := b.claimAll("w2"); len(got) != 0 || b.active() != "1 of 1" {
			t.Fatalf("%+v, %s: beside an attempt that returned", got, b.active())
		}

		b.loseOne()
		b.pass(15 * time.Minute)
		other := b.start("w2") // the hold is over
		if other.claim.Run != second || b.active() != "1 of 1" {
			t.Fatalf("%s started, %s", other.claim.Run, b.active())
		}
		b.beat(t, b.servers[0], first, 1)
		if b.active() != "2 of 1" {
			t.Errorf("%s are active, and two are", b.active())
		}
		p.end(t, b.clock(), exitZero)
		b.send(t, b.servers[0], p)
		if got := b.places(); !maps.Equal(got, map[string]bool{second: false}) {
			t.Errorf("%v after the end of the one", got)
		}
		other.end(t, b.clock(), exitZero)
		b.send(t, b.servers[0], other)
		if got := b.places(); len(got) != 0 {
			t.Errorf("%v after the end of both", got)
		}
	})
}

// A cancel frees the place of an attempt that may live no earlier than its loss would, and the word of its end at once.
func TestPlaceOfACanceledAttempt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.defineGroup()
		b.setLimit(1)
		for name, end := range map[string]func(run string){
			"lost, canceled": func(run string) {
				b.loseOne()
				_, _, err := b.servers[0].outbox.RequestCancel(t.Context(), run, job.Cancel{By: "ada", At: b.clock()})
				must(t, err)
			},
			"canceled, its agent is gone": func(run string) {
				_, _, err := b.servers[0].outbox.RequestCancel(t.Context(), run, job.Cancel{By: "ada", At: b.clock()})
				must(t, err)
				b.pass(time.Minute)
				if _, err := b.servers[0].outbox.FollowCancel(t.Context(), run, 1, job.Cancel{By: "ada", At: b.clock()}, true); err != nil {
					t.Fatal(err)
				}
			},
		} {
			run := b.submitTo("default")
			p := b.start("w1")
			end(run)
			if row := b.run(t, run); row.Run.State != job.Canceled {
				t.Fatalf("%s: the run is %s", name, row.Run.State)
			}
			b.match(t)
			if got := b.places(); !maps.Equal(got, map[string]bool{run: true}) {
				t.Errorf("%s: %v", name, got)
			}
			p.end(t, b.clock(), job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 1}))
			b.send(t, b.servers[0], p)
			if got := b.places(); len(got) != 0 {
				t.Errorf("%s: %v after the end", name, got)
			}
		}
	})
}

// placesModel is several runs of a group. What it knows is naive: which runs have a claim or an attempt that reports,
// and until when a lost attempt may live.
type placesModel struct {
	*bench
	runs      []string
	limit     int
	held      map[string]time.Time // of lost attempts
	had       map[string]bool      // at the last check
	processes []*process
	claims    []job.Claim
}

func pick[T any](t *rapid.T, all []T, what string) T {
	if len(all) == 0 {
		t.Skip("no " + what)
	}
	return rapid.SampledFrom(all).Draw(t, what)
}

// wanted returns the places that runs must have, by the naive rule, and whether each is held for a lost attempt.
func (m *placesModel) wanted() map[string]bool {
	wanted := map[string]bool{}
	for _, run := range m.runs {
		row := m.bench.run(m.t, run)
		_, claims := m.waits(m.t, run)
		until, held := m.held[run]
		switch state := row.Run.State; {
		case claims > 0 && (state == job.Queued || state == job.Retrying) || state.Active():
			wanted[run] = false
			delete(m.held, run)
		case !held || row.Run.EndedAt != nil:
			delete(m.held, run)
		case m.clock().Before(until) || m.had[run] && m.clock().Before(row.ExpiresAt):
			wanted[run] = true
		default:
			delete(m.held, run)
		}
	}
	return wanted
}

func (m *placesModel) check(t *rapid.T) {
	m.match(m.t)
	wanted := m.wanted()
	if got := m.places(); !maps.Equal(got, wanted) {
		for _, run := range m.runs {
			row := m.bench.run(m.t, run)
			t.Logf("%s: %s, ended %v", run, row.Run.State, row.Run.EndedAt)
		}
		t.Fatalf("at %s the places are %v, and must be %v", m.clock(), got, wanted)
	}
	m.had = wanted
	wrong, err := groups.New(m.servers[0].DB).CheckQueue(m.t.Context())
	if must(m.t, err); len(wrong) > 0 {
		t.Fatalf("%+v", wrong)
	}
}

// lose notes until when attempts may live that were lost in this step.
func (m *placesModel) lose(before map[string]tables.RunRow) {
	for run, was := range before {
		if row := m.bench.run(m.t, run); was.Run.State.Active() && !row.Run.State.Active() && row.Run.EndedAt == nil {
			until := was.ExpiresAt
			if until.Before(m.clock()) {
				until = m.clock()
			}
			hold := groupJobs[row.Run.Job]
			if hold < 0 {
				hold = 0
				if m.limit <= 1 {
					hold = 15 * time.Minute
				}
			}
			m.held[run] = until.Add(hold)
		}
	}
}

func (m *placesModel) rows() map[string]tables.RunRow {
	rows := map[string]tables.RunRow{}
	for _, run := range m.runs {
		rows[run] = m.bench.run(m.t, run)
	}
	return rows
}

// poll gives runs to a worker, and never more than the group has free places.
func (m *placesModel) take(t *rapid.T) {
	m.match(m.t)
	free := m.limit - len(m.wanted())
	worker := rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "worker")
	got := m.claimAll(worker)
	if len(got) > max(free, 0) {
		t.Fatalf("%d runs were given to a worker, and the group has %d free places", len(got), free)
	}
	m.claims = append(m.claims, got...)
}

func (m *placesModel) cancel(t *rapid.T, run string, force bool) {
	before := m.rows()
	c := job.Cancel{By: "ada", At: m.clock()}
	var err error
	if force {
		_, err = m.servers[0].outbox.FollowCancel(m.t.Context(), run, before[run].Run.Attempt, c, true)
	} else {
		_, _, err = m.servers[0].outbox.RequestCancel(m.t.Context(), run, c)
	}
	must(m.t, err)
	m.lose(before)
}

func (m *placesModel) report(t *rapid.T) {
	p := pick(t, slices.DeleteFunc(slices.Clone(m.processes), func(p *process) bool { return p.ended }), "process")
	if rapid.IntRange(0, 2).Draw(t, "ends") == 0 {
		p.end(m.t, m.clock(), rapid.SampledFrom([]job.Outcome{exitZero, job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 1}), job.Unfinished(false, m.clock())}).Draw(t, "outcome"))
	}
	m.send(m.t, m.servers[0], p)
}

func (m *placesModel) delete(t *rapid.T) {
	run := pick(t, m.runs, "run")
	must(m.t, m.servers[0].Write(m.t.Context(), db.Runs(run), func(tx *db.Tx) error {
		_, err := tx.ExecContext(m.t.Context(), `DELETE FROM runs WHERE id = $1`, run)
		return err
	}))
	m.runs = slices.DeleteFunc(m.runs, func(r string) bool { return r == run })
	m.processes = slices.DeleteFunc(m.processes, func(p *process) bool { return p.claim.Run == run })
	m.claims = slices.DeleteFunc(m.claims, func(c job.Claim) bool { return c.Run == run })
}

// Whatever happens to the runs of a group, those have a place that a worker has, whose attempt reports, or whose lost
// attempt may live, and no others; and no run is given to a worker beyond the limit.
func TestPlaces(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.defineGroup()
		names := slices.Sorted(maps.Keys(groupJobs))
		rapid.Check(t, func(rt *rapid.T) {
			must(t, b.servers[0].Change(t.Context(), "delete all runs", `DELETE FROM runs`))
			b.empty(t)
			m := &placesModel{bench: b, held: map[string]time.Time{}, had: map[string]bool{}}
			limit := func(t *rapid.T) {
				m.limit = rapid.IntRange(0, 3).Draw(t, "limit")
				b.setLimit(m.limit)
			}
			limit(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"submit": func(t *rapid.T) {
					if len(m.runs) >= 6 {
						t.Skip("enough")
					}
					m.runs = append(m.runs, b.submitTo(rapid.SampledFrom(names).Draw(t, "job")))
				},
				"limit": limit, "take": m.take, "take again": m.take,
				"start": func(t *rapid.T) {
					p := newProcess(b.t, pick(t, m.claims, "claim"), "host")
					if b.ask(b.t, b.servers[0], p).Answer == job.PermitGranted {
						p.begin(b.t, b.clock())
						m.processes = append(m.processes, p)
					}
				},
				"report": m.report, "report again": m.report,
				"beat": func(t *rapid.T) {
					p := pick(t, m.processes, "process")
					b.beat(b.t, b.servers[0], p.claim.Run, p.claim.Attempt)
				},
				"time passes": func(t *rapid.T) {
					b.pass(time.Duration(rapid.SampledFrom([]int{1, 14, 35, 600, 1000}).Draw(t, "seconds")) * time.Second)
				},
				"leases end": func(*rapid.T) {
					before := m.rows()
					b.judge(b.t, b.servers[0])
					m.lose(before)
				},
				"claims end": func(*rapid.T) {
					_, err := b.servers[0].EndOverdueClaims(b.t.Context())
					must(b.t, err)
				},
				"a claim is released": func(t *rapid.T) {
					_, _, err := b.servers[0].ReleaseClaim(b.t.Context(), rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "worker"), pick(t, m.claims, "claim").Claim, "it cannot run here")
					must(b.t, err)
				},
				"cancel":       func(t *rapid.T) { m.cancel(t, pick(t, m.runs, "run"), false) },
				"force cancel": func(t *rapid.T) { m.cancel(t, pick(t, m.runs, "run"), true) },
				"retry": func(t *rapid.T) {
					_, _, err := b.servers[0].outbox.RequestRetry(b.t.Context(), pick(t, m.runs, "run"), 0, "ada", "", b.clock())
					if err != nil {
						t.Skip(err)
					}
				},
				"delete": m.delete,
				"":       m.check,
			})
		})
	})
}
