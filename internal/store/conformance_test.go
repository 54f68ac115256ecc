package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// noon is the server's clock when these tests begin.
var noon = time.Date(2026, 3, 1, 12, 5, 0, 0, time.UTC)

func openSQLite(t *testing.T) *store.Store {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(context.Background(), store.Options{Dir: dir, SecretKeyFile: filepath.Join(dir, "secret.key")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) { conformance(t, openSQLite) }

// conformance is the suite that every engine passes.
func conformance(t *testing.T, open func(*testing.T) *store.Store) {
	t.Parallel() // it waits for disks
	for _, c := range []struct {
		name string
		test func(*testing.T, *store.Store)
	}{
		{"whole run in one append", wholeRun},
		{"errors stay with their append", errorsStay},
		{"ends of one job are stored once each", endsOfOneJob},
		{"a journal has one writer", oneWriter},
		{"cut anywhere", cutAnywhere},
		{"small blocks are merged", smallBlocks},
		{"an append of much work is taken in parts", appendInParts},
		{"runs are numbered per job", numbering},
		{"two writers of one journal", twoWriters},
		{"heartbeats", heartbeats},
		{"lost and reported again", lostAndReported},
		{"suspended and resumed", suspendedRuns},
		{"attempts", attempts},
		{"hostile words", hostileWords},
		{"pages of runs", pagesOfRuns},
		{"runs in the order of their starts", runsByStart},
		{"find a run", findRun},
		{"events", events},
		{"jobs", jobs},
		{"pages of jobs", pagesOfJobs},
		{"filters of jobs", filtersOfJobs},
		{"a run that was deleted", erasedRun},
		{"a deletion that was interrupted", erasedAfterRestart},
		{"tables that are erased", erasedTables},
		{"definitions", definitionsOfJobs},
		{"definitions that somebody else changed", definitionConflicts},
		{"policies of definitions", definitionPolicies},
		{"pages and versions of definitions", definitionVersions},
		{"two servers apply one definition", definitionRace},
		{"schedules of definitions", schedulesOfDefinitions},
		{"scheduled starts", scheduledStarts},
		{"overlap of scheduled starts", scheduledOverlap},
		{"schedules that fail", schedulesThatFail},
		{"schedules that are skipped", skippedSchedules},
		{"skipped schedules that start their job again", skippedAndStarted},
		{"skipped schedules and policies", skippedByPolicy},
		{"skipped schedules beside another", skippedBesideAnother},
		{"refused occurrences are findings", refusedAtOnce},
		{"occurrences and a full queue", refusedByAFullQueue},
		{"refused occurrences", refusedOccurrences},
		{"paused schedules", pausedSchedules},
		{"equal occurrences are joined", mergedOccurrences},
		{"schedules after an outage", outageOfSchedules},
		{"schedules when clocks change", schedulesWhenClocksChange},
		{"occurrences after a restore", heldOccurrences},
		{"overlap with held runs", overlapWithHeldRuns},
		{"schedules after the clock was set back", clockSetBack},
		{"random schedules", randomSchedules},
		{"backfilled schedules", backfilledSchedules},
		{"submit", submitRuns},
		{"submissions that are refused", submissionsThatAreRefused},
		{"one run is submitted at once", submitAtOnce},
		{"take runs from the queue", takeRuns},
		{"lanes of the queue", lanesOfTheQueue},
		{"claims that return", returnedClaims},
		{"groups of the queue", groupsOfTheQueue},
		{"places that are gone", placesThatAreGone},
		{"paused definitions", pausedDefinitions},
		{"workers take at once", takeAtOnce},
		{"a full queue", fullQueue},
		{"random changes of the queue", randomQueue},
		{"contradictions in the queue", contradictionsInTheQueue},
		{"repaired places", repairedPlaces},
		{"explained runs of the queue", explainedRuns},
		{"pages of the queue", pagesOfTheQueue},
		{"priorities in the queue", prioritiesInTheQueue},
		{"a held queue", heldQueue},
		{"dependencies of the queue", dependenciesOfTheQueue},
		{"dependencies are swept", dependenciesAreSwept},
		{"expired runs in the queue", expiredRuns},
		{"canceled in the queue", canceledInTheQueue},
		{"loop of the queue", loopOfTheQueue},
		{"jobs are deleted", deleteJob},
		{"a job that goes on is not deleted", deleteJobThatGoesOn},
		{"jobs without runs are deleted", deleteJobWithoutRuns},
		{"known jobs only", knownJobsOnly},
		{"settings of one job and not of another", settingsLeft},
		{"cancel", cancel},
		{"leases and verdicts", leases},
		{"leases of a clock that was ahead", leasesOfAClockAhead},
		{"tokens", tokens},
		{"sessions", sessions},
		{"logins", logins},
		{"logins that expired go", loginsGo},
		{"audit log", auditLog},
		{"owners of runs", owners},
		{"journals of nobody expire", unidentified},
		{"many rows expire", manyExpired},
		{"expired tokens are deleted", expiredTokens},
		{"figures", figures},
		{"figures of jobs", figuresOfJobs},
		{"ends of jobs never fall", endsNeverFall},
		{"failures in a row", failuresInARow},
		{"counts of runs", countRuns},
		{"texts of runs", texts},
		{"long texts are found", longTexts},
		{"live agents", liveAgents},
		{"ping", ping},
		{"installation", installation},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// one ingests a single append that must be taken.
func one(t *testing.T, s *store.Store, run string, attempt int, offset int64, data []byte) index.Appended {
	t.Helper()
	got := try(t, s, index.Append{Run: run, Attempt: attempt, Offset: offset, Data: data, At: noon})
	if got.Err != nil {
		t.Fatalf("append at %d: %v", offset, got.Err)
	}
	return got
}

// try ingests a single append. Unless it says otherwise, the agent's clock is one by which the
// run starts when the server receives it.
func try(t *testing.T, s *store.Store, a index.Append) index.Appended {
	t.Helper()
	if a.ClockOffset == 0 {
		a.ClockOffset = a.At.Sub(epoch.Add(time.Second))
	}
	got, _, err := s.Ingest(t.Context(), []index.Append{a}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func wholeRun(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{Labels: map[string]string{"team": "ml"}}, 0, "one\ntwo", "\nthree\n")
	got := one(t, s, id, 1, 0, data)
	if got.Size != int64(len(data)) {
		t.Errorf("size %d, want %d", got.Size, len(data))
	}
	if len(got.Events) != 3 {
		t.Errorf("events: %+v", got.Events)
	}
	run, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if run.State != job.Succeeded || run.Number != 1 || !run.Output.Complete || run.Output.Lines != 3 || run.Output.Bytes != 14 {
		t.Errorf("run: %+v", run)
	}
	heads, err := s.Blocks(t.Context(), id, 1, 0, 10)
	if err != nil || len(heads) != 1 {
		t.Fatalf("blocks: %v %v", heads, err)
	}
	stored, err := s.BlockData(t.Context(), id, 1, heads[0].Start)
	if err != nil || string(stored) != string(data[journal.HeaderSize:]) {
		t.Errorf("block data differs: %v", err)
	}
	page, err := s.Runs(t.Context(), query.Runs{Limit: 10, Text: "TRAIN", Labels: map[string]string{"team": "ml"}})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("runs: %+v %v", page, err)
	}
}
