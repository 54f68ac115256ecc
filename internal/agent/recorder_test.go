package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// encoded is an output record as a capture makes it.
func encoded(data []byte) []byte {
	return append(make([]byte, journal.FrameSize+journal.OutputPrefix), data...)
}

// Output that finds no room is declared: place, bytes and lines are exact, and what comes
// after the gap follows it.
func TestGapIsDeclaredExactly(t *testing.T) {
	j := spool.InMemory(spool.Meta{Run: testRun}, spool.Limits{Memory: 1 << 20}, errors.New("no disk"))
	heard := &says{}
	r, err := newRecorder(j, heard.say)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("0123456789abcde\n"), 4096) // 64 KiB, 4096 lines
	for range 40 {
		r.output(encoded(line), 0, job.Stdout, time.Now())
	}
	r.output(encoded([]byte("lost too\n")), 0, job.Stderr, time.Now())
	first, err := io.ReadAll(io.NewSectionReader(j, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	j.Acknowledge(j.Size()) // now there is room
	r.output(encoded([]byte("after\n")), 0, job.Stdout, time.Now())
	if err := r.finish(time.Now(), journal.Final{Outcome: job.Outcome{State: job.Succeeded}}); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(io.NewSectionReader(j, int64(len(first)), 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	v := readJournal(t, append(first, rest...))
	kept := int64(len(v.output[streamKey{0, job.Stdout}]) - len("after\n"))
	lost := 40*int64(len(line)) - kept
	if len(v.gaps) != 2 || kept == 0 || lost == 0 || !r.dropped() {
		t.Fatalf("gaps %+v, kept %d", v.gaps, kept)
	}
	if g := v.gaps[0]; g.Stream != job.Stdout || g.AtBytes != kept || g.Bytes != lost || g.Lines != lost/16 || g.Reason == "" {
		t.Errorf("gap %+v, want %d bytes at %d", g, lost, kept)
	}
	if g := v.gaps[1]; g.Stream != job.Stderr || g.AtBytes != 0 || g.Bytes != 9 || g.Lines != 1 {
		t.Errorf("gap %+v", g)
	}
	if got := fmt.Sprint(v.order[len(v.order)-4:]); got != "[gap output gap outcome]" {
		t.Errorf("the journal ends with %s", got)
	}
	if len(heard.lines) != 1 {
		t.Errorf("said %q", heard.lines)
	}
}
