package agent

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/environment"
	"stint.dev/stint/job"
)

// cachedConfig is an attempt whose install step counts how often it runs, next to what it
// makes.
func cachedConfig(t *testing.T, s delivery.Server, dir, state, script string) Config {
	t.Helper()
	c, _ := config(t, s, script)
	c.Dir, c.StateDir = dir, state
	c.Install = []string{"echo ran >> count", "mkdir -p deps && cp lock deps/made"}
	c.InstallCache, c.CacheDirs = []string{"lock"}, []string{"deps"}
	return c
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pathBefore is an environment with one more directory at the beginning of the PATH.
func pathBefore(env []string, dir string) []string {
	return append(environment.Without(env, []string{"PATH"}), "PATH="+dir+":"+os.Getenv("PATH"))
}

func lines(t *testing.T, dir, name string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func TestInstallCache(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "lock", "v1\n")
	for i, want := range []struct {
		change func()
		note   string
		steps  int
		ran    int // install steps, since the beginning
	}{
		{func() {}, "stored for other runs under key", 3, 1},
		{func() { _ = os.RemoveAll(filepath.Join(dir, "deps")) }, "install steps skipped: cache hit", 1, 1},
		{func() { write(t, dir, "deps/extra", "of the job") }, "install steps skipped: cache hit", 1, 1},
		{func() { write(t, dir, "lock", "v2\n") }, "the install cache has no entry for key", 3, 2},
		{func() { write(t, dir, "lock", "v1\n") }, "install steps skipped: cache hit", 1, 2},
		{func() { damage(t, state) }, "it was removed and not used; the install steps run", 3, 3},
		{func() { _ = os.RemoveAll(filepath.Join(dir, "deps")) }, "install steps skipped: cache hit", 1, 3},
	} {
		want.change()
		s := newMemoryServer()
		c := cachedConfig(t, s, dir, state, "cat deps/made; ls deps")
		if got := Run(t.Context(), c); got.ExitCode != 0 || !got.Complete {
			t.Fatalf("run %d: %+v", i, got)
		}
		v := s.read(t, testRun)
		if notes := strings.Join(v.notes, "\n"); !strings.Contains(notes, want.note) {
			t.Errorf("run %d: notes %q, want %q", i, notes, want.note)
		}
		lock, _ := os.ReadFile(filepath.Join(dir, "lock"))
		out := v.output[streamKey{want.steps - 1, job.Stdout}]
		if string(out) != string(lock)+"made\n" {
			t.Errorf("run %d: the command printed %q", i, out)
		}
		if len(v.started) != want.steps || len(v.attempt.Install) != 2 || lines(t, dir, "count") != want.ran {
			t.Errorf("run %d: steps %+v, %d installs", i, v.started, lines(t, dir, "count"))
		}
	}
}

// damage changes a byte in every file that the cache keeps.
func damage(t *testing.T, state string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "cache", "*", "tree", "0", "made"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no entries: %v", err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("bad"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInstallCacheTroubleIsANote: whatever is wrong with the cache, the job runs.
func TestInstallCacheTroubleIsANote(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, c *Config)
		note   string
	}{
		"the lock file is not there": {func(_ *testing.T, c *Config) { c.InstallCache = []string{"none"} }, "the install cache is not used: lock file"},
		"the cache cannot be made":   {func(t *testing.T, c *Config) { write(t, c.StateDir, "cache", "a file") }, "the install cache is not used"},
		"nothing was made":           {func(_ *testing.T, c *Config) { c.CacheDirs = []string{"other"} }, "was not stored: read what the install steps made"},
		"a pipe was made":            {func(_ *testing.T, c *Config) { c.Install = append(c.Install, "mkfifo deps/pipe") }, "which cannot be kept"},
		"the lock file changes":      {func(_ *testing.T, c *Config) { c.Install = append(c.Install, "echo x >> lock") }, "the lock file lock changed"},
		"an interpreter hangs": {func(t *testing.T, c *Config) {
			bin := t.TempDir()
			write(t, bin, "node", "#!/bin/sh\nexec sleep 1000\n")
			if err := os.Chmod(filepath.Join(bin, "node"), 0o755); err != nil {
				t.Fatal(err)
			}
			c.Env = pathBefore(c.Env, bin)
			c.Install = append(c.Install, ": node")
		}, "the version of node is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "lock", "v1\n")
			s := newMemoryServer()
			conf := cachedConfig(t, s, dir, t.TempDir(), "echo fine")
			c.change(t, &conf)
			if got := Run(t.Context(), conf); got.ExitCode != 0 {
				t.Errorf("result %+v", got)
			}
			v := s.read(t, testRun)
			if notes := strings.Join(v.notes, "\n"); !strings.Contains(notes, c.note) {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
			if len(v.started) != len(conf.Install)+1 {
				t.Errorf("steps %+v", v.started)
			}
		})
	}
}

// TestInstallCacheHoldsNoSecret of a command or of the environment.
func TestInstallCacheHoldsNoSecret(t *testing.T) {
	const secret = "hunter2-and-more"
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "lock", "v1\n")
	c := cachedConfig(t, newMemoryServer(), dir, state, "true")
	c.Env = append(c.Env, "NPM_CONFIG_TOKEN="+secret)
	c.Install = append(c.Install, "echo "+secret+" >/dev/null")
	if got := Run(t.Context(), c); got.ExitCode != 0 {
		t.Fatalf("result %+v", got)
	}
	infos, _ := filepath.Glob(filepath.Join(state, "cache", "*", "entry.json"))
	if len(infos) != 1 {
		t.Fatalf("entries %v", infos)
	}
	text, err := os.ReadFile(infos[0])
	if err != nil || strings.Contains(string(text), secret) || !strings.Contains(string(text), "[masked]") || !strings.Contains(string(text), "NPM_CONFIG_TOKEN") {
		t.Errorf("%v, the entry says %s", err, text)
	}
}

// TestFailedInstallIsNotKept also for a stop in the middle.
func TestFailedInstallIsNotKept(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	write(t, dir, "lock", "v1\n")
	c := cachedConfig(t, newMemoryServer(), dir, state, "echo never")
	c.Install = append(c.Install, "exit 7")
	if got := Run(t.Context(), c); got.ExitCode != 7 || got.Outcome.Reason != job.InstallFailed {
		t.Errorf("result %+v", got)
	}
	if left, _ := os.ReadDir(filepath.Join(state, "cache")); len(left) != 0 {
		t.Errorf("the cache has %v", left)
	}
}

// TestStopWhileTheCacheIsAsked: a stop does not wait for an interpreter.
func TestStopWhileTheCacheIsAsked(t *testing.T) {
	dir, bin := t.TempDir(), t.TempDir()
	write(t, dir, "lock", "v1\n")
	write(t, bin, "node", "#!/bin/sh\necho >"+filepath.Join(dir, "asked")+"\nexec sleep 1000\n")
	if err := os.Chmod(filepath.Join(bin, "node"), 0o755); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	c := cachedConfig(t, newMemoryServer(), dir, t.TempDir(), "echo never")
	c.Env, c.Install, c.Signals = pathBefore(c.Env, bin), []string{": node"}, signals
	done := make(chan Result, 1)
	begun := time.Now()
	go func() { done <- Run(t.Context(), c) }()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for asked := false; !asked && time.Since(begun) < 30*time.Second; <-again.C {
		_, err := os.Stat(filepath.Join(dir, "asked"))
		asked = err == nil
	}
	signals <- syscall.SIGTERM
	got := <-done
	if got.Outcome.State != job.Canceled || got.ExitCode != 128+int(syscall.SIGTERM) || lines(t, dir, "count") != 0 {
		t.Errorf("result %+v", got)
	}
}

// An entry belongs to a path: a working directory whose path leads elsewhere, or is not
// known, has no cache, and nothing is put there.
func TestInstallCacheNeedsThePathOfTheDirectory(t *testing.T) {
	for _, c := range []struct{ path, note string }{
		{"", "the path of the working directory is not known"},
		{t.TempDir(), "leads to another directory now"},
		{"/nowhere/at/all", "no such file"},
	} {
		s := newMemoryServer()
		cfg, _ := config(t, s, "true")
		cfg.Dir, cfg.DirPath = "", c.path // this process's own directory
		cfg.Install, cfg.InstallCache, cfg.CacheDirs = []string{"true"}, []string{"config.go"}, []string{"testdata-of-no-test"}
		got := Run(t.Context(), cfg)
		v := s.read(t, testRun)
		if notes := strings.Join(v.notes, "\n"); got.ExitCode != 0 || !strings.Contains(notes, "the install cache is not used") || !strings.Contains(notes, c.note) {
			t.Errorf("path %q: result %+v, notes %q", c.path, got, notes)
		}
		if v.attempt.Dir != c.path {
			t.Errorf("path %q: the record says %q", c.path, v.attempt.Dir)
		}
	}
}
