package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/groups"
	"stint.dev/stint/internal/store/intake"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// beatOf sends a heartbeat of a process with the token of its attempt.
func (b *bench) beatOf(t testing.TB, p *process) lease.BeatResult {
	t.Helper()
	beat := lease.Beat{Run: p.claim.Run, Attempt: p.claim.Attempt, At: b.clock(), Lease: 25 * time.Second, Incarnation: p.incarnation, Heartbeat: job.Heartbeat{OutputAgeMS: -1}}
	_, got, err := b.servers[0].intake.Ingest(t.Context(), nil, []lease.Beat{beat})
	must(t, err)
	must(t, got[0].Err)
	return got[0]
}

// sendFrom sends the journal of a process from an offset on, with the token of its attempt.
func (b *bench) sendFrom(t testing.TB, p *process, offset int) index.Appended {
	t.Helper()
	a := index.Append{Run: p.claim.Run, Attempt: p.claim.Attempt, Offset: int64(offset), Data: bytes.Clone(p.journal.Bytes()[offset:]), At: b.clock(), Incarnation: p.incarnation}
	got, _, err := b.servers[0].intake.Ingest(t.Context(), []index.Append{a}, nil)
	must(t, err)
	return got[0]
}

// hold holds the queue of a restored database.
func (b *bench) hold(t testing.TB) (held int64) {
	t.Helper()
	held, err := b.servers[0].HoldRestored(t.Context(), "restored from a copy")
	must(t, err)
	return held
}

// claimsOf is how many runs a worker gets.
func (b *bench) claimsOf(t testing.TB, worker string) int {
	t.Helper()
	b.match(t)
	reply, err := b.servers[0].Claim(t.Context(), worker, b.poll(worker, nil))
	must(t, err)
	return len(reply.Claims)
}

// releaseAll lets what is held start, and waits until it may.
func (b *bench) releaseAll(t testing.TB) {
	t.Helper()
	if n, err := b.servers[0].queue.ReleaseHeld(t.Context(), ""); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	b.pass(queue.RestoredGrace + time.Second)
}

// wantNoLoss fails if anybody is notified that a run is lost.
func (b *bench) wantNoLoss(t testing.TB, run string) {
	t.Helper()
	sent, err := b.servers[0].ReadTexts(t.Context(), `SELECT what FROM outbox WHERE run_id = $1`, run)
	if err != nil || slices.Contains(sent, "lost") {
		t.Errorf("people are notified of %q, %v", sent, err)
	}
}

// wantNoContradiction fails if rows of the queue contradict each other.
func (b *bench) wantNoContradiction(t testing.TB) {
	t.Helper()
	wrong, err := groups.New(b.servers[0].DB).CheckQueue(t.Context())
	if err != nil || len(wrong) > 0 {
		t.Errorf("%v, %v", wrong, err)
	}
}

// A process started an attempt after the copy was made. The restored database learns of it from the process, whether
// a heartbeat or a part of its journal comes first.
func TestProcessReportsToARestoredDatabase(t *testing.T) {
	for name, first := range map[string]func(*testing.T, *bench, *process){
		"a heartbeat": func(t *testing.T, r *bench, p *process) {
			if got := r.beatOf(t, p); !got.Owner || !got.Known || len(got.Events) != 1 || got.Events[0].To != "starting" {
				t.Errorf("a heartbeat: %+v", got)
			}
		},
		"its journal": func(t *testing.T, r *bench, p *process) {
			var offset *index.OffsetError
			if got := r.sendFrom(t, p, len(p.first)); !errors.As(got.Err, &offset) || offset.Size != 0 {
				t.Errorf("the rest of the journal: %+v", got)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b *bench) {
				run, other := b.submit(t), b.submit(t)
				must(t, b.servers[0].Change(t.Context(), "join a group", `UPDATE submissions SET group_name = 'db'`))
				restore := b.copied(t)
				p := newProcess(t, b.claimOf(t, run), "h")
				if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitGranted {
					t.Fatalf("%+v", got)
				}
				p.begin(t, noon)
				b.send(t, b.servers[0], p)

				r := restore()
				if n := r.hold(t); n != 2 {
					t.Fatalf("%d runs are held", n)
				}
				if n := r.claimsOf(t, "w2"); n != 0 {
					t.Errorf("a worker got %d runs", n)
				}
				stranger := newProcess(t, p.claim, "h")
				stranger.incarnation = ""
				var refused *index.SubmittedError
				if got := r.sendFrom(t, stranger, 0); !errors.As(got.Err, &refused) {
					t.Errorf("a process without a token: %+v", got)
				}
				if got := r.beatOf(t, stranger); got.Owner {
					t.Errorf("a heartbeat without a token: %+v", got)
				}

				first(t, r, p)
				if row := r.run(t, run); row.Run.State != job.Starting || row.Run.Attempt != 1 || row.Run.Command == "" || !row.ExpiresAt.After(r.clock()) {
					t.Errorf("the run is %+v", row.Run)
				}
				if waiting, claims := r.waits(t, run); waiting+claims != 0 {
					t.Errorf("%d wait, %d claims", waiting, claims)
				}
				r.wantNoContradiction(t)
				if places, err := r.servers[0].ReadTexts(t.Context(), `SELECT run_id FROM queue_places WHERE group_name = 'db'`); err != nil || len(places) != 1 || places[0] != run {
					t.Errorf("%q have places: %v", places, err)
				}

				// It asks again what was answered by the other database, and gets nothing twice.
				if got := r.ask(t, r.servers[0], p); got.Answer != job.PermitRefused {
					t.Errorf("the process asked again: %+v", got)
				}
				p.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))
				if got := r.sendFrom(t, p, 0); got.Err != nil {
					t.Fatal(got.Err)
				}
				row := r.run(t, run)
				if row.Run.State != job.Succeeded || row.Run.Attempt != 1 || row.Run.Host != "h" || row.Run.Number != 1 {
					t.Errorf("the run is %+v", row.Run)
				}
				folded, err := index.Fold(index.NewState(run, 1), p.journal.Bytes())
				must(t, err)
				if derived := intake.Rederive(row, &folded.State, row.ReportedAt).Run; asJSON(t, derived) != asJSON(t, row.Run) {
					t.Errorf("the run is\n%s, and by its journal\n%s", asJSON(t, row.Run), asJSON(t, derived))
				}
				same := false
				must(t, r.servers[0].Write(t.Context(), db.None, func(tx *db.Tx) (err error) {
					same, err = tables.MatchesColumns(t.Context(), tx, &row.Run)
					return err
				}))
				if !same {
					t.Error("the columns of the run differ from its document")
				}
				if waiting, _ := r.waits(t, other); waiting != 1 {
					t.Error("the other run does not wait")
				}
				r.wantNoContradiction(t)
			})
		})
	}
}

func asJSON(t *testing.T, run job.Run) string {
	t.Helper()
	text, err := json.Marshal(run)
	must(t, err)
	return string(text)
}

// claimOf has a worker take a run.
func (b *bench) claimOf(t testing.TB, run string) job.Claim {
	t.Helper()
	b.match(t)
	reply, err := b.servers[0].Claim(t.Context(), "w1", b.poll("w1", nil))
	must(t, err)
	for _, c := range reply.Claims {
		if c.Run == run {
			return c
		}
	}
	t.Fatalf("worker w1 got %+v", reply)
	return job.Claim{}
}

// A claim in the copy is worth nothing: its agent may have started the attempt since.
func TestClaimsEndInARestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		must(t, b.servers[0].Change(t.Context(), "join a group", `UPDATE submissions SET group_name = 'db'`))
		must(t, b.servers[0].Change(t.Context(), "join a group", `UPDATE queue_entries SET group_name = 'db'`))
		must(t, b.servers[0].Change(t.Context(), "join a group", `UPDATE queue_ready SET group_name = 'db'`))
		c := b.claimOne(t, "w1")
		r := b.copied(t)()
		if n := r.hold(t); n != 1 {
			t.Fatalf("%d runs are held", n)
		}
		if waiting, claims := r.waits(t, run); waiting != 1 || claims != 0 {
			t.Errorf("%d wait, %d claims", waiting, claims)
		}
		if places, err := r.servers[0].ReadTexts(t.Context(), `SELECT run_id FROM queue_places`); err != nil || len(places) != 0 {
			t.Errorf("%q have places: %v", places, err)
		}
		if got := r.ask(t, r.servers[0], newProcess(t, c, "h")); got.Answer != job.PermitRefused {
			t.Errorf("%+v", got)
		}
		if _, _, err := r.servers[0].ReleaseClaim(t.Context(), "w1", c.Claim, "refused"); err != nil {
			t.Error(err)
		}
		r.wantNoContradiction(t)
		r.pass(time.Hour)
		if n := r.claimsOf(t, "w1"); n != 0 {
			t.Errorf("a worker got %d runs", n)
		}
	})
}

// What is released right after the start waits until agents that live had time to report. A process that reports
// later than another one started the same attempt may not write to its journal.
func TestReleaseInARestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		restore := b.copied(t)
		p := newProcess(t, b.claimOne(t, "w1"), "h")
		b.ask(t, b.servers[0], p)

		r := restore()
		r.hold(t)
		if n, err := r.servers[0].queue.ReleaseHeld(t.Context(), ""); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		r.pass(queue.RestoredGrace - time.Second)
		if n := r.claimsOf(t, "w2"); n != 0 {
			t.Errorf("a worker got %d runs", n)
		}
		r.pass(2 * time.Second)
		q := newProcess(t, r.claimOne(t, "w2"), "h2")
		if got := r.ask(t, r.servers[0], q); got.Answer != job.PermitGranted {
			t.Fatalf("%+v", got)
		}
		p.begin(t, noon)
		var refused *index.SubmittedError
		for _, offset := range []int{0, len(p.first)} {
			if got := r.sendFrom(t, p, offset); !errors.As(got.Err, &refused) {
				t.Errorf("the first process, from byte %d on: %+v", offset, got)
			}
		}
		if got := r.beatOf(t, p); got.Owner || !got.Known {
			t.Errorf("a heartbeat of the first process: %+v", got)
		}
		if got := r.beatOf(t, q); !got.Owner {
			t.Errorf("a heartbeat of the second process: %+v", got)
		}
		r.wantOwnBeats(t, p, q)
		q.begin(t, noon)
		q.end(t, noon, job.Classify(job.Ending{Kind: job.CommandStep}))
		if got := r.sendFrom(t, q, len(q.first)); got.Err != nil {
			t.Error(got.Err)
		}
		if row := r.run(t, run); row.Run.State != job.Succeeded || row.Run.Host != "h2" {
			t.Errorf("the run is %+v", row.Run)
		}
	})
}

// wantOwnBeats fails unless the lease of an attempt that two processes started, which both send heartbeats in one group, is
// extended by the second one alone.
func (b *bench) wantOwnBeats(t testing.TB, first, second *process) {
	t.Helper()
	for _, order := range [][]*process{{first, second}, {second, first}} {
		b.pass(time.Second)
		var beats []lease.Beat
		for _, p := range order {
			length := 25 * time.Second
			if p == first {
				length = time.Hour
			}
			beats = append(beats, lease.Beat{Run: p.claim.Run, Attempt: p.claim.Attempt, At: b.clock(), Lease: length, Incarnation: p.incarnation, Heartbeat: job.Heartbeat{OutputAgeMS: -1}})
		}
		_, got, err := b.servers[0].intake.Ingest(t.Context(), nil, beats)
		must(t, err)
		for i, p := range order {
			if got[i].Err != nil || got[i].Owner != (p == second) {
				t.Errorf("heartbeat %d: %+v", i, got[i])
			}
		}
		if ends := b.run(t, first.claim.Run).ExpiresAt; !ends.Equal(b.clock().Add(25 * time.Second)) {
			t.Errorf("the lease ends at %v", ends)
		}
	}
}

// A run that was active in the copy may have ended well since: the attempt after its loss is held. One that began after
// the database was restored is tried again as ever.
func TestLossInARestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		b.ask(t, b.servers[0], newProcess(t, b.claimOne(t, "w1"), "h"))
		b.pass(time.Second)
		r := b.copied(t)()
		if n := r.hold(t); n != 0 {
			t.Fatalf("%d runs are held", n)
		}
		r.pass(time.Minute)
		if n := r.judge(t, r.servers[0]); n != 1 {
			t.Fatalf("%d runs are lost", n)
		}
		if n := r.claimsOf(t, "w1"); n != 0 || r.run(t, run).Run.State != job.Retrying {
			t.Errorf("a worker got %d runs, and the run is %s", n, r.run(t, run).Run.State)
		}
		q, err := r.servers[0].queue.ExplainQueued(t.Context(), run)
		if err != nil || q == nil || q.Gates[0].Gate != job.GateHeld || !strings.Contains(q.Gates[0].Text, "restored from a copy") {
			t.Fatalf("%+v, %v", q, err)
		}
		if n, err := r.servers[0].queue.ReleaseHeld(t.Context(), "report"); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		c := r.claimOne(t, "w1")
		if got := r.ask(t, r.servers[0], newProcess(t, c, "h")); c.Attempt != 2 || got.Answer != job.PermitGranted {
			t.Fatalf("%+v, %+v", c, got)
		}
		r.pass(time.Minute)
		if n := r.judge(t, r.servers[0]); n != 1 {
			t.Fatalf("%d runs are lost", n)
		}
		if c := r.claimOne(t, "w2"); c.Attempt != 3 {
			t.Errorf("%+v", c)
		}
	})
}

// In the copy attempt 1 was active. Attempt 2 has started since, and its process reports: it is not asked to stop, and the
// run shows it, because attempt 1 has ended or was called lost.
func TestSecondAttemptReportsToARestoredDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		b.ask(t, b.servers[0], newProcess(t, b.claimOne(t, "w1"), "h"))
		restore := b.copied(t)
		b.pass(time.Minute)
		b.judge(t, b.servers[0])
		p := newProcess(t, b.claimOne(t, "w2"), "h2")
		if got := b.ask(t, b.servers[0], p); p.claim.Attempt != 2 || got.Answer != job.PermitGranted {
			t.Fatalf("%+v, %+v", p.claim, got)
		}

		r := restore()
		r.now.Store(int64(time.Second / time.Microsecond))
		r.hold(t)
		got := r.beatOf(t, p)
		if !got.Owner || !got.Known || len(got.Events) != 2 || got.Events[0].To != "lost" || got.Events[1].To != "starting" {
			t.Errorf("beside attempt 1: %+v", got)
		}
		if row := r.run(t, run); row.Run.State != job.Starting || row.Run.Attempt != 2 || row.Run.Outcome != nil {
			t.Errorf("the run is %+v", row.Run)
		}
		r.wantNoContradiction(t)

		// It falls silent before its journal arrives, and comes back.
		r.pass(time.Minute)
		r.judge(t, r.servers[0])
		if row := r.run(t, run); row.Run.State != job.Retrying {
			t.Fatalf("the run is %s", row.Run.State)
		}
		if got := r.beatOf(t, p); !got.Owner {
			t.Errorf("%+v", got)
		}
		if row := r.run(t, run); row.Run.State != job.Starting || row.Run.Job != "report" || row.Run.Command == "" {
			t.Errorf("the run is %+v", row.Run)
		}
		r.wantNoContradiction(t)
		must(t, r.servers[0].Write(t.Context(), db.None, func(tx *db.Tx) error {
			by, err := r.servers[0].PermitOf(t.Context(), tx, run, 2)
			if by != p.incarnation {
				t.Errorf("%q has the permit", by)
			}
			return err
		}))
		if by, ok := access.CheckAttemptToken(r.servers[0].TokenKey(), p.answers[0].AttemptToken, run, 2); !ok || by != p.incarnation {
			t.Error("the token of the other database is not valid in the copy")
		}
	})
}

// A copy that was not activated starts nothing, and what became of claims in it is not decided there.
func TestCopyStartsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		run := b.submit(t)
		c := b.claimOne(t, "w1")
		waits := b.submit(t)
		r := b.copiedAs(t, true)()
		if r.servers[0].CopiedAt().IsZero() {
			t.Fatal("it is not a copy")
		}
		r.match(t)
		p := newProcess(t, c, "h")
		for range queue.LostClaimsLimit + 1 {
			if n := r.claimsOf(t, "w2"); n != 0 {
				t.Fatalf("a worker got %d runs", n)
			}
			if got := r.ask(t, r.servers[0], p); got.Answer != job.PermitRefused || !strings.Contains(got.Why, "copy") {
				t.Errorf("%+v", got)
			}
			r.pass(time.Minute)
		}
		if _, claims := r.waits(t, run); claims != 1 || r.run(t, run).Run.State != job.Queued || r.run(t, waits).Run.State != job.Queued {
			t.Errorf("%d claims, the runs are %s and %s", claims, r.run(t, run).Run.State, r.run(t, waits).Run.State)
		}
		r.wantNoContradiction(t)
		if got := b.ask(t, b.servers[0], p); got.Answer != job.PermitGranted {
			t.Errorf("the original: %+v", got)
		}
	})
}
