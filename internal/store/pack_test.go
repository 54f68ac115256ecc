package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/journal"
)

// openArchive makes an archive in a directory of its own.
func openArchive(t *testing.T) (*archive.Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive")
	d, err := archive.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func openWith(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), o)
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

// longRun ingests a run of some MiB in many appends, and returns it and what was sent.
func longRun(t *testing.T, s *store.Store, ended bool) (id string, sent []byte) {
	t.Helper()
	j := newJournal(t, journal.Attempt{})
	j.command()
	for i := range 60 {
		j.output(fmt.Sprintf("%d begins\n", i))
		j.output(noise(i, i*i*40))
		j.output(fmt.Sprintf("%d is open", i))
		if i%10 == 0 {
			j.sample(int64(i))
		}
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
		sent = append(sent, data...)
	}
	if ended {
		j.end(0)
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
		sent = append(sent, data...)
	}
	return j.id, sent
}

// noise is lines that compress badly.
func noise(seed, n int) string {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	out := make([]byte, n)
	for i := range out {
		if out[i] = byte(33 + random.IntN(90)); i%100 == 99 {
			out[i] = '\n'
		}
	}
	return string(out)
}

// pack packs everything that is due within a day.
func pack(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Tidy(t.Context(), noon.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
}

// Packing changes where bytes are and nothing else: neither the log, nor lines, nor
// samples, and offsets that were handed out before it stay good.
func TestPacking(t *testing.T) {
	for name, open := range map[string]func(*testing.T, store.Archive) *store.Store{
		"SQLite": func(t *testing.T, a store.Archive) *store.Store {
			return openWith(t, store.Options{Dir: t.TempDir(), Archive: a})
		},
		"PostgreSQL": func(t *testing.T, a store.Archive) *store.Store {
			return openWith(t, store.Options{URL: postgrestest.URL(t), Archive: a})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("into an archive", func(t *testing.T) {
				a, path := openArchive(t)
				packing(t, open(t, a))
				if n := len(filesIn(t, path)); n != 1 {
					t.Errorf("%d objects", n)
				}
			})
			t.Run("into the database", func(t *testing.T) { packing(t, open(t, nil)) })
		})
	}
}

func packing(t *testing.T, s *store.Store) {
	id, sent := longRun(t, s, true)
	_, before := readBack(t, s, id, 1)
	samples, err := allSamples(t, s, id)
	if err != nil {
		t.Fatal(err)
	}
	pack(t, s)
	body, after := readBack(t, s, id, 1)
	if !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Fatal("the journal differs after packing")
	}
	if len(after) >= len(before) || len(after) > len(sent)/(512<<10)+1 {
		t.Errorf("%d blocks became %d for %d bytes", len(before), len(after), len(sent))
	}
	checkHeads(t, after)
	again, err := allSamples(t, s, id)
	if diff := cmp.Diff(samples, again); diff != "" || err != nil {
		t.Error("samples (-before +after):", diff, err)
	}
	for _, h := range before {
		data, err := s.BlockData(t.Context(), id, 1, h.Start)
		if err != nil || int64(len(data)) < h.Size || !bytes.Equal(data[:h.Size], sent[h.Start:h.Start+h.Size]) {
			t.Fatalf("block that was at %d: %d bytes, %v", h.Start, len(data), err)
		}
	}
	var missing *query.NotFoundError
	if _, err := s.BlockData(t.Context(), id, 1, int64(len(sent))); !errors.As(err, &missing) {
		t.Errorf("past the end: %v", err)
	}
}

func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Segments go when nothing in them is referred to; a run that goes on keeps working.
func TestSegmentsAreFreed(t *testing.T) {
	dir := t.TempDir()
	a, _ := openArchive(t)
	s, err := store.Open(t.Context(), store.Options{Dir: dir, Archive: a})
	if err != nil {
		t.Fatal(err)
	}
	id, sent := longRun(t, s, true)
	if n := len(filesIn(t, filepath.Join(dir, "segments"))); n != 1 {
		t.Fatalf("%d segments", n)
	}
	if err := s.Close(); err != nil { // the segment that grows is kept
		t.Fatal(err)
	}
	s = openWith(t, store.Options{Dir: dir, Archive: a})
	pack(t, s)
	if left := filesIn(t, filepath.Join(dir, "segments")); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Error("the journal differs")
	}
}

// broken is an archive that fails at a chosen moment.
type broken struct {
	store.Archive
	mu     sync.Mutex
	before error // instead of storing
	after  error // after storing
}

func (b *broken) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.before != nil {
		return b.before
	}
	return errors.Join(b.Archive.Put(ctx, key, r, size), b.after)
}

// Whatever fails while packing, the log stays as it was, packing succeeds later, and no
// object is left that nobody refers to.
func TestPackingFails(t *testing.T) {
	failure := errors.New("no")
	a, path := openArchive(t)
	b := &broken{Archive: a, before: failure}
	s := openWith(t, store.Options{Dir: t.TempDir(), Archive: b})
	id, sent := longRun(t, s, true)
	at := noon.Add(time.Hour)
	s.SetClock(func() time.Time { return at })
	for _, step := range []func(){func() {}, func() { b.before, b.after = nil, failure }} {
		step()
		tidy(t, s, at)
		if got := items(t, s); len(got) != 1 || got[0].Kind != "pack" || got[0].ID != id+"/1" || !strings.HasSuffix(got[0].Error, ": no") {
			t.Fatalf("troubled items: %+v", got)
		}
		if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
			t.Fatal("the journal differs after a failure")
		}
		at = at.Add(time.Hour)
	}
	b.after = nil
	for range 3 {
		at = at.Add(2 * time.Hour)
		if err := s.Tidy(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	wantTroubled(t, s)
	if body, _ := readBack(t, s, id, 1); !bytes.Equal(body, sent[journal.HeaderSize:]) {
		t.Fatal("the journal differs")
	}
	if left := filesIn(t, path); len(left) != 1 {
		t.Errorf("objects: %q", left)
	}
}

// A journal that could not be packed while the clock was ahead is packed when the clock is right again.
func TestPackingFollowsTheClock(t *testing.T) {
	failure := errors.New("no")
	a, _ := openArchive(t)
	b := &broken{Archive: a, before: failure}
	s := openWith(t, store.Options{Dir: t.TempDir(), Archive: b})
	longRun(t, s, true)
	at := noon.Add(400 * 24 * time.Hour)
	s.SetClock(func() time.Time { return at })
	tidy(t, s, at)
	if got := items(t, s); len(got) != 1 || got[0].Kind != "pack" {
		t.Fatalf("troubled items: %+v", got)
	}
	b.before = nil
	at = noon.Add(time.Hour)
	if err := s.Tidy(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	wantTroubled(t, s)
}

// Two servers that tidy the same database at once pack each journal once.
func TestTwoServersPack(t *testing.T) {
	url := postgrestest.URL(t)
	a, path := openArchive(t)
	stores := []*store.Store{openWith(t, store.Options{URL: url, Archive: a}), openWith(t, store.Options{URL: url, Archive: a})}
	type sent struct {
		id   string
		data []byte
	}
	var all []sent
	for range 4 {
		id, data := longRun(t, stores[0], true)
		all = append(all, sent{id, data})
	}
	var wg sync.WaitGroup
	for _, s := range stores {
		wg.Go(func() {
			if err := s.Tidy(context.Background(), noon.Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, r := range all {
		if body, _ := readBack(t, stores[1], r.id, 1); !bytes.Equal(body, r.data[journal.HeaderSize:]) {
			t.Errorf("run %s differs", r.id)
		}
	}
	if n := len(filesIn(t, path)); n != len(all) {
		t.Errorf("%d objects for %d journals", n, len(all))
	}
}

// The loop that keeps the store tidy ends with its context.
func TestMaintainEnds(t *testing.T) {
	s := openSQLite(t)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Maintain(ctx, func(err error) { t.Error(err) })
	}()
	cancel()
	<-done
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
