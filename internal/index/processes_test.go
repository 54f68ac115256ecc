package index

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestStoppedProcesses(t *testing.T) {
	sleeping := job.StoppedProcess{PID: 7, Parent: 1, Name: "psql", Facts: []string{"sleeping, in recv", "CPU 0.10 s"}}
	running := job.StoppedProcess{PID: 8, Parent: 7, Name: "sh", Facts: []string{}}
	j := write(t, identity())
	j.json(journal.TypeNote, journal.Note{Text: "the clock went back"})
	j.json(journal.TypeNote, journal.Note{Text: "diagnosis", Processes: []job.StoppedProcess{sleeping}})
	first := mustFold(t, NewState(testRun, 1), j.bytes())
	j.buf.Reset()
	j.json(journal.TypeNote, journal.Note{Text: "diagnosis, continued", Processes: []job.StoppedProcess{running}, NotDescribed: 3})
	second := mustFold(t, first.State, j.bytes())
	want := &job.StoppedProcesses{Processes: []job.StoppedProcess{sleeping, running}, NotDescribed: 3, Notes: []int{1, 2}}
	if diff := cmp.Diff(want, second.State.View.StoppedProcesses); diff != "" {
		t.Error(diff)
	}
	want = &job.StoppedProcesses{Processes: []job.StoppedProcess{sleeping}, Notes: []int{1}}
	if diff := cmp.Diff(want, first.State.View.StoppedProcesses); diff != "" {
		t.Errorf("a later append changed the state before it: %s", diff)
	}
}

// What is kept of processes is bounded, whatever a journal says.
func TestStoppedProcessesAreBounded(t *testing.T) {
	big := job.StoppedProcess{Name: strings.Repeat("n", 5000), Facts: []string{"a\x00b"}}
	for range 2 * maxProcessFacts {
		big.Facts = append(big.Facts, strings.Repeat("f", 2*maxProcessText))
	}
	j := write(t, identity())
	for range 2 * maxStoppedProcesses {
		j.json(journal.TypeNote, journal.Note{Processes: []job.StoppedProcess{big}, NotDescribed: -5})
	}
	for range 2 * maxNotes {
		j.json(journal.TypeNote, journal.Note{NotDescribed: maxNotDescribed})
	}
	f := mustFold(t, NewState(testRun, 1), j.bytes())
	got := f.State.View.StoppedProcesses
	if len(got.Processes) != maxStoppedProcesses || got.NotDescribed != maxNotDescribed || len(got.Notes) != maxNotes-1 {
		t.Errorf("%d processes, %d more, %d notes", len(got.Processes), got.NotDescribed, len(got.Notes))
	}
	for _, p := range got.Processes {
		if len(p.Name) > maxProcessName || len(p.Facts) != maxProcessFacts || len(strings.Join(p.Facts, "")) > maxProcessText+3*maxProcessFacts || strings.Contains(p.Facts[0], "\x00") {
			t.Fatalf("%.200v", p)
		}
	}
	if n := len(marshal(t, f.State)); n > 3<<20 {
		t.Errorf("state of %d bytes", n)
	}
}
