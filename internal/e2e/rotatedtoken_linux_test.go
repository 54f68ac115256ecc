package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// rotated is a server that needs tokens, and a file with one that is replaced while it is used.
type rotated struct {
	*server
	admin asker
	file  string // of the token that is replaced
}

func newRotated(t *testing.T) *rotated {
	s := startServer(t, "--require-token")
	r := &rotated{server: s, admin: asker{newHost(t), s.url}, file: filepath.Join(t.TempDir(), "token")}
	r.admin.env = append(r.admin.env, "STINT_TOKEN_FILE="+filepath.Join(s.data, "admin.token"))
	return r
}

// create makes a token.
func (r *rotated) create(name, scope string, args ...string) string {
	r.t.Helper()
	got := r.admin.run(append([]string{"token", "create", "--name", name, "--scope", scope, "--json"}, args...)...)
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(got.stdout), &made); err != nil || made.Token == "" {
		r.t.Fatalf("make a token: %+v, %v", got, err)
	}
	return made.Token
}

func (r *rotated) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// shown returns a run.
func (r *rotated) shown(ref string) (run job.Run) {
	_ = json.Unmarshal([]byte(r.admin.run("show", ref, "--json").stdout), &run) // the zero run where there is none
	return run
}

// beat returns when the last heartbeat of a run arrived; zero for none.
func (r *rotated) beat(ref string) (at time.Time) {
	if last := r.shown(ref).LastHeartbeatAt; last != nil {
		at = *last
	}
	return at
}

// A run and a worker go on with the token that their file has when the server refuses the one before; an empty file is
// reported once.
func TestTokenIsRotatedWhileItIsUsed(t *testing.T) {
	t.Run("run", func(t *testing.T) {
		r := newRotated(t)
		r.write(r.create("hosts-1", "agent"))
		goOn := filepath.Join(t.TempDir(), "go on")
		a := asker{newHost(t), r.url}
		cmd := a.command("run", "--job", "rotated", "--token-file", r.file, "--heartbeat-period", "1s", "--", "sh", "-c",
			"echo one; while [ ! -e '"+goOn+"' ]; do sleep 0.1; done; echo two; exit 3")
		done := make(chan result, 1)
		go func() { done <- finish(t, cmd) }()
		eventually(t, "it is running", func() bool { return r.shown("rotated#1").State == job.Running })
		r.write(r.create("hosts-2", "agent") + "\n")
		wantResult(t, r.admin.run("token", "revoke", "hosts-1"), 0)
		before := r.beat("rotated#1")
		eventually(t, "a heartbeat arrives", func() bool { return r.beat("rotated#1").After(before) })
		if err := os.WriteFile(goOn, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		got := <-done
		if got.code != 3 || got.stdout != "one\ntwo\n" || got.stderr != "" {
			t.Errorf("%+v", got)
		}
		if run := r.shown("rotated#1"); run.State != job.Failed {
			t.Errorf("%+v", run)
		}
		if log := r.admin.run("logs", "rotated#1"); log.stdout != "one\ntwo\n" || log.stderr != "" {
			t.Errorf("its log: %+v", log)
		}
	})
	t.Run("worker", func(t *testing.T) {
		r := newRotated(t)
		r.write(r.create("worker-1", "worker", "--worker", "w1"))
		w := newHost(t)
		startWorker(t, w, r.url, "w1", "--allow-commands", "--token-file", r.file)
		wantResult(t, r.admin.run("submit", "--job", "before", "--wait", "--", "true"), 0)
		r.write("")
		wantResult(t, r.admin.run("token", "revoke", "worker-1"), 0)
		messages := func() string { text, _ := os.ReadFile(filepath.Join(w.state, "messages")); return string(text) }
		eventually(t, "the empty file is reported", func() bool { return strings.Contains(messages(), "there is no token in "+r.file) })
		r.write(r.create("worker-2", "worker", "--worker", "w1"))
		wantResult(t, r.admin.run("submit", "--job", "after", "--wait", "--", "true"), 0)
		if n := strings.Count(messages(), "there is no token in "+r.file); n != 1 {
			t.Errorf("the empty file is reported %d times:\n%s", n, messages())
		}
	})
}
