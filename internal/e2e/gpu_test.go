package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"stint.dev/stint/job"
)

// What nvidia-smi printed is in the samples that the server returns.
func TestGPUsReachTheServer(t *testing.T) {
	s, h := startServer(t), newHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\necho '1, Tesla T4, 7, 100, 200'\n: > "+dir+"/asked\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := h.run("run", "--server", s.url, "--job", "gpu", "--env", "PATH="+dir+":"+os.Getenv("PATH"), "-c",
		"until [ -e "+dir+"/asked ]; do sleep 0.05; done; sleep 0.2")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	s.ended("gpu#1")
	var series struct{ Samples []job.Sample }
	if err := json.Unmarshal(s.get("/api/v1/runs/gpu%231/samples"), &series); err != nil {
		t.Fatal(err)
	}
	for _, sample := range series.Samples {
		if len(sample.GPUs) == 1 && sample.GPUs[0].Name == "Tesla T4" && *sample.GPUs[0].UtilizationPercent == 7 && sample.GPUs[0].MemoryTotalBytes == 200<<20 {
			return
		}
	}
	t.Errorf("no sample has the GPU: %+v", series.Samples)
}
