package record

import (
	"bytes"
	"errors"
	"fmt"
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

// Output that finds no room is declared: place, bytes and lines are exact, the head stands
// before the gap, and the newest output behind it.
func TestGapIsDeclaredExactly(t *testing.T) {
	j := spool.InMemory(spool.Meta{Run: testRun}, spool.Limits{Memory: 1 << 20}, errors.New("no disk"))
	messages := &says{}
	r := New(Config{Journal: j, SendAtOnce: 512 << 10, Print: messages.say})
	var printed []byte
	for n := range 40 {
		line := bytes.Repeat(fmt.Appendf(nil, "%015d\n", n), 4096) // 64 KiB, 4096 lines
		printed = append(printed, line...)
		r.output(encoded(line), 0, job.Stdout, time.Now(), false)
	}
	r.output(encoded([]byte("few\n")), 0, job.Stderr, time.Now(), false)
	first := contents(t, j, 0)
	j.Acknowledge(j.Size()) // now there is room
	r.output(encoded([]byte("after\n")), 0, job.Stdout, time.Now(), false)
	printed = append(printed, "after\n"...)
	if err := r.Finish(time.Now(), journal.Final{Outcome: job.Outcome{State: job.Succeeded}}); err != nil {
		t.Fatal(err)
	}
	rest := contents(t, j, int64(len(first)))
	v := readJournal(t, append(first, rest...))
	kept := v.output[job.Stdout]
	lost := int64(len(printed) - len(kept))
	if len(v.gaps) != 1 || lost <= 0 || len(kept) < 1<<20 || !j.Dropped() {
		t.Fatalf("gaps %+v, kept %d", v.gaps, len(kept))
	}
	g := v.gaps[0]
	if g.Stream != job.Stdout || g.Bytes != lost || g.Lines != lost/16 || g.Reason == "" {
		t.Errorf("gap %+v, want %d bytes", g, lost)
	}
	if !bytes.Equal(kept[:g.AtBytes], printed[:g.AtBytes]) || !bytes.Equal(kept[g.AtBytes:], printed[g.AtBytes+g.Bytes:]) {
		t.Error("what was kept is not the head and the tail of what was printed")
	}
	if got := string(v.output[job.Stderr]); got != "few\n" {
		t.Errorf("stderr %q", got)
	}
	if len(messages.lines) != 1 {
		t.Errorf("messages %q", messages.lines)
	}
}
