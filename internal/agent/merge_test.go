package agent

import (
	"io"
	"testing"

	"stint.dev/stint/job"
)

// With one pipe for both streams, their order is kept; install steps keep two.
func TestMergedOutputKeepsItsOrder(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done")
	c.MergeOutput, c.Install = true, []string{"echo out; echo err >&2"}
	outR, outW, errR, errW := pipes(t)
	c.Quiet, c.Stdout, c.Stderr = false, outW, errW
	if got := Run(t.Context(), c); got.ExitCode != 0 || !got.Complete {
		t.Errorf("result %+v", got)
	}
	outW.Close()
	errW.Close()
	const want = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nout 4\nerr 4\nout 5\nerr 5\n"
	v := s.read(t, testRun)
	for key, text := range map[streamKey]string{
		{0, job.Stdout}: "out\n", {0, job.Stderr}: "err\n", {1, job.Stdout}: want, {1, job.Stderr}: "",
	} {
		if got := string(v.output[key]); got != text {
			t.Errorf("%v recorded %q, want %q", key, got, text)
		}
	}
	out, _ := io.ReadAll(outR)
	errs, _ := io.ReadAll(errR)
	if string(out) != "out\n"+want || string(errs) != "err\n" {
		t.Errorf("passed on %q and %q", out, errs)
	}
}
