package faulttest

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/sequence"
)

// passedOn compares what an agent passed on with what was printed: all of it, in order, unless the
// agent was killed. With a spool limit pieces may be left out, of both streams together as many
// bytes as the agent reported as dropped; one that was killed could not report.
func passedOn(want, got []byte, killed bool, dropped, limit int64) error {
	missing, at := leftOut(want, got)
	switch {
	case limit > 0 && at < 0 && (killed || missing <= dropped):
		return nil
	case limit == 0 && dropped == 0 && bytes.HasPrefix(want, got) && (killed || missing == 0):
		return nil
	}
	return fmt.Errorf("%d of %d bytes, %d are missing, and it differs at byte %d (-1: nowhere); the agent reports %d dropped bytes, its limit is %d",
		len(got), len(want), missing, at, dropped, limit)
}

// notPassedOn is how many bytes of the output the agent reported that it could not pass on, because
// more than its spool limit waited for its reader.
func (w *world) notPassedOn() int64 {
	text, err := os.ReadFile(w.path("agent.err"))
	if err != nil {
		w.t.Error(err)
	}
	found := notPassedOn.FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		w.t.Error(err)
	}
	return n
}

var notPassedOn = regexp.MustCompile(`stint: (\d+) bytes of the job's output were not passed on: more than `)

// leftOut counts the bytes of want that got lacks, if it is want with pieces left out;
// otherwise at is the place in got from which on it is not, else -1.
func leftOut(want, got []byte) (missing int64, at int) {
	const enough = 64 // bytes that are nowhere twice
	for at = 0; ; {
		same := difference(want, got[at:])
		want, at = want[same:], at+same
		if at == len(got) {
			return missing + int64(len(want)), -1
		}
		next := bytes.Index(want, got[at:min(len(got), at+enough)])
		if next < 0 {
			return missing, at
		}
		missing, want = missing+int64(next), want[next:]
	}
}

// What an agent passed on is whole, but for what its spool limit forced out and it reported, or
// could not report because it was killed.
func TestPassedOn(t *testing.T) {
	want := sequence.Bytes(1, "stdout", 5000)
	less := append(append([]byte{}, want[:1000]...), want[2000:]...)
	other := append(append([]byte{}, want[:1000]...), sequence.Bytes(2, "stdout", 1000)...)
	for name, c := range map[string]struct {
		got            []byte
		killed         bool
		dropped, limit int64
		good           bool
	}{
		"whole":                          {want, false, 0, 0, true},
		"whole, with a limit":            {want, false, 0, 1, true},
		"not whole":                      {want[:4000], false, 0, 0, false},
		"not whole, with a limit":        {want[:4000], false, 0, 1, false},
		"killed":                         {want[:4000], true, 0, 0, true},
		"a piece is left out":            {less, false, 0, 0, false},
		"killed, a piece is left out":    {less, true, 0, 0, false},
		"left out without a limit":       {less, false, 1000, 0, false},
		"left out and reported":          {less, false, 1000, 1, true},
		"more is left out than reported": {less, false, 999, 1, false},
		"left out and not reported":      {less, false, 0, 1, false},
		"left out, and killed":           {less[:3000], true, 0, 1, true},
		"something else":                 {other, false, 4000, 1, false},
		"something else, killed":         {other, true, 0, 1, false},
	} {
		if err := passedOn(want, c.got, c.killed, c.dropped, c.limit); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The server may lack records of a run only if its spool was removed, an outage outlasted its job, and
// its agent reported the loss.
func TestMayBeIncomplete(t *testing.T) {
	const report = "stint: the journal of run R was not delivered, and what could not be written to the disk is lost\n"
	now := time.Now()
	for name, c := range map[string]struct {
		fault  kind
		over   time.Time
		report string
		want   bool
	}{
		"the outage outlasted the job": {spoolRemoved, now.Add(time.Second), report, true},
		"the outage was over before":   {spoolRemoved, now.Add(-time.Second), report, false},
		"there was no outage":          {spoolRemoved, time.Time{}, report, false},
		"the agent did not report it":  {spoolRemoved, now.Add(time.Second), "", false},
		"the spool was not removed":    {netReset, now.Add(time.Second), report, false},
	} {
		w := &world{t: t, dir: t.TempDir(), s: schedule{faults: []fault{{kind: c.fault}}}, outageOver: c.over}
		done := w.path("marks", "done")
		if w.mayBeIncomplete() {
			t.Errorf("%s: before the job is done", name)
		}
		for _, err := range []error{os.Mkdir(w.path("marks"), 0o755), os.WriteFile(done, nil, 0o644), os.Chtimes(done, now, now), os.WriteFile(w.path("agent.err"), []byte(c.report), 0o644)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := w.mayBeIncomplete(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
