package flush

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// deliveredInPart puts a journal of several files into the spool of a state directory, whose
// first ones were deleted because the server has them, as the server does.
func deliveredInPart(t *testing.T, state string, n int, s *server) {
	t.Helper()
	sp, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := sp.Create(spool.Meta{Run: run(n), Attempt: 1, Job: "test", Server: here}, spool.Limits{Segment: 2 << 10, Unsent: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	print := func(text string) {
		if err := j.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: []byte(strings.Repeat(text, 100))})); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.AppendJSON(journal.TypeAttempt, now, journal.Attempt{Run: run(n), Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		print("first ")
	}
	has := make([]byte, j.Size())
	if _, err := j.ReadAt(has, 0); err != nil {
		t.Fatal(err)
	}
	s.journals[run(n)] = has
	j.Acknowledge(j.Size())
	for range 20 {
		print("second")
	}
	err = errors.Join(j.Finish(now, journal.Final{Outcome: job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})}), j.Close())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(j.Path(), "journal")); err != nil || info.Size() != 0 {
		t.Fatalf("nothing was deleted: the test shows nothing (%v)", err)
	}
}

// contents returns the segments of a journal, by name.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "journal*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, path := range files {
		if out[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// absurd are values that fit no field, or are far out of its range.
var absurd = []string{
	`null`, `true`, `""`, `"x"`, `"../../../etc"`, `"\u0000"`, `0`, `-1`, `-5`, `1.5`, `1e99`, `17`, `4096`, `999999`,
	`9223372036854775807`, `-9223372036854775808`, `18446744073709551616`, `[]`, `[1]`, `{}`, `{"x":1}`, `{"name":7,"boot_id":[]}`,
}

// Whatever meta.json contains, a journal is delivered whole, or reported as broken or meant for
// others and left as it is; it is never delivered under another name, and nothing hangs.
func TestAbsurdMeta(t *testing.T) {
	fields := []string{"run", "attempt", "job", "server", "created_at", "pid", "host", "acknowledged", "beginning", "refused", "outcome"}
	inner := []string{"size", "attempt", "open", "last_at", "digest"}
	for _, partly := range []bool{false, true} {
		has := &server{journals: map[string][]byte{}}
		original := t.TempDir()
		if partly {
			deliveredInPart(t, original, 1, has)
		} else {
			wait(t, original, 1, here)
		}
		check := func(damage func(map[string]any), name string) {
			t.Helper()
			state := filepath.Join(t.TempDir(), "state")
			if err := os.CopyFS(state, os.DirFS(original)); err != nil {
				t.Fatal(err)
			}
			s := &server{journals: map[string][]byte{}}
			for id, data := range has.journals {
				s.journals[id] = bytes.Clone(data)
			}
			checkDamaged(t, state, s, damage, name)
		}
		for _, field := range fields {
			for _, value := range append([]string{"missing"}, absurd...) {
				check(func(meta map[string]any) { change(meta, field, value) }, field+" "+value)
			}
		}
		if partly {
			for _, field := range inner {
				for _, value := range append([]string{"missing"}, absurd...) {
					check(func(meta map[string]any) { change(meta["beginning"].(map[string]any), field, value) }, "beginning."+field+" "+value)
				}
			}
		}
	}
}

// change sets a field to a value, given as JSON, or leaves it out.
func change(fields map[string]any, field, value string) {
	delete(fields, field)
	if value != "missing" {
		fields[field] = json.RawMessage(value)
	}
}

// checkDamaged damages the meta file of a journal and flushes it.
func checkDamaged(t *testing.T, state string, s *server, damage func(map[string]any), name string) {
	t.Helper()
	dir := filepath.Join(state, "spool", run(1)+".1")
	path := filepath.Join(dir, "meta.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var meta map[string]any
	if err := json.Unmarshal(text, &meta); err != nil {
		t.Fatal(err)
	}
	damage(meta)
	if text, err = json.Marshal(meta); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for range 2 { // the second time is no worse
		flushDamaged(t, state, s, before, name)
	}
}

func flushDamaged(t *testing.T, state string, s *server, before map[string][]byte, name string) {
	t.Helper()
	dir := filepath.Join(state, "spool", run(1)+".1")
	report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "here"}})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for id := range s.journals {
		if id != run(1) {
			t.Fatalf("%s: delivered as run %q", name, id)
		}
	}
	if len(report.Journals) == 0 { // the second time
		return
	}
	got := report.Journals[0]
	if got.Run != run(1) || got.Attempt != 1 {
		t.Errorf("%s: reported as %s.%d", name, got.Run, got.Attempt)
	}
	if got.Delivered {
		rec, err := journal.Recover(bytes.NewReader(s.journals[run(1)]))
		if err != nil || !rec.Ended || rec.Torn != 0 {
			t.Errorf("%s: delivered %+v, error %v", name, rec, err)
		}
		return
	}
	if got.Err == nil && got.Skipped == "" {
		t.Errorf("%s: neither delivered nor named: %+v", name, got)
	}
	for file, data := range contents(t, dir) {
		if !bytes.HasPrefix(data, before[file]) {
			t.Errorf("%s: %s has %d bytes, %d before", name, file, len(data), len(before[file]))
		}
		delete(before, file)
	}
	if len(before) > 0 {
		t.Errorf("%s: %d files were deleted", name, len(before))
	}
}

// What no journal can be is named, left as it is, and does not keep others from being delivered.
func TestDamagedJournals(t *testing.T) {
	huge := func(path string) error {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(1<<40), f.Close())
	}
	for name, c := range map[string]struct {
		damage    func(dir string) error
		delivered bool
	}{
		"a huge torn end":         {func(dir string) error { return huge(filepath.Join(dir, "journal")) }, true},
		"a huge meta file":        {func(dir string) error { return huge(filepath.Join(dir, "meta.json")) }, true},
		"a huge note":             {func(dir string) error { return huge(filepath.Join(dir, "tail.json")) }, true},
		"a huge tail":             {func(dir string) error { return huge(filepath.Join(dir, "tail.00000001")) }, true},
		"a huge segment":          {func(dir string) error { return huge(filepath.Join(dir, "journal.00000000000f4240")) }, true},
		"a segment far away":      {func(dir string) error { return huge(filepath.Join(dir, "journal.7fffffffffffffff")) }, true},
		"a name of another form":  {func(dir string) error { return huge(filepath.Join(dir, "journal.10")) }, true},
		"a damaged header":        {func(dir string) error { return overwrite(filepath.Join(dir, "journal"), 3) }, false},
		"a damaged first record":  {func(dir string) error { return overwrite(filepath.Join(dir, "journal"), 60) }, false},
		"no name of a run":        {func(dir string) error { return os.Rename(dir, filepath.Join(filepath.Dir(dir), "lost+found")) }, false},
		"no number of an attempt": {func(dir string) error { return os.Rename(dir, filepath.Join(filepath.Dir(dir), run(1)+".-1")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			wait(t, state, 1, here)
			wait(t, state, 2, here)
			dir := filepath.Join(state, "spool", run(1)+".1")
			whole := contents(t, dir)["journal"]
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			s := &server{journals: map[string][]byte{}}
			report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "here"}})
			if err != nil || len(report.Journals) != 2 || len(s.journals[run(2)]) == 0 {
				t.Fatalf("report %+v, error %v", report, err)
			}
			left, err := filepath.Glob(filepath.Join(state, "spool", "*", "journal"))
			if err != nil {
				t.Fatal(err)
			}
			if c.delivered {
				if !bytes.Equal(s.journals[run(1)], whole) || len(left) > 0 {
					t.Errorf("%d of %d bytes were delivered; report %+v", len(s.journals[run(1)]), len(whole), report)
				}
				return
			}
			if len(left) != 1 || len(s.journals) != 1 {
				t.Fatalf("left %v; report %+v", left, report)
			}
			if data, err := os.ReadFile(left[0]); err != nil || len(data) != len(whole) {
				t.Errorf("of %d bytes %d are left, error %v", len(whole), len(data), err)
			}
			for _, j := range report.Journals {
				if j.Path == filepath.Dir(left[0]) && (j.Err == nil || isOutage(j.Err)) {
					t.Errorf("not named: %+v", j)
				}
			}
		})
	}
}

// overwrite changes a byte of a file.
func overwrite(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{'#'}, at)
	return errors.Join(err, f.Close())
}

// A journal that takes long to read does not keep a flush from ending.
func TestFlushEndsWhileItReads(t *testing.T) {
	state := t.TempDir()
	wait(t, state, 1, here)
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e, _ := s.Entry(run(1) + ".1")
	if _, _, err := s.Adopt(ctx, e); !errors.Is(err, context.Canceled) {
		t.Errorf("adopted after the end: %v", err)
	}
	if again, _ := s.Entry(run(1) + ".1"); again.Size != e.Size {
		t.Errorf("the journal has %d bytes, %d before", again.Size, e.Size)
	}
}
