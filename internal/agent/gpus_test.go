package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

func TestSamplesHaveGPUs(t *testing.T) {
	s := newMemoryServer()
	dir := t.TempDir()
	const script = `#!/bin/sh
[ -z "$STINT_RUN_ID" ] || exit 1
case $1 in --query-gpu=index,name,utilization.gpu,memory.used,memory.total) ;; *) exit 1;; esac
echo '0, Tesla T4, 55, 1024, 15360'
: > "$(dirname "$0")/asked"`
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	c, messages := config(t, s, "until [ -e '"+dir+"/asked' ]; do sleep 0.02; done; sleep 0.1")
	c.Env, c.SamplePeriod = pathBefore(c.Env, dir), 20*time.Millisecond
	if got := Run(t.Context(), c); got.ExitCode != 0 || !got.Complete {
		t.Fatalf("result %+v, messages %q", got, messages.text())
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
