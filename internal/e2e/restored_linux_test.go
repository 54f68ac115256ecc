package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

const startsYAML = `job: starts
script: |
  echo $NAME >> $STARTS
  echo started
  while [ -n "$FILE" ] && [ ! -e "$FILE" ]; do sleep 0.05; done
parameters: [{name: NAME, type: text}, {name: STARTS, type: text}, {name: FILE, type: text, default: ""}]
retries: {limit: 2, backoff: 1s}
`

// A copy of the database is put back by hand after runs that waited in it have run: the server holds what waits, a run
// whose process lives goes on, and nothing starts twice until a person releases it.
func TestRestoredDatabase(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		a := asker{newHost(t), s.url}
		starts, file := filepath.Join(t.TempDir(), "starts"), filepath.Join(t.TempDir(), "go")
		wantResult(t, a.run("apply", writeFiles(t, "starts.yaml", startsYAML)), 0, "created")
		submit := func(name string, more ...string) job.Run {
			return submitted(t, a.run(append([]string{"submit", "starts", "--json", "--param", "NAME=" + name, "--param", "STARTS=" + starts}, more...)...))
		}
		ends, lives := submit("ends"), submit("lives", "--param", "FILE="+file)
		s.stop()
		restore := copyByHand(t, s)
		s.start()
		h := newHost(t)
		startWorker(t, h, s.url, "w1", "--slots", "4")
		wantResult(t, a.run("wait", ends.ID), 0)
		eventually(t, "the other run is running", func() bool { r, _ := s.find(lives.ID); return r.State == job.Running })
		later := submit("later", "--delay", "1s")
		wantResult(t, a.run("wait", later.ID), 0)
		s.stop()
		restore()
		if !strings.Contains(s.stderr.String(), "RESTORED DATABASE") {
			t.Errorf("the log is\n%s", s.stderr)
		}

		eventually(t, "the process that lives has reported", func() bool { r, _ := s.find(lives.ID); return r.State == job.Running && r.Attempt == 1 })
		wantResult(t, a.run("queue", "--held"), 0, "starts#1", "restored from a copy of")
		if r, known := s.find(ends.ID); !known || r.State != job.Queued {
			t.Errorf("starts#1 is %s", r.State)
		}
		if _, known := s.find(later.ID); known {
			t.Error("the database is not the old one")
		}
		fresh := submit("fresh")
		wantResult(t, a.run("wait", fresh.ID), 0)
		wantStarts := func(want string) {
			t.Helper()
			text, err := os.ReadFile(starts)
			if got := strings.Join(strings.Fields(string(text)), " "); err != nil || got != want {
				t.Errorf("started: %s, want %s; %v", got, want, err)
			}
		}
		sorted := func(text string) string { return strings.Replace(text, "lives ends", "ends lives", 1) }
		text, err := os.ReadFile(starts)
		if err != nil {
			t.Fatal(err)
		}
		first := strings.Join(strings.Fields(string(text)), " ")
		if sorted(first) != "ends lives later fresh" {
			t.Errorf("started: %s", first)
		}

		// After a restart nothing is held anew, and nothing is released.
		s.stop()
		s.start()
		if strings.Contains(s.stderr.String(), "RESTORED") {
			t.Errorf("the log after a restart is\n%s", s.stderr)
		}
		wantResult(t, a.run("queue", "--held"), 0, "starts#1")
		wantStarts(first)
		wantResult(t, a.run("queue", "release"), 0, "1 run")
		if r := a.run("wait", ends.ID); r.code != 0 {
			t.Errorf("%+v", r)
		}
		wantStarts(first + " ends")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantResult(t, a.run("wait", lives.ID), 0)
		wantStarts(first + " ends")
		if r, _ := s.find(lives.ID); r.State != job.Succeeded || r.Attempt != 1 || r.Submitted == nil || string(s.log(lives.ID, "")) != "started\n" {
			t.Errorf("%+v, %q", r, s.log(lives.ID, ""))
		}
		s.stop()
		wantResult(t, s.host.run(append([]string{"server", "check"}, s.place()...)...), 0, "0 findings")
		s.start()
	})
}

// place are the options that name the database of a server.
func (s *server) place() []string {
	if s.database != "" {
		return []string{"--database", s.database}
	}
	return []string{"--data", s.data}
}

// copyByHand copies the database of a stopped server as anybody could, and returns what puts the copy back and starts the
// server. In PostgreSQL the copy is another database, which is recognised as one by that.
func copyByHand(t *testing.T, s *server) (restore func()) {
	t.Helper()
	if s.database != "" {
		copied := postgrestest.Copy(t, s.database)
		return func() {
			s.database = copied
			s.start("--activate")
		}
	}
	file := filepath.Join(s.data, "stint.db")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
}

// A database that was restored unnoticed is named to the server. Only what waited before is held.
func TestServerRestored(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		a := asker{newHost(t), s.url}
		wantResult(t, a.run("submit", "--job", "before", "--", "true"), 0, "before#1  queued")
		s.stop()
		s.start("--restored")
		if text := s.stderr.String(); !strings.Contains(text, "RESTORED DATABASE") || !strings.Contains(text, "held=1") {
			t.Errorf("the log is\n%s", text)
		}
		wantResult(t, a.run("explain", "before#1"), 0, "held", "restored from a copy of "+time.Now().UTC().Format("2006-01-02"))
		startWorker(t, newHost(t), s.url, "w1", "--allow-commands")
		wantResult(t, a.run("submit", "--job", "after", "--wait", "--", "true"), 0)
		if r, _ := s.find("before#1"); r.State != job.Queued {
			t.Errorf("it is %s", r.State)
		}
		wantResult(t, a.run("cancel", "before#1"), 0, "canceled")
	})
}
