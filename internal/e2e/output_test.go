package e2e

import "testing"

// Under 2>&1 the order of the streams is exact with --merge-output.
func TestMergeOutput(t *testing.T) {
	s, h := startServer(t), newHost(t)
	const script = `{ for i in 1 2 3 4 5 6 7 8 9; do echo "out $i"; echo "err $i" >&2; done; }`
	want := finish(t, h.command("sh", "-c", script+" 2>&1")).stdout
	cmd := h.command("sh", "-c", stint+` run --server `+s.url+` --job merged --merge-output -c "$JOB" 2>&1`)
	cmd.Env = append(cmd.Env, "JOB="+script)
	if got := finish(t, cmd); got.code != 0 || got.stdout != want {
		t.Errorf("stint run --merge-output 2>&1: %+v, want %q", got, want)
	}
	wantLog(t, s, s.ended("merged#1").ID, []byte(want))
}
