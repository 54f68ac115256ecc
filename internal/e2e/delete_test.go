package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// What deleted runs printed, and were, is in no file of the server or of its database, and in no object of its bucket,
// also if the server was killed meanwhile; and what an agent still has of them is refused and removed.
func TestDeletedRunsAreErased(t *testing.T) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), url: "http://" + freeAddress(t), host: newHost(t)}
		deletedRuns(t, s, s.data)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		own, err := postgrestest.StartOwn()
		if errors.Is(err, postgrestest.ErrMissing) {
			t.Skip("this machine has no PostgreSQL")
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := own.Close(); err != nil {
				t.Error(err)
			}
		})
		database, err := own.Create(t.Context(), "stint")
		if err != nil {
			t.Fatal(err)
		}
		s := &server{t: t, database: database, url: "http://" + freeAddress(t), host: newHost(t)}
		dir := finish(t, exec.Command("psql", "-X", "-A", "-t", "-q", "-d", database, "-c", "SHOW data_directory"))
		deletedRuns(t, s, strings.TrimSpace(dir.stdout))
	})
}

func deletedRuns(t *testing.T, s *server, dir string) {
	backend := s3mem.New()
	if err := backend.CreateBucket("logs"); err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(service.Close)
	s.host.env = []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}
	args := []string{"--archive", "s3://logs/stint?region=eu-1&endpoint=" + service.URL, "--allow-private-targets"}
	s.start(args...)
	t.Cleanup(s.stop)
	secret := rand.Text()
	found := func() []string { return append(filesWith(t, dir, secret), objectsWith(t, backend, secret)...) }

	h, file := newHost(t), filepath.Join(t.TempDir(), "go")
	// A route whose messages quote the end of the output, to a receiver that does not answer.
	if r := h.run("notify", "set", "hook", "--server", s.url, "--url", "http://"+freeAddress(t)+"/"); r.code != 0 {
		t.Fatalf("stint notify set: %+v", r)
	}
	half := len(secret) / 2
	h.run("run", "--server", s.url, "--quiet", "--job", "leaky", "--label", "key="+secret, "--", "sh", "-c",
		"printf "+secret[:half]+"; sleep 0.2; echo "+secret[half:]+"; seq 60000; echo error: "+secret+" >&2; exit 3")
	leaky := s.ended("leaky#1")
	h.run("run", "--server", s.url, "--quiet", "--job", "kept", "--", "sh", "-c", "seq 60000")
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	through := "http://" + w.listener.Addr().String()
	half2 := h.command(stint, "run", "--server", through, "--quiet", "--job", "half", "--flush-timeout", "1s", "--", "sh", "-c",
		"echo "+secret+"; while [ ! -e "+file+" ]; do sleep 0.1; done; echo again "+secret)
	if err := half2.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second run has printed", func() bool {
		r, ok := s.find("half#1")
		return ok && r.Output.Lines > 0
	})
	eventually(t, "the first run is packed", func() bool { return len(objectsWith(t, backend, "")) >= 2 })
	// Its agent loses the server, which sees that the connection closed: after a restart, a run is called lost a minute later only.
	w.drop()
	var lost job.Run
	eventually(t, "the second run is lost", func() bool {
		lost, _ = s.find("half#1")
		return lost.State == job.Lost
	})
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = half2.Wait() // without a server it delivers later
	if len(found()) == 0 {
		t.Fatal("the secret is nowhere before the runs are deleted")
	}
	kept := s.log("kept#1", "")

	follower := h.command(stint, "logs", "-f", "--server", s.url, lost.ID)
	var printed written
	follower.Stdout, follower.Stderr = &printed, &printed
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "somebody follows", func() bool { return strings.Contains(printed.String(), secret) })
	if got := h.run("delete", "--server", s.url, "--yes", leaky.ID, "half#1"); got.code != 0 || !strings.Contains(got.stdout, "leaky#1 is deleted") || !strings.Contains(got.stdout, "Backups") {
		t.Fatalf("stint delete: %+v", got)
	}
	s.kill()
	_ = follower.Wait()
	s.start(args...)
	eventually(t, "the secret is gone", func() bool { return len(found()) == 0 })
	if again := s.log("kept#1", ""); !bytes.Equal(again, kept) {
		t.Errorf("the log of another run has %d bytes, and had %d", len(again), len(kept))
	}

	got := h.run("logs", "--server", s.url, lost.ID)
	if got.code == 0 || !strings.Contains(got.stderr, "was deleted by") {
		t.Errorf("stint logs of a deleted run: %+v", got)
	}
	spool := filepath.Join(h.state, "spool")
	if before, err := os.ReadDir(spool); err != nil || len(before) == 0 {
		t.Fatalf("the spool before: %v, %v", before, err)
	}
	w.repair()
	flush := h.run("flush", "--server", through)
	if !strings.Contains(flush.stdout+flush.stderr, "deleted") {
		t.Errorf("stint flush: %+v", flush)
	}
	if names := filesWith(t, h.state, secret); len(names) > 0 {
		t.Errorf("after a flush the host has %s", strings.Join(names, ", "))
	}
	if names := found(); len(names) > 0 {
		t.Errorf("after a flush the server has %s", strings.Join(names, ", "))
	}
}

// partsOf returns parts of a secret, each too long to be anywhere by chance.
func partsOf(secret string) [][]byte {
	const n = 13
	return [][]byte{[]byte(secret[:n]), []byte(secret[n/2 : n/2+n]), []byte(secret[len(secret)-n:])}
}

func has(data []byte, secret string) bool {
	if secret == "" {
		return true
	}
	for _, part := range partsOf(secret) {
		if bytes.Contains(data, part) {
			return true
		}
	}
	return false
}

// filesWith returns the files below a directory that have a part of a secret.
func filesWith(t *testing.T, dir, secret string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var data []byte
			if data, err = os.ReadFile(path); err == nil && has(data, secret) {
				names = append(names, path)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// objectsWith returns the objects of a bucket that have a part of a secret.
func objectsWith(t *testing.T, backend *s3mem.Backend, secret string) (names []string) {
	t.Helper()
	list, err := backend.ListBucket("logs", nil, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list.Contents {
		object, err := backend.GetObject("logs", one.Key, nil)
		if err != nil {
			continue // it was deleted meanwhile
		}
		data, err := io.ReadAll(object.Contents)
		if err != nil {
			t.Fatal(err)
		}
		if has(data, secret) {
			names = append(names, one.Key)
		}
	}
	return names
}
