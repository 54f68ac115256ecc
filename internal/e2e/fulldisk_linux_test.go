package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// onSmallDisk runs stint with a disk of 16 MiB of its own for the state directory, which the
// script fill fills. What is left in the spool is listed at the end of stderr.
const onSmallDisk = `set -e
mount --make-rprivate /
mount -t tmpfs -o size=16m,mode=700 none "$STINT_STATE"
export fill='! cat /dev/zero > "$STINT_STATE/others" 2>/dev/null'
eval "$before"
set +e
"$@"
code=$?
ls "$STINT_STATE/spool" | sed 's/^/left: /' >&2
exit $code`

// A state directory whose disk is full before the start, in the middle or at the end of a job is
// no concern of the job. The server gets all, and one line at most says what was wrong.
func TestFullStateDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	if why := cannotUnshare(); why != "" {
		if os.Getenv("CI") != "" { // root may do it there
			t.Fatal(why)
		}
		t.Skip(why)
	}
	s := startServer(t)
	const lines = 300_000 // 2 MB
	print := func(from int) string { return "seq " + strconv.Itoa(from) + " " + strconv.Itoa(from+lines-1) }
	var text strings.Builder
	for n := range 2 * lines {
		text.WriteString(strconv.Itoa(n+1) + "\n")
	}
	// What a full disk does not take is kept for a moment if the server has not answered yet.
	known := `until "$stint" show "$STINT_RUN_ID" --server ` + s.url + ` >/dev/null 2>&1; do sleep 0.1; done; `
	for _, c := range []struct{ name, before, script string }{
		{"before", `eval "$fill"`, print(1) + "; " + print(lines+1)},
		{"nearly-before", `eval "$fill"; truncate -s -16K "$STINT_STATE/others"`, print(1) + "; " + print(lines+1)},
		{"middle", "", print(1) + `; eval "$fill"; ` + print(lines+1)},
		{"end", "", print(1) + "; " + print(lines+1) + `; eval "$fill"`},
		{"comes-and-goes", "", print(1) + `; eval "$fill"; sleep 1.5; rm "$STINT_STATE/others"; ` + print(lines+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			cmd := h.command("unshare", "-m", "sh", "-c", onSmallDisk, "sh", stint, "run", "--server", s.url, "--job", c.name, "-c", known+c.script+"; exit 3")
			cmd.Env = append(cmd.Env, "before="+c.before, "stint="+stint)
			got := finish(t, cmd)
			if got.code != 3 || got.stdout != text.String() {
				t.Errorf("code %d, %d of %d bytes; stderr %q", got.code, len(got.stdout), text.Len(), got.stderr)
			}
			if strings.Count(got.stderr, "\n") > 1 || strings.Contains(got.stderr, "left: ") {
				t.Errorf("stderr %q, want one line at most, and nothing left in the spool", got.stderr)
			}
			r := s.ended(c.name + "#1")
			wantEnd(t, r, job.Failed, job.ExitCode, 3)
			if log := s.log(r.ID, ""); string(log) != text.String() || !r.Output.Complete {
				t.Errorf("the log has %d of %d bytes; %+v", len(log), text.Len(), r.Output)
			}
		})
	}
}
