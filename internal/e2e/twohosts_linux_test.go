package e2e

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// twoHostsYAML prints a line at a time until it is stopped, in its first attempt and only if it is asked to.
const twoHostsYAML = `job: report
script: |
  echo "day $DAY, attempt $STINT_ATTEMPT on $(hostname)"
  if [ "$STAYS" = true ] && [ "$STINT_ATTEMPT" = 1 ]; then
    n=0
    while :; do n=$((n+1)); echo "line $n"; sleep 0.2; done
  fi
  exit 7
parameters:
  - {name: DAY, type: date}
  - {name: STAYS, type: boolean, default: "false"}
retries: {limit: 1, backoff: 1s, on: [agent_lost]}
`

// remote is a host of its own: a network namespace, a host name, a state directory, and a worker there.
type remote struct {
	*elsewhere
	*host
	worker *exec.Cmd
}

// startRemote starts a worker on a host of its own, whose host name is that of the worker.
func startRemote(t *testing.T, s *server, admin *client.Client, number int, name string) *remote {
	t.Helper()
	r := &remote{elsewhere: newElsewhere(t, number), host: newHost(t)}
	token, err := admin.CreateToken(t.Context(), name, "worker", 0, client.TokenWorker{Worker: name})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(r.state, "token")
	if err := os.WriteFile(file, []byte(token.Secret), 0o600); err != nil {
		t.Fatal(err)
	}
	messages, err := os.Create(r.messagesFile())
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	r.worker = exec.Command("ip", "netns", "exec", r.name, "unshare", "-u", "sh", "-c", `hostname "$0" && exec "$@"`, name,
		stintAgent, "worker", "run", "--server", "http://"+r.here+":"+port, "--name", name, "--token-file", file)
	r.worker.Env, r.worker.Stdout, r.worker.Stderr = r.environment(), messages, messages
	if err := r.worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.worker.Process.Kill()
		_ = r.worker.Wait() // it was killed
		if t.Failed() {
			t.Logf("worker %s and its agents printed:\n%s", name, r.messages())
		}
	})
	return r
}

func (r *remote) messagesFile() string { return filepath.Join(r.state, "messages") }

func (r *remote) messages() string {
	text, _ := os.ReadFile(r.messagesFile()) // it is made before the worker
	return string(text)
}

// cable cuts the host off, or connects it again.
func (r *remote) cable(state string) {
	r.elsewhere.t.Helper()
	if err := ip("link", "set", r.near, state); err != nil {
		r.elsewhere.t.Fatal(err)
	}
}

// A run is submitted from a file and ends with the code of its job. When the host of another run is cut off,
// the run starts again on the other host, and the first attempt is informed so when its host is back.
func TestRunOnTwoHosts(t *testing.T) {
	s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), url: "http://" + freeAddress(t)}
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	s.start("--listen", "0.0.0.0:"+port)
	t.Cleanup(s.stop)
	first, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	admin := strings.TrimSpace(string(first))
	api, err := client.New(client.Options{URL: s.url, Token: admin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	a := asker{newHost(t), s.url}
	stintWith := func(args ...string) result { return a.run(append(args, "--token", admin)...) }
	wantResult(t, stintWith("apply", filepath.Join(writeFiles(t, "report.yaml", twoHostsYAML), "report.yaml")), 0, "created")
	w1 := startRemote(t, s, api, 241, "host-one")
	startRemote(t, s, api, 242, "host-two")

	wantResult(t, stintWith("submit", "report", "--param", "DAY=2026-11-27", "--wait"), 7, "report#1 is failed")

	wantResult(t, stintWith("worker", "drain", "host-two"), 0)
	run := submitted(t, stintWith("submit", "report", "--param", "DAY=2026-11-28", "--param", "STAYS=true", "--json"))
	eventually(t, "it is running on the first host", func() bool { return hasLine(t, api, run.ID, 1, "line 3") })
	wantResult(t, stintWith("worker", "resume", "host-two"), 0)
	w1.cable("down")
	wantResult(t, stintWith("wait", run.ID), 7, "report#2 is failed")
	got, err := api.Run(t.Context(), run.ID)
	if err != nil || got.Attempt != 2 || got.Host != "host-two" || got.Submitted.Worker != "host-two" || got.Outcome.Reason != job.ExitCode {
		t.Errorf("%+v, %+v: %v", got, got.Outcome, err)
	}
	wantEvent(t, api, run.ID, 1, job.Lost)
	if text := logOf(t, api, run.ID, 2); text != "day 2026-11-28, attempt 2 on host-two\n" {
		t.Errorf("the log of the second attempt: %q", text)
	}

	known := strings.Count(logOf(t, api, run.ID, 1), "\n")
	w1.cable("up")
	eventually(t, "the first attempt has ended, and its journal was delivered", func() bool { return len(agentsOf(t, run.ID)) == 0 && isEmptySpool(t, w1.host) })
	if text := journalOf(t, api, run.ID, 1); !bytes.Contains(text, []byte("A newer attempt owns this run")) {
		t.Error("the first attempt was not informed that it was superseded")
	}
	if lines := strings.Count(logOf(t, api, run.ID, 1), "\n"); lines <= known {
		t.Errorf("the log of the first attempt has %d lines, and had %d before its host was back", lines, known)
	}
	if lines := strings.Split(strings.TrimSpace(logOf(t, api, run.ID, 1)), "\n"); lines[0] != "day 2026-11-28, attempt 1 on host-one" || !countsUp(lines[1:]) {
		t.Errorf("the log of the first attempt: %q", lines)
	}
	if after, err := api.Run(t.Context(), run.ID); err != nil || after.Attempt != 2 || after.State != job.Failed {
		t.Errorf("%+v: %v", after, err)
	}
}

// logOf reads what an attempt printed on its stdout.
func logOf(t *testing.T, api *client.Client, run string, attempt int) string {
	t.Helper()
	var b bytes.Buffer
	if err := api.Log(context.Background(), &b, run, client.LogQuery{Attempt: attempt, Stream: "stdout"}, false); err != nil {
		t.Errorf("the log of attempt %d: %v", attempt, err)
	}
	return b.String()
}

// journalOf reads the journal of an attempt.
func journalOf(t *testing.T, api *client.Client, run string, attempt int) []byte {
	t.Helper()
	body, err := api.Journal(t.Context(), run, attempt, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func hasLine(t *testing.T, api *client.Client, run string, attempt int, line string) bool {
	var b bytes.Buffer
	err := api.Log(t.Context(), &b, run, client.LogQuery{Attempt: attempt, Stream: "stdout"}, false)
	return err == nil && slices.Contains(strings.Split(b.String(), "\n"), line) // there is no log before the start
}

func wantEvent(t *testing.T, api *client.Client, run string, attempt int, to job.State) {
	t.Helper()
	events, err := api.Events(t.Context(), run)
	if err != nil || !slices.ContainsFunc(events, func(e job.RunEvent) bool { return e.Attempt == attempt && e.To == string(to) }) {
		t.Errorf("attempt %d never was %s: %+v, %v", attempt, to, events, err)
	}
}

func isEmptySpool(t *testing.T, h *host) bool {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(h.state, "spool", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(left) == 0
}

// countsUp reports whether lines are "line 1", "line 2" and so on.
func countsUp(lines []string) bool {
	number := regexp.MustCompile(`^line (\d+)$`)
	for i, line := range lines {
		if m := number.FindStringSubmatch(line); m == nil || m[1] != strconv.Itoa(i+1) {
			return false
		}
	}
	return len(lines) > 0
}
