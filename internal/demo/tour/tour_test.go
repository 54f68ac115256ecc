package tour

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/job"
)

func TestTheDefinitionIsValid(t *testing.T) {
	if _, mistakes := definition.Parse([]byte(report), nil); len(mistakes) > 0 {
		t.Errorf("%+v", mistakes)
	}
}

func TestProgress(t *testing.T) {
	on := &job.Submission{Worker: "east"}
	for _, c := range []struct {
		run  job.Run
		want string
	}{
		{job.Run{Attempt: 1, State: job.Running, Submitted: on}, "attempt 1 running on east"},
		{job.Run{Attempt: 1, State: job.Retrying, Submitted: on}, "attempt 1 was lost; attempt 2 waits for a worker"},
		{job.Run{Attempt: 2, State: job.Running, Submitted: on}, "attempt 2 running on east, because attempt 1 was lost"},
		{job.Run{Attempt: 2, State: job.Succeeded, Submitted: on}, "attempt 2 succeeded"},
	} {
		if got := progress(c.run); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestAWorkerHasItsOwnState(t *testing.T) {
	got := environment([]string{"PATH=/bin", "STINT_STATE=/shared", "STINT_LABEL=a=b"}, "/tmp/east")
	if want := []string{"STINT_STATE=/tmp/east", "PATH=/bin"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAgentsOfAWorker(t *testing.T) {
	w := worker{state: t.TempDir()}
	dir := filepath.Join(w.state, "worker", "agents")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a": `{"claim":"c","pid":4711}`, "b": `{"claim":"d"}`, "c": "", "d": `{"pid":1}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pids, err := w.agents(); err != nil || !slices.Equal(pids, []int{4711}) {
		t.Errorf("%v, %v", pids, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "e"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.agents(); err == nil {
		t.Error("a broken record is no error")
	}
}
