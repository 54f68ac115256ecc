package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// secretKey is the file with the key of the routes' secrets.
func (s *server) secretKey() string {
	if s.database != "" {
		return filepath.Join(s.host.state, "server", "secret.key")
	}
	return filepath.Join(s.data, "secret.key")
}

// takeSecretKey copies the key of another server, as its operator does.
func (s *server) takeSecretKey(from *server) {
	s.t.Helper()
	text, err := os.ReadFile(from.secretKey())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(s.secretKey()), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.secretKey(), text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// eachFile calls do for each file and directory below a directory, and for itself.
func eachFile(t *testing.T, dir string, do func(path string, info fs.FileInfo)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			do(path, info)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Under any umask, whatever commands work on a data directory, all files in it and in backups
// are the owner's alone, and the secrets of routes are in none of them.
func TestFilesOfAServerAreItsOwn(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	const secret = "S3cretPassw0rd"
	s := startServer(t, "--require-token")
	h := newHost(t)
	must := func(args ...string) string {
		t.Helper()
		r := h.run(args...)
		if r.code != 0 {
			t.Fatalf("stint %s: %+v", strings.Join(args, " "), r)
		}
		return r.stdout
	}
	token := func() string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	backups := t.TempDir()
	files := 0
	check := func(when string) {
		t.Helper()
		for _, dir := range []string{s.data, filepath.Join(backups, "one")} {
			if _, err := os.Stat(dir); err != nil {
				continue
			}
			eachFile(t, dir, func(path string, info fs.FileInfo) {
				files++
				if info.Mode()&0o077 != 0 || !info.Mode().IsRegular() && !info.IsDir() {
					t.Errorf("%s: %s has mode %s", when, path, info.Mode())
				}
				if !info.Mode().IsRegular() {
					return
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
				}
				if bytes.Contains(text, []byte(secret)) {
					t.Errorf("%s: %s holds the secret of a route", when, path)
				}
			})
		}
	}
	must("notify", "set", "mail", "--server", s.url, "--token", token(), "--url", "smtp://user:"+secret+"@mail.example.org/?from=a@example.org&to=b@example.org")
	must("notify", "set", "gone", "--server", s.url, "--token", token(), "--url", "https://example.org/"+secret)
	must("notify", "delete", "gone", "--server", s.url, "--token", token())
	must("run", "--server", s.url, "--token", token(), "--job", "big", "--quiet", "--", "sh", "-c", "seq 300000")
	must("run", "--server", s.url, "--token", token(), "--job", "small", "--quiet", "--", "echo", "hi")
	check("working")
	must("server", "backup", "--data", s.data, filepath.Join(backups, "one"))
	check("after a backup")
	if text := must("notify", "list", "--server", s.url, "--token", token()); strings.Contains(text, secret) || !strings.Contains(text, "smtp://user:*****@") {
		t.Errorf("notify list shows %q", text)
	}
	s.stop()
	check("stopped")
	must("server", "rotate-key", "--data", s.data)
	must("token", "create", "--data", s.data, "--name", "ci", "--scope", "read")
	must("server", "check", "--data", s.data, "--repair")
	check("after commands")
	for _, name := range []string{"stint.db", "stint.db-wal", "stint.db-shm"} {
		if err := os.Remove(filepath.Join(s.data, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	must("server", "check", "--data", s.data, "--rebuild")
	check("rebuilt")
	s.start()
	check("started again")
	if files < 60 {
		t.Errorf("only %d files were looked at", files)
	}
}

// Without the key of a backup all but its routes works; they are shown with the reason, and are
// back once the key is.
func TestBackupWithoutItsKey(t *testing.T) {
	s := startServer(t)
	h := newHost(t)
	if r := h.run("notify", "set", "hook", "--server", s.url, "--url", "https://example.org/x"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	c, _ := copies(t, s)
	c.start("--activate")
	if r := h.run("run", "--server", c.url, "--job", "j", "--quiet", "--", "true"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	c.ended("j#1")
	if !strings.Contains(c.stderr.String(), "the key of notification routes is gone") || !strings.Contains(string(c.get("/api/v1/troubled")), `"route"`) {
		t.Errorf("neither the log nor the troubled items say it: %s\n%s", c.stderr, c.get("/api/v1/troubled"))
	}
	if r := h.run("notify", "list", "--server", c.url); r.code != 0 || !strings.Contains(r.stdout, "cannot be used") || !strings.Contains(r.stderr, "set the route again") {
		t.Errorf("%+v", r)
	}
	if r := h.run("notify", "test", "hook", "--server", c.url); r.code != 1 || !strings.Contains(r.stderr, "set the route again") {
		t.Errorf("%+v", r)
	}
	c.stop()
	c.takeSecretKey(s)
	c.start()
	if r := h.run("notify", "list", "--server", c.url); r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "https://example.org/*****") {
		t.Errorf("%+v", r)
	}
}
