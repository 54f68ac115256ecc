package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStudyFindsWhatIsThere runs all phases over a text whose answers are known.
func TestStudyFindsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	passage := "it was the best of times, it was the worst of times\n"
	text := passage + strings.Repeat("alpha beta gamma\n", 3) + "a line of its own\n" + passage
	if err := os.WriteFile(filepath.Join(dir, CorpusFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if err := Study(context.Background(), dir, &out, &errOut); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"phase 3 of 3", "        4  the", fmt.Sprintf("occurs twice has %d characters", len(passage)), "\ndone\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the study does not say %q:\n%s", want, out.String())
		}
	}
	if !strings.Contains(errOut.String(), "\r") {
		t.Errorf("no progress bar on stderr:\n%q", errOut.String())
	}
}

func TestStudyStopsWhenAsked(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, CorpusFile), bytes.Repeat([]byte("one two three\n"), 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	cancel(why)
	if err := Study(ctx, dir, &bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, why) {
		t.Fatalf("got %v, want the cause of the stop", err)
	}
}

func TestStudyNeedsTheInstallStep(t *testing.T) {
	err := Study(context.Background(), t.TempDir(), &bytes.Buffer{}, &bytes.Buffer{})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "install step") {
		t.Fatalf("got %v, want a missing corpus and what makes it", err)
	}
}

func TestCollectTakesTextOnly(t *testing.T) {
	dir := t.TempDir()
	c := &collector{w: &bytes.Buffer{}, seen: map[string]bool{}}
	for name, data := range map[string]string{"text": "hello\n", "binary": "a\x00b", "latin1": "caf\xe9\n", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := filepath.WalkDir(dir, c.visit); err != nil {
		t.Fatal(err)
	}
	if got := c.w.(*bytes.Buffer).String(); got != "hello\n\n" || c.files != 1 {
		t.Fatalf("took %d files: %q", c.files, got)
	}
}
