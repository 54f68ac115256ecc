package cache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEveryInputChangesTheKey holds each thing that decides an install to the key.
func TestEveryInputChangesTheKey(t *testing.T) {
	base := func() Inputs {
		return Inputs{
			Format: format, Install: []string{"a", "b"}, LockFiles: []ContentHash{{"lock", "1"}, {"more", "2"}},
			Interpreters: []Interpreter{{"node", "/usr/bin/node", "v20"}}, Environment: []ContentHash{{"NODE_ENV", "3"}},
			Platform: Platform{"linux", "amd64", "glibc", "debian 12"}, Dirs: []string{"/srv/a"},
		}
	}
	seen := map[string]string{base().Key(): "nothing"}
	for name, change := range map[string]func(*Inputs){
		"format": func(in *Inputs) { in.Format++ }, "a command": func(in *Inputs) { in.Install[0] = "c" },
		"order": func(in *Inputs) { in.Install = []string{"b", "a"} }, "one command of two": func(in *Inputs) { in.Install = []string{"a b"} },
		"a lock file": func(in *Inputs) { in.LockFiles[0].Hash = "2" }, "its name": func(in *Inputs) { in.LockFiles[0].Name = "x" },
		"interpreter": func(in *Inputs) { in.Interpreters[0].Version = "v22" }, "its path": func(in *Inputs) { in.Interpreters[0].Path = "/opt/node" },
		"environment": func(in *Inputs) { in.Environment[0].Hash = "4" }, "system": func(in *Inputs) { in.Platform.OS = "darwin" },
		"processor": func(in *Inputs) { in.Platform.Arch = "arm64" }, "libc": func(in *Inputs) { in.Platform.Libc = "musl" },
		"release": func(in *Inputs) { in.Platform.Release = "debian 13" }, "place": func(in *Inputs) { in.Dirs[0] = "/srv/b" },
	} {
		in := base()
		change(&in)
		if other, taken := seen[in.Key()]; taken {
			t.Errorf("changing %s gives the same key as changing %s", name, other)
		}
		seen[in.Key()] = name
	}
}

func TestGather(t *testing.T) {
	p := newPlace(t)
	p.do(os.Symlink(p.work, filepath.Join(p.state, "link")))
	here := p.inputs()
	r := Request{WorkDir: filepath.Join(p.state, "link"), LockFiles: []string{"lock"}, Dirs: []string{"deps"}, Install: []string{"make it"}}
	linked, err := Gather(r)
	if err != nil || linked.Key() != here.Key() {
		t.Errorf("the same place through a link has another key: %v, %v", linked.Dirs, err)
	}
	r.Env = []string{"HOME=/root", "NODE_ENV=x", "npm_config_registry=r", "NODE_ENV=secret"}
	env, err := Gather(r)
	if err != nil || len(env.Environment) != 2 || env.Key() == here.Key() {
		t.Errorf("environment %+v, %v", env.Environment, err)
	}
	p.write("lock", "v2")
	if here.Changed(p.work) != "lock" || p.inputs().Key() == here.Key() || p.inputs().Changed(p.work) != "" {
		t.Error("a changed lock file is not seen")
	}
	r.LockFiles = []string{"none"}
	if _, err := Gather(r); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a lock file that is not there: %v", err)
	}
	r.LockFiles = []string{"deps"}
	if _, err := Gather(r); err == nil {
		t.Error("a directory is no lock file")
	}
}

func TestCheckRefusesWhatMustNotBeReplaced(t *testing.T) {
	for _, c := range []struct {
		dirs []string
		why  string // empty: allowed
	}{
		{[]string{"node_modules", ".venv"}, ""},
		{[]string{"deep/down"}, ""},
		{[]string{"/other/place"}, ""},
		{[]string{"."}, "working directory"},
		{[]string{".."}, "working directory"},
		{[]string{"/"}, "working directory"},
		{[]string{"locks"}, "lock file"},
		{[]string{"a", "a/b"}, "lies within"},
		{[]string{"a", "./a/"}, "lies within"},
		{[]string{"/var/state"}, "state directory"},
		{[]string{""}, "empty"},
	} {
		err := Request{WorkDir: "/srv/app", LockFiles: []string{"locks/lock"}, Dirs: c.dirs}.Check("/var/state")
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%q: %v, want %q", c.dirs, err, c.why)
		}
	}
}

func TestQuestions(t *testing.T) {
	for _, c := range []struct {
		install []string
		want    []string
	}{
		{[]string{"npm ci"}, []string{"node --version"}},
		{[]string{"npm ci && npx tsc", "node build.js"}, []string{"node --version"}},
		{[]string{"python3.12 -m venv .venv", ".venv/bin/pip install -r requirements.txt"}, []string{"python3.12 --version", "python3 --version"}},
		{[]string{"(cd a;pip3.11 install x)|cat"}, []string{"python3.11 --version"}},
		{[]string{"/opt/node/bin/npm ci"}, []string{"/opt/node/bin/node --version"}},
		{[]string{"/srv/app/.venv/bin/pip install ."}, []string{"python3 --version"}},
		{[]string{"PATH=/x:$PATH bundle install"}, []string{"ruby --version"}},
		{[]string{"`which pip3` install x"}, []string{"python3 --version"}},
		{[]string{"cp -r a b; pipeline; python-config"}, nil},
	} {
		var have []string
		for _, q := range VersionQueries(c.install, []string{"/srv/app/.venv"}) {
			have = append(have, strings.Join(q.Args, " "))
		}
		if diff := cmp.Diff(c.want, have); diff != "" {
			t.Errorf("%q: %s", c.install, diff)
		}
	}
}

func TestRelease(t *testing.T) {
	if got := release([]byte("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID='3.20.1'\n")); got != "alpine 3.20.1" {
		t.Errorf("got %q", got)
	}
	if got := Version(" Python 3.11.2\n\n"); got != "Python 3.11.2" {
		t.Errorf("got %q", got)
	}
}

func TestChoose(t *testing.T) {
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	entries := []ListedEntry{ // the last used first
		{Info: Info{Bytes: 10}, UsedAt: now.Add(-day)},
		{Info: Info{Bytes: 100}, UsedAt: now.Add(-2 * day)},
		{Info: Info{Bytes: 20}, UsedAt: now.Add(-3 * day), Damaged: "yes"},
		{Info: Info{Bytes: 30}, UsedAt: now.Add(-4 * day)},
	}
	for _, c := range []struct {
		name   string
		choice PruneOptions
		want   []bool
	}{
		{"damage only", PruneOptions{}, []bool{false, false, true, false}},
		{"all", PruneOptions{All: true}, []bool{true, true, true, true}},
		{"older", PruneOptions{OlderThan: 3 * day}, []bool{false, false, true, true}},
		{"size", PruneOptions{MaxBytes: 110}, []bool{false, false, true, true}},
		{"one too large", PruneOptions{MaxBytes: 50}, []bool{false, true, true, false}},
		{"both", PruneOptions{MaxBytes: 50, OlderThan: 3 * day}, []bool{false, true, true, true}},
	} {
		if diff := cmp.Diff(c.want, choose(entries, c.choice, now)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// Both values of a name that is there twice are part of the key.
func TestDoubledNamesInTheKey(t *testing.T) {
	once := Inputs{Environment: environment([]string{"CC=gcc"})}
	seen := map[string]bool{once.Key(): true}
	for _, env := range [][]string{{"CC=gcc", "CC=clang"}, {"CC=clang", "CC=gcc"}, {"CC=clang"}} {
		key := Inputs{Environment: environment(env)}.Key()
		if seen[key] {
			t.Errorf("%q makes a key that another environment made", env)
		}
		seen[key] = true
	}
}
