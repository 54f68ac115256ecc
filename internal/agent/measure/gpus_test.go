package measure

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGPUs puts an nvidia-smi on a PATH of its own, before the rest, and returns the
// environment that has it.
func fakeGPUs(t *testing.T, script string) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir, os.Environ()
}

// A driver in trouble is queried three times, and noted once.
func TestGPUsThatCannotBeRead(t *testing.T) {
	for _, script := range []string{"echo 'NVIDIA-SMI has failed'; exit 9", "echo no devices were found", "kill -9 $$"} {
		dir, env := fakeGPUs(t, "echo x >> \"$(dirname \"$0\")/asked\"\n"+script)
		var notes []string
		g := gpus{note: func(note string) { notes = append(notes, note) }}
		g.watch(t.Context(), "", env, time.Millisecond)
		asked, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil || strings.Count(string(asked), "x") != gpuFailures {
			t.Errorf("%q was asked %q, %v", script, asked, err)
		}
		if len(notes) != 1 || !strings.Contains(notes[0], "GPUs are no longer measured") || g.take() != nil {
			t.Errorf("%q: notes %q", script, notes)
		}
	}
}

// One that hangs does not hold up the end.
func TestGPUsThatDoNotAnswer(t *testing.T) {
	dir, env := fakeGPUs(t, ": > \"$(dirname \"$0\")/asked\"\nexec sleep 300")
	g := gpus{note: func(note string) { t.Error(note) }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.watch(ctx, "", env, time.Millisecond) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(filepath.Join(dir, "asked")); err == nil {
			break
		}
	}
	cancel()
	<-done
}

func TestHostWithoutGPUs(t *testing.T) {
	g := gpus{note: func(note string) { t.Error(note) }}
	g.watch(t.Context(), "", []string{"PATH=" + t.TempDir()}, time.Millisecond)
	if g.take() != nil {
		t.Error("GPUs out of nowhere")
	}
}
