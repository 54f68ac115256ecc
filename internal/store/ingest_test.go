package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// readBack returns the journal as the blocks hold it, without its header.
func readBack(t *testing.T, s *store.Store, run string, attempt int) ([]byte, []index.BlockHead) {
	t.Helper()
	var all []byte
	var heads []index.BlockHead
	from := int64(0)
	for {
		page, err := s.Blocks(t.Context(), run, attempt, from, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all, heads
		}
		for _, h := range page {
			data, err := s.BlockData(t.Context(), run, attempt, h.Start)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(data)) != h.Size || h.Start != journal.HeaderSize+int64(len(all)) {
				t.Fatalf("block %+v has %d bytes after %d", h, len(data), len(all))
			}
			all = append(all, data...)
			heads = append(heads, h)
			from = h.Start + h.Size
		}
	}
}

func errorsStay(t *testing.T, s *store.Store) {
	goodID, good := whole(t, journal.Attempt{}, 0, "x\n")
	badID, bad := whole(t, journal.Attempt{}, 0, "x\n")
	bad[len(bad)-1] ^= 1
	wrongID, wrong := whole(t, journal.Attempt{}, 0)
	half := len(good) / 2
	got, results, err := s.Ingest(t.Context(), []index.Append{
		{Run: badID, Attempt: 1, Data: bad, At: noon},
		{Run: goodID, Attempt: 1, Data: good[:half], At: noon},
		{Run: runID(), Attempt: 1, Data: wrong, At: noon},
		{Run: wrongID, Attempt: 1, Offset: 5, Data: wrong, At: noon},
		{Run: "'; DROP TABLE runs; --", Attempt: 1, Data: good, At: noon},
		{Run: goodID, Attempt: 1, Offset: int64(half), Data: good[half:], At: noon},
		{Run: goodID, Attempt: 1, Data: good, At: noon},
	}, []lease.Beat{{Run: "\x00", Attempt: 1, At: noon}})
	if err != nil {
		t.Fatal(err)
	}
	var corrupt *journal.CorruptError
	var refused *index.RefusedError
	var offset *index.OffsetError
	for i, want := range []any{&corrupt, nil, &refused, &offset, &refused, nil, &offset} {
		switch {
		case want == nil && got[i].Err != nil:
			t.Errorf("append %d: %v", i, got[i].Err)
		case want != nil && !errors.As(got[i].Err, want):
			t.Errorf("append %d: error %v (%T), want %T", i, got[i].Err, got[i].Err, want)
		}
	}
	if offset.Size != int64(len(good)) || got[6].Size != offset.Size {
		t.Errorf("resent bytes: %+v", offset)
	}
	if results[0].Err == nil || results[0].Known {
		t.Errorf("beat of a bad run: %+v", results[0])
	}
	for _, id := range []string{badID, wrongID} {
		if size, err := s.JournalSize(t.Context(), id, 1); err != nil || size != 0 {
			t.Errorf("run %s: size %d, %v", id, size, err)
		}
	}
	run, err := s.Run(t.Context(), goodID)
	if err != nil || !run.Output.Complete {
		t.Errorf("run: %+v, %v", run.Output, err)
	}
	late := try(t, s, index.Append{Run: goodID, Attempt: 1, Offset: int64(len(good)), Data: []byte{1}, At: noon})
	if !errors.As(late.Err, &refused) || late.Size != int64(len(good)) {
		t.Errorf("after the outcome: %+v", late)
	}
}

// endsOfOneJob ends many runs of one job with one group. What an end asks for depends on the other runs of the job, but
// none of them is stored again for each.
func endsOfOneJob(t *testing.T, s *store.Store) {
	const n = 40
	var begins, ends []index.Append
	for range n {
		id, data := whole(t, journal.Attempt{Job: "together"}, 0, "x\n")
		half := len(data) / 2
		begins = append(begins, index.Append{Run: id, Attempt: 1, Data: data[:half], At: noon})
		ends = append(ends, index.Append{Run: id, Attempt: 1, Offset: int64(half), Data: data[half:], At: noon})
	}
	if _, _, err := s.Ingest(t.Context(), begins, nil); err != nil {
		t.Fatal(err)
	}
	statements := []string{`CREATE TABLE changes (n INTEGER)`, `CREATE TRIGGER changes_counted AFTER UPDATE ON runs BEGIN INSERT INTO changes VALUES (1); END`}
	if s.Postgres() {
		statements = []string{
			`CREATE TABLE changes (n INTEGER)`,
			`CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO changes VALUES (1); RETURN NULL; END $$`,
			`CREATE TRIGGER changes_counted AFTER UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION count_changes()`,
		}
	}
	for _, statement := range statements {
		if err := s.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Ingest(t.Context(), ends, nil); err != nil {
		t.Fatal(err)
	}
	var changes int
	if err := s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM changes`).Scan(&changes); err != nil {
		t.Fatal(err)
	}
	if changes < n || changes > 3*n {
		t.Errorf("%d changes of rows for the ends of %d runs", changes, n)
	}
	for _, a := range ends {
		if run, err := s.Run(t.Context(), a.Run); err != nil || run.State != job.Succeeded || !run.Output.Complete {
			t.Errorf("run %s is %s, complete %v: %v", a.Run, run.State, run.Output.Complete, err)
		}
	}
}

// cutAnywhere sends a journal in pieces that end inside header, frames and payloads.
func cutAnywhere(t *testing.T, s *store.Store) {
	for _, step := range []int{1, 7, 100, 333} {
		id, data := whole(t, journal.Attempt{Job: fmt.Sprint("cut", step)}, 3, "one\ntwo", "\n", strings.Repeat("x", 500), "\nlast")
		if step == 1 {
			data = data[:300] // byte by byte is slow, and the identity is the hard part
		}
		var created int
		for at := 0; at < len(data); at += step {
			end := min(at+step, len(data))
			got := one(t, s, id, 1, int64(at), data[at:end])
			if got.Size != int64(end) {
				t.Fatalf("size %d after %d bytes", got.Size, end)
			}
			if size, err := s.JournalSize(t.Context(), id, 1); err != nil || size != int64(end) {
				t.Fatalf("stored size %d after %d bytes: %v", size, end, err)
			}
			for _, e := range got.Events {
				if e.From == string(job.Queued) {
					created++
				}
			}
		}
		if created > 1 {
			t.Errorf("created %d times", created)
		}
		if step == 1 {
			continue
		}
		all, _ := readBack(t, s, id, 1)
		if !bytes.Equal(all, data[journal.HeaderSize:]) {
			t.Errorf("cut by %d: journal differs", step)
		}
		run, err := s.Run(t.Context(), id)
		if err != nil || !run.Output.Complete || run.State != job.Failed || run.Output.Lines != 4 {
			t.Errorf("cut by %d: %+v, %v", step, run, err)
		}
	}
}

// smallBlocks prints a line at a time, far more often than anybody would like rows.
func smallBlocks(t *testing.T, s *store.Store) {
	const lines = 700
	j := newJournal(t, journal.Attempt{})
	j.command()
	var sent []byte
	starts := map[int64]bool{}
	for i := range lines {
		j.output(fmt.Sprintf("%d\n", i+1))
		if i%10 == 0 {
			j.sample(int64(i))
		}
		if i == 350 {
			j.output(strings.Repeat("x", 300<<10)) // a big block in between
		}
		offset, data := j.take()
		got := one(t, s, j.id, 1, offset, data)
		starts[got.Block.Start] = true
		sent = append(sent, data...)
	}
	all, heads := readBack(t, s, j.id, 1)
	if !bytes.Equal(all, sent[journal.HeaderSize:]) {
		t.Fatal("journal differs after merging")
	}
	if len(heads) > 70 {
		t.Errorf("%d blocks of %d appends", len(heads), lines)
	}
	for start := range starts { // handed out once, usable for ever
		got, err := s.Blocks(t.Context(), j.id, 1, start, 1)
		if err != nil || len(got) != 1 || got[0].Start > start || got[0].Start+got[0].Size <= start {
			t.Fatalf("block of %d: %+v, %v", start, got, err)
		}
		data, err := s.BlockData(t.Context(), j.id, 1, start)
		if err != nil || !bytes.HasPrefix(all[start-journal.HeaderSize:], data) {
			t.Fatalf("data of %d: %d bytes, %v", start, len(data), err)
		}
	}
	for line := int64(1); line <= lines; line += 13 {
		got, err := s.BlocksFromLine(t.Context(), j.id, 1, line, 1)
		if err != nil || len(got) != 1 || line < got[0].FirstLine || line >= got[0].FirstLine+got[0].Lines {
			t.Fatalf("block of line %d: %+v, %v", line, got, err)
		}
	}
	if got, err := s.BlocksFromLine(t.Context(), j.id, 1, lines+2, 1); err != nil || len(got) != 0 {
		t.Errorf("a line that does not exist: %+v, %v", got, err)
	}
	samples, err := allSamples(t, s, j.id)
	if err != nil || len(samples) != lines/10 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for i, sample := range samples {
		if sample.MemoryBytes != int64(i*10) {
			t.Fatalf("sample %d: %+v", i, sample)
		}
	}
	checkHeads(t, heads)
	var missing *query.NotFoundError
	if _, err := s.BlockData(t.Context(), j.id, 1, int64(len(sent))); !errors.As(err, &missing) {
		t.Errorf("past the end: %v", err)
	}
}

// checkHeads folds nothing: it sees whether the heads join without a hole.
func checkHeads(t *testing.T, heads []index.BlockHead) {
	t.Helper()
	line, output := int64(1), int64(0)
	for _, h := range heads {
		if h.FirstLine != line || h.OutputStart != output || h.LastAt.Before(h.FirstAt) {
			t.Fatalf("head %+v, want line %d and output %d", h, line, output)
		}
		line, output = line+h.Lines, output+h.OutputBytes
	}
}

func numbering(t *testing.T, s *store.Store) {
	const each, writers = 6, 4
	var mu sync.Mutex
	numbers := map[string][]int64{}
	var wg sync.WaitGroup
	for range writers {
		var group []index.Append
		for i := range each {
			id, data := whole(t, journal.Attempt{Job: fmt.Sprint("job", i%2)}, 0)
			group = append(group, index.Append{Run: id, Attempt: 1, Data: data, At: noon})
		}
		wg.Go(func() {
			got, _, err := s.Ingest(context.Background(), group, nil)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range got {
				numbers[a.Run.Job] = append(numbers[a.Run.Job], a.Run.Number)
			}
		})
	}
	wg.Wait()
	var want []int64
	for i := range int64(each * writers / 2) {
		want = append(want, i+1)
	}
	for name, got := range numbers {
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("numbers of %s (-want +got): %s", name, diff)
		}
	}
	if len(numbers) != 2 {
		t.Errorf("numbers: %v", numbers)
	}
}

// twoWriters sends one journal twice at the same time, as an agent does that lost the
// answer and came back through another server: every byte is taken once.
func twoWriters(t *testing.T, s *store.Store) {
	for range 5 {
		id, data := whole(t, journal.Attempt{}, 0, "one\n", "two\n")
		var mu sync.Mutex
		var taken int
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				got, _, err := s.Ingest(context.Background(), []index.Append{{Run: id, Attempt: 1, Data: data, At: noon}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var offset *index.OffsetError
				mu.Lock()
				defer mu.Unlock()
				if got[0].Err == nil {
					taken++
				} else if !errors.As(got[0].Err, &offset) || offset.Size != int64(len(data)) {
					t.Errorf("append: %v", got[0].Err)
				}
			})
		}
		wg.Wait()
		if taken != 1 {
			t.Errorf("taken %d times", taken)
		}
		if all, _ := readBack(t, s, id, 1); !bytes.Equal(all, data[journal.HeaderSize:]) {
			t.Error("journal differs")
		}
	}
}

// What one append may cost everybody else is bounded by its work, not only by its bytes: of
// more the beginning is taken, and the sender goes on from where the reply says.
func appendInParts(t *testing.T, s *store.Store) {
	j := newJournal(t, journal.Attempt{})
	j.command()
	id := j.id
	_, data := j.take()
	text := journal.Record{Type: journal.TypeSample, Payload: []byte("{}"), At: epoch}
	for len(data) < 1<<20 {
		text.At = text.At.Add(time.Second)
		data = journal.AppendRecord(data, text)
	}
	data = append(data, data[:10]...) // a record that is not whole
	parts := 0
	for size := int64(0); size < int64(len(data)); parts++ {
		got := one(t, s, id, 1, size, data[size:])
		if got.Size <= size || got.Size-size > 600_000 && got.Size < int64(len(data)) {
			t.Fatalf("part %d: the journal has %d bytes after %d", parts, got.Size, size)
		}
		size = got.Size
	}
	if parts < 3 {
		t.Errorf("55,000 samples are taken in %d appends", parts)
	}
	if got, err := s.JournalSize(t.Context(), id, 1); err != nil || got != int64(len(data)) {
		t.Errorf("the journal has %d bytes of %d: %v", got, len(data), err)
	}
	if sum, err := recovery.Check(t.Context(), s, false, func(f recovery.Finding) { t.Errorf("%+v", f) }); err != nil || sum.Findings > 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}
