package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// program skips the test, with the reason, when a tool is not installed.
func program(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if out, err := exec.Command(name, "--version").CombinedOutput(); err != nil {
			t.Skipf("%s is not installed: %v %s", name, err, out)
		}
	}
}

// project is a directory with files.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// cachedTwice runs a job three times: the second time its install is taken from the cache
// although the directory is gone, the third time over the one that is there.
func cachedTwice(t *testing.T, dir, made, output string, args ...string) *host {
	t.Helper()
	s, h := startServer(t), newHost(t)
	args = append([]string{"run", "--server", s.url, "--job", "cached", "--dir", dir, "--cache-dir", made}, args...)
	for i, steps := range []int{2, 1, 1} {
		got := h.run(args...)
		if got.code != 0 || !strings.HasSuffix(got.stdout, output) {
			t.Fatalf("run %d: %+v", i+1, got)
		}
		if hit := strings.Contains(got.stderr, "install steps skipped: cache hit"); hit != (steps == 1) {
			t.Errorf("run %d: printed %q", i+1, got.stderr)
		}
		r := s.ended([]string{"cached#1", "cached#2", "cached#3"}[i])
		wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
		if len(r.Steps) != steps {
			t.Errorf("run %d has the steps %+v, want %d", i+1, r.Steps, steps)
		}
		if i == 0 {
			if err := os.RemoveAll(filepath.Join(dir, made)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h
}

// TestInstallCacheWithNPM is npm ci of a packed package, which needs no registry.
func TestInstallCacheWithNPM(t *testing.T) {
	program(t, "npm", "node")
	dir := project(t, map[string]string{
		"package.json":      `{"name": "app", "version": "1.0.0", "private": true}`,
		"tool/package.json": `{"name": "odd-tool", "version": "1.2.3", "main": "odd.js", "bin": {"odd-tool": "cli.js"}}`,
		"tool/odd.js":       "module.exports = n => n % 2 === 1\n",
		"tool/cli.js":       "#!/usr/bin/env node\nconsole.log('odd', require('./odd')(+process.argv[2]))\n",
	})
	for _, args := range [][]string{
		{"pack", "./tool"},
		{"install", "--offline", "--package-lock-only", "--no-audit", "--no-fund", "./odd-tool-1.2.3.tgz"},
	} {
		cmd := newHost(t).command("npm", args...)
		cmd.Dir = dir
		if got := finish(t, cmd); got.code != 0 {
			t.Fatalf("npm %v: %+v", args, got)
		}
	}
	h := cachedTwice(t, dir, "node_modules", "odd true\n",
		"--install-cache", "package-lock.json", "--install-cache", "package.json",
		"--install", "npm ci --offline --no-audit --no-fund", "--", "node_modules/.bin/odd-tool", "3")
	cacheCommands(t, h)
}

// TestInstallCacheWithPython is a venv and pip install of a local directory, which needs no
// index: the package brings its own build backend.
func TestInstallCacheWithPython(t *testing.T) {
	program(t, "python3")
	if out, err := exec.Command("python3", "-c", "import venv, ensurepip").CombinedOutput(); err != nil {
		t.Skipf("python3 has no venv: %s", out)
	}
	dir := project(t, map[string]string{
		"pkg/pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		"pkg/backend.py": `import zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "greeting-1.0-py3-none-any.whl"
    info = "greeting-1.0.dist-info/"
    with zipfile.ZipFile(wheel_directory + "/" + name, "w") as z:
        z.writestr("greeting.py", "import sys\ndef main():\n    print('hello from', sys.prefix)\n")
        z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: own\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(info + "entry_points.txt", "[console_scripts]\ngreet = greeting:main\n")
        z.writestr(info + "RECORD", "")
    return name
`,
	})
	venv := filepath.Join(dir, ".venv")
	cachedTwice(t, dir, ".venv", "hello from "+venv+"\n",
		"--install-cache", "pkg/pyproject.toml", "--install-cache", "pkg/backend.py",
		"--install", "python3 -m venv .venv && .venv/bin/pip install --quiet --no-index --no-build-isolation ./pkg",
		"--", ".venv/bin/greet")
}

// cacheCommands looks at the cache with the commands for it and empties it.
func cacheCommands(t *testing.T, h *host) {
	t.Helper()
	var list struct {
		Entries []struct {
			Key      string   `json:"key"`
			Files    int      `json:"files"`
			Bytes    int64    `json:"bytes"`
			Commands []string `json:"commands"`
		} `json:"entries"`
	}
	got := h.run("cache", "list", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || len(list.Entries) != 1 {
		t.Fatalf("cache list --json: %+v, %v", got, err)
	}
	e := list.Entries[0]
	if len(e.Key) != 64 || e.Files == 0 || e.Bytes == 0 || len(e.Commands) != 1 {
		t.Errorf("the entry is %+v", e)
	}
	if got := h.run("cache", "list"); got.code != 0 || !strings.Contains(got.stdout, e.Key[:12]) || !strings.Contains(got.stdout, "npm ci") {
		t.Errorf("cache list: %+v", got)
	}
	if got := h.run("cache", "prune", "--older-than", "1h"); got.stdout != "entries removed: 0 (0 B), kept: 1\n" {
		t.Errorf("cache prune --older-than: %+v", got)
	}
	if got := h.run("cache", "prune", "--all"); got.code != 0 || !strings.HasPrefix(got.stdout, "entries removed: 1 (") {
		t.Errorf("cache prune --all: %+v", got)
	}
	if got := h.run("cache", "list"); got.code != 0 || !strings.Contains(got.stderr, "is empty") {
		t.Errorf("cache list of nothing: %+v", got)
	}
}

func TestInstallCacheUsage(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"run", "--install-cache", "x", "--install", "true", "--", "true"}, "needs --cache-dir", 2},
		{[]string{"run", "--cache-dir", "x", "--install", "true", "--", "true"}, "needs --install-cache", 2},
		{[]string{"run", "--install-cache", "x", "--cache-dir", "y", "--", "true"}, "needs --install CMD", 2},
		{[]string{"run", "--dir", dir, "--install-cache", "x", "--cache-dir", ".", "--install", "true", "--", "true"}, "working directory", 2},
		{[]string{"cache", "prune", "--max-size", "0"}, "--all removes everything", 2},
		{[]string{"cache", "prune", "x"}, "takes options only", 2},
		{[]string{"cache", "purge"}, "no command", 2},
	} {
		if got := h.run(c.args...); got.code != c.code || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%v: %+v, want code %d and %q", c.args, got, c.code, c.want)
		}
	}
}
