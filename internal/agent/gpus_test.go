package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

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

func TestSamplesHaveGPUs(t *testing.T) {
	s := newMemoryServer()
	dir, env := fakeGPUs(t, `
[ -z "$STINT_RUN_ID" ] || exit 1
case $1 in --query-gpu=index,name,utilization.gpu,memory.used,memory.total) ;; *) exit 1;; esac
echo '0, Tesla T4, 55, 1024, 15360'
: > "$(dirname "$0")/asked"`)
	c, messages := config(t, s, "until [ -e '"+dir+"/asked' ]; do sleep 0.02; done; sleep 0.1")
	c.Env, c.SamplePeriod = env, 20*time.Millisecond
	if got := Run(t.Context(), c); got.ExitCode != 0 || !got.Complete {
		t.Fatalf("result %+v, said %q", got, messages.text())
	}
	var readings [][]job.GPU
	v := s.read(t, testRun)
	for _, sample := range v.samples {
		if sample.GPUs != nil {
			readings = append(readings, sample.GPUs)
		}
	}
	busy := 55.0
	want := [][]job.GPU{{{Index: 0, Name: "Tesla T4", UtilizationPercent: &busy, MemoryBytes: 1 << 30, MemoryTotalBytes: 15 << 30}}}
	if d := cmp.Diff(want, readings); d != "" {
		t.Errorf("%s, notes %q", d, v.notes)
	}
}

// A driver in trouble is asked three times, and said once.
func TestGPUsThatCannotBeRead(t *testing.T) {
	for _, script := range []string{"echo 'NVIDIA-SMI has failed'; exit 9", "echo no devices were found", "kill -9 $$"} {
		dir, env := fakeGPUs(t, "echo x >> \"$(dirname \"$0\")/asked\"\n"+script)
		var notes []string
		g := gpus{tell: func(note string) { notes = append(notes, note) }}
		g.watch(t.Context(), "", env, time.Millisecond)
		asked, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil || strings.Count(string(asked), "x") != gpuFailures {
			t.Errorf("%q was asked %q, %v", script, asked, err)
		}
		if len(notes) != 1 || !strings.Contains(notes[0], "GPUs are not measured any more") || g.take() != nil {
			t.Errorf("%q: notes %q", script, notes)
		}
	}
}

// One that hangs does not hold up the end.
func TestGPUsThatDoNotAnswer(t *testing.T) {
	dir, env := fakeGPUs(t, ": > \"$(dirname \"$0\")/asked\"\nexec sleep 300")
	g := gpus{tell: func(note string) { t.Error(note) }}
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
	g := gpus{tell: func(note string) { t.Error(note) }}
	g.watch(t.Context(), "", []string{"PATH=" + t.TempDir()}, time.Millisecond)
	if g.take() != nil {
		t.Error("GPUs out of nowhere")
	}
}
