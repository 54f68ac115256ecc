package record

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testRun = "01890000-0000-7000-8000-000000000001"

// says collects the lines for people.
type says struct {
	mu    sync.Mutex
	lines []string
}

func (s *says) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// view is the output of a journal.
type view struct {
	output map[job.Stream][]byte
	gaps   []job.Gap
}

// readJournal reads the output of a journal, and proves that it is whole.
func readJournal(t *testing.T, data []byte) view {
	t.Helper()
	rec, err := journal.Recover(bytes.NewReader(data))
	if err != nil || rec.Torn != 0 {
		t.Fatalf("journal of %d bytes: error %v, %d bytes torn", len(data), err, rec.Torn)
	}
	v := view{output: map[job.Stream][]byte{}}
	digest := journal.NewDigester()
	digest.Header(data)
	for at := int64(journal.HeaderSize); at < int64(len(data)); {
		r, n, err := journal.Next(data[at:], at)
		if err != nil {
			t.Fatal(err)
		}
		switch r.Type {
		case journal.TypeOutput:
			o, err := journal.DecodeOutput(r)
			if err != nil {
				t.Fatal(err)
			}
			v.output[o.Stream] = append(v.output[o.Stream], o.Data...)
		case journal.TypeGap:
			var g job.Gap
			if err := journal.Decode(r, &g); err != nil {
				t.Fatal(err)
			}
			v.gaps = append(v.gaps, g)
		case journal.TypeOutcome:
			var f journal.Final
			if err := journal.Decode(r, &f); err != nil {
				t.Fatal(err)
			}
			if f.Bytes != at || f.Digest != digest.Sum() {
				t.Errorf("the outcome says %d bytes, digest %s; the journal has %d, %s", f.Bytes, f.Digest, at, digest.Sum())
			}
		}
		digest.Record(data[at : at+int64(n)])
		at += int64(n)
	}
	return v
}

// contents is all of a journal from an offset on.
func contents(t *testing.T, j io.ReaderAt, offset int64) []byte {
	t.Helper()
	all, err := io.ReadAll(io.NewSectionReader(j, offset, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// randomBytes is the same at each call, and compresses badly.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1, 2, 3}).Read(b) // never fails
	return b
}
