package store_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/journal"
)

// crashEnv makes the test binary the victim of TestKilledWhileIngesting.
const (
	crashEnv   = "STINT_TEST_CRASH_DIR"
	relaxedEnv = "STINT_TEST_CRASH_RELAXED"
	packEnv    = "STINT_TEST_CRASH_PACK" // the victim packs while it ingests
)

// ack is one line that the victim prints once an append is durable.
type ack struct {
	Run  string
	Size int64
}

// victimRuns is how many runs the victim feeds at once.
const victimRuns = 3

// victim ingests numbered lines, one group after the other, until it is killed.
func victim(dir string) error {
	ctx := context.Background()
	a, err := archive.OpenDir(filepath.Join(dir, "archive"))
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, store.Options{Dir: dir, Archive: a, Relaxed: os.Getenv(relaxedEnv) != ""})
	if err != nil {
		return err
	}
	var buffers [victimRuns]bytes.Buffer
	var writers [victimRuns]*journal.Writer
	group := make([]index.Append, victimRuns)
	for i := range victimRuns {
		if writers[i], err = journal.NewWriter(&buffers[i]); err != nil {
			return err
		}
		group[i] = index.Append{Run: victimID(i), Attempt: 1, At: noon}
		if err := writers[i].AppendJSON(journal.TypeAttempt, epoch, journal.Attempt{Run: victimID(i), Attempt: 1, Job: "victim"}); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		for i := range victimRuns {
			line := fmt.Appendf(nil, "%d %s\n", n, bytes.Repeat([]byte("x"), n*37%9000))
			if err := writers[i].Append(journal.OutputRecord(epoch, journal.Output{Stream: "stdout", Data: line})); err != nil {
				return err
			}
			group[i].Offset += int64(len(group[i].Data))
			group[i].Data = bytes.Clone(buffers[i].Bytes())
			buffers[i].Reset()
		}
		got, _, err := s.Ingest(ctx, group, nil)
		if err != nil {
			return err
		}
		if os.Getenv(packEnv) != "" && n%5 == 4 {
			if err := packNow(ctx, s, dir); err != nil {
				return err
			}
		}
		for i, a := range got {
			if a.Err != nil {
				return a.Err
			}
			if err := json.NewEncoder(os.Stdout).Encode(ack{victimID(i), a.Size}); err != nil {
				return err
			}
		}
	}
}

// packNow packs whatever there is, as if it were due.
func packNow(ctx context.Context, s *store.Store, dir string) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "stint.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, `UPDATE attempts SET pack_at = 0`); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(db.Close(), s.Tidy(ctx, noon.Add(time.Hour)))
}

func victimID(i int) string { return fmt.Sprintf("0199aaaa-0000-7000-8000-%012d", i) }

// What was acknowledged before a SIGKILL is there after it, exactly once, and the
// journal goes on from there: with full and with relaxed durability, and while journals
// are packed. Afterwards a check finds nothing wrong.
func TestKilledWhileIngesting(t *testing.T) {
	for round := range 9 {
		var env []string
		switch round % 3 {
		case 1:
			env = []string{relaxedEnv + "=1"}
		case 2:
			env = []string{packEnv + "=1"}
		}
		t.Run(fmt.Sprintf("round %d %s", round, env), func(t *testing.T) {
			dir := t.TempDir()
			acked := killVictim(t, dir, 20+rand.IntN(200), env)
			a, err := archive.OpenDir(filepath.Join(dir, "archive"))
			if err != nil {
				t.Fatal(err)
			}
			s := openWith(t, store.Options{Dir: dir, Archive: a})
			if found := check(t, s, false); len(found) > 0 {
				t.Errorf("found: %+v", found)
			}
			for id, size := range acked {
				checkVictim(t, s, id, size)
			}
			if err := s.Tidy(t.Context(), noon.Add(30*time.Hour)); err != nil {
				t.Error(err)
			}
			for id, size := range acked {
				if body, _ := readBack(t, s, id, 1); int64(len(body)) < size-journal.HeaderSize {
					t.Errorf("run %s: %d bytes after packing, %d acknowledged", id, len(body), size)
				}
			}
		})
	}
}

// killVictim runs the victim until it has acknowledged a number of appends, kills it, and
// returns what it had acknowledged.
func killVictim(t *testing.T, dir string, after int, env []string) map[string]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]int64{}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var a ack
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			continue // cut off by the kill
		}
		acked[a.Run] = max(acked[a.Run], a.Size)
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || ctx.Err() != nil {
		t.Fatalf("the victim ended by itself: %v", err)
	}
	if len(acked) != victimRuns {
		t.Fatalf("acknowledged: %v", acked)
	}
	return acked
}

func checkVictim(t *testing.T, s *store.Store, id string, acked int64) {
	t.Helper()
	size, err := s.JournalSize(t.Context(), id, 1)
	if err != nil || size < acked {
		t.Fatalf("run %s: %d bytes of %d acknowledged, %v", id, size, acked, err)
	}
	body, _ := readBack(t, s, id, 1)
	if int64(len(body)) != size-journal.HeaderSize {
		t.Fatalf("run %s: blocks hold %d bytes of %d", id, len(body), size)
	}
	n := 0
	for at := int64(0); at < int64(len(body)); {
		rec, length, err := journal.Next(body[at:], at)
		if err != nil {
			t.Fatal(err)
		}
		at += int64(length)
		if rec.Type != journal.TypeOutput {
			continue
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil || !bytes.HasPrefix(o.Data, fmt.Appendf(nil, "%d ", n)) {
			t.Fatalf("run %s: line %d is %.20q, %v", id, n, o.Data, err)
		}
		n++
	}
	if run := mustRun(t, s, id); run.Output.Lines != int64(n) {
		t.Errorf("run %s: %d lines, want %d", id, run.Output.Lines, n)
	}
	next := journal.AppendRecord(nil, journal.OutputRecord(epoch, journal.Output{Stream: "stdout", Data: []byte("on\n")}))
	one(t, s, id, 1, size, next)
}
