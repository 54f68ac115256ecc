package store_test

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// outputOf counts what the good blocks of a journal print, by stream.
func outputOf(t *testing.T, data []byte) map[job.Stream]int64 {
	t.Helper()
	sum := map[job.Stream]int64{}
	for len(data) > 0 {
		rec, n, err := journal.Next(data, journal.HeaderSize)
		if err != nil {
			t.Fatal(err)
		}
		data = data[n:]
		if rec.Type != journal.TypeOutput {
			continue
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			t.Fatal(err)
		}
		sum[o.Stream] += int64(len(o.Data))
	}
	return sum
}

// A packed block that went wrong is named with its place; a repair makes a gap of exactly
// what is missing of it, so that everything else reads on.
func TestRepairMakesAGapOfDamage(t *testing.T) {
	s, id, sent, before := damaged(t, true, func(_ *sql.DB, dir, _ string) {
		for _, path := range filesIn(t, filepath.Join(dir, "archive")) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
	heads, err := s.Blocks(t.Context(), id, 1, 0, 100)
	if err != nil || len(heads) < 2 {
		t.Fatal(heads, err)
	}
	found := check(t, s, false)
	if len(found) != 1 || found[0].Run != id || found[0].Repaired != "" || found[0].To <= found[0].At {
		t.Fatalf("found: %+v", found)
	}
	if found := check(t, s, true); len(found) != 1 || found[0].Repaired == "" {
		t.Fatalf("repaired: %+v", found)
	}
	if found := check(t, s, false); len(found) != 0 {
		t.Errorf("after the repair: %+v", found)
	}
	var kept []byte
	var gone int64
	for _, h := range heads {
		if h.Start == found[0].At {
			gone = h.Size
			continue
		}
		data, err := s.BlockData(t.Context(), id, 1, h.Start)
		if err != nil || !bytes.Equal(data, sent[h.Start:h.Start+h.Size]) {
			t.Fatalf("block %d differs: %v", h.Start, err)
		}
		kept = append(kept, data...)
	}
	if gone != found[0].To-found[0].At {
		t.Errorf("%d bytes are gone, found %+v", gone, found[0])
	}
	run := mustRun(t, s, id)
	want := outputOf(t, sent[journal.HeaderSize:])[job.Stdout] - outputOf(t, kept)[job.Stdout]
	at := outputOf(t, sent[journal.HeaderSize:found[0].At])[job.Stdout]
	if len(run.Output.Gaps) != 1 || run.Output.Complete || run.Output.Bytes != before.Output.Bytes {
		t.Fatalf("output: %+v", run.Output)
	}
	if g := run.Output.Gaps[0]; g.Bytes != want || g.AtBytes != at || g.Stream != job.Stdout || g.Reason != index.DamageReason || g.Lines < 1 {
		t.Errorf("gap %+v, want %d bytes at %d", g, want, at)
	}
	samples, err := allSamples(t, s, id)
	if err != nil || len(samples) != 6 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
}

// A bucket or directory that is not the right one is no damage: nothing is given up for it.
func TestRepairKeepsWhatItCannotReach(t *testing.T) {
	dir := t.TempDir()
	a, _ := openArchive(t)
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Archive: a})
	if err != nil {
		t.Fatal(err)
	}
	id, sent := longRun(t, s, true)
	pack(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other, _ := openArchive(t)
	for _, wrong := range []store.Archive{other, nil} {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Archive: wrong})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range check(t, s, true) {
			if f.Repaired != "" {
				t.Errorf("repaired: %+v", f)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = openWith(t, store.Options{Dir: dir, Archive: a})
	if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Error("the journal differs")
	}
}
