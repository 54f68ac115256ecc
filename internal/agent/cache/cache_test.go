package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/filelock"
)

func TestMain(m *testing.M) {
	if os.Getenv("CACHE_TEST_CHILD") != "" {
		os.Exit(childMain())
	}
	goleak.VerifyTestMain(m)
}

// childMain publishes, or restores, what the arguments name: STATE WORKDIR LOCKFILE DIR.
func childMain() int {
	in, err := Gather(Request{WorkDir: os.Args[2], LockFiles: []string{os.Args[3]}, Dirs: []string{os.Args[4]}, Install: []string{"make it"}})
	if err != nil {
		fmt.Println(err)
		return 2
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // all begin together
	if os.Getenv("CACHE_TEST_CHILD") == "restore" {
		e, err := Open(os.Args[1]).Find(context.Background(), in.Key())
		if err != nil || e == nil || e.Restore(context.Background()) != nil {
			return 1
		}
		return 0
	}
	p, err := Open(os.Args[1]).Publish(context.Background(), in, nil)
	fmt.Println("lost", p.Lost, err)
	if err != nil {
		return 1
	}
	return 0
}

func child(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "CACHE_TEST_CHILD="+what)
	return cmd
}

// place is a working directory with a lock file and something installed.
type place struct {
	t     *testing.T
	cache *Cache
	state string
	work  string
}

func newPlace(t *testing.T) place {
	t.Helper()
	p := place{t: t, state: t.TempDir(), work: t.TempDir()}
	p.cache = Open(p.state)
	p.write("lock", "v1")
	p.write("deps/a/code.js", "one")
	p.write("deps/bin/tool", "#!/bin/sh\n")
	p.write("deps/\xff\xfe odd", "name that is not text")
	p.write("deps/empty", "")
	p.write("deps/large", strings.Repeat("0123456789abcdef", 40<<10))
	p.do(os.Chmod(p.path("deps/bin/tool"), 0o755))
	p.do(os.Chmod(p.path("deps/a/code.js"), 0o440))
	p.do(os.Symlink("../a/code.js", p.path("deps/bin/link")))
	p.do(os.Symlink("/nowhere/at/all", p.path("deps/dangling")))
	p.do(os.MkdirAll(p.path("deps/readonly/sub"), 0o755))
	p.write("deps/readonly/sub/file", "x")
	at := time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)
	p.do(os.Chtimes(p.path("deps/a/code.js"), at, at))
	p.do(os.Chmod(p.path("deps/readonly"), 0o555))
	t.Cleanup(func() { _ = removeAll(p.work) })
	return p
}

func (p place) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p place) path(name string) string { return filepath.Join(p.work, name) }

func (p place) write(name, text string) {
	p.t.Helper()
	p.do(os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	p.do(os.WriteFile(p.path(name), []byte(text), 0o644))
}

func (p place) inputs() Inputs {
	p.t.Helper()
	in, err := Gather(Request{WorkDir: p.work, LockFiles: []string{"lock"}, Dirs: []string{"deps"}, Install: []string{"make it"}})
	p.do(err)
	return in
}

func (p place) publish() PublishResult {
	p.t.Helper()
	done, err := p.cache.Publish(p.t.Context(), p.inputs(), []string{"make it"})
	p.do(err)
	return done
}

// restore reports whether there was an entry.
func (p place) restore() (bool, error) {
	p.t.Helper()
	e, err := p.cache.Find(p.t.Context(), p.inputs().Key())
	if err != nil || e == nil {
		return false, err
	}
	defer e.Close()
	return true, e.Restore(p.t.Context())
}

// tree describes everything below a directory.
func (p place) tree(name string) []string {
	p.t.Helper()
	var out []string
	p.do(filepath.WalkDir(p.path(name), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %q %s", info.Mode(), path, "")
		switch {
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += "-> " + target
		case d.Type() == 0:
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf("%s %d %x", info.ModTime(), len(text), text[:min(40, len(text))])
		default:
			line += info.ModTime().String()
		}
		out = append(out, line)
		return nil
	}))
	return out
}

// clean fails when a restore left something beside its target.
func (p place) clean() {
	p.t.Helper()
	found, err := os.ReadDir(p.work)
	p.do(err)
	for _, d := range found {
		if strings.HasPrefix(d.Name(), ".") {
			p.t.Errorf("left behind: %s", d.Name())
		}
	}
}

func TestWhatComesOutIsWhatWentIn(t *testing.T) {
	p := newPlace(t)
	if hit, err := p.restore(); hit || err != nil {
		t.Fatalf("an empty cache has hit %v, error %v", hit, err)
	}
	before := p.tree("deps")
	if done := p.publish(); done.Lost || done.Files != len(before) || done.Bytes == 0 {
		t.Errorf("published %+v, want %d files", done, len(before))
	}
	p.do(removeAll(p.path("deps")))
	p.write("deps/something/else", "of an older install")
	if hit, err := p.restore(); !hit || err != nil {
		t.Fatalf("hit %v, error %v", hit, err)
	}
	if diff := cmp.Diff(before, p.tree("deps")); diff != "" {
		t.Error(diff)
	}
	p.clean()
	// Writing into what was restored does not reach the entry.
	p.write("deps/large", "changed by the job")
	p.do(removeAll(p.path("deps")))
	if hit, err := p.restore(); !hit || err != nil {
		t.Fatalf("the second time: hit %v, error %v", hit, err)
	}
	if diff := cmp.Diff(before, p.tree("deps")); diff != "" {
		t.Error(diff)
	}
}

func TestDamagedEntriesAreRemovedAndNeverUsed(t *testing.T) {
	file := func(name string) func(string) string {
		return func(dir string) string { return filepath.Join(dir, name) }
	}
	for name, damage := range map[string]func(dir string) error{
		"one byte differs": func(dir string) error {
			f, err := os.OpenFile(file("tree/0/large")(dir), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("X"), 300<<10)
			return errors.Join(err, f.Close())
		},
		"cut off":         func(dir string) error { return os.Truncate(file("tree/0/large")(dir), 0) },
		"longer":          func(dir string) error { return os.Truncate(file("tree/0/a/code.js")(dir), 4) },
		"a file is gone":  func(dir string) error { return os.Remove(file("tree/0/empty")(dir)) },
		"a tree is gone":  func(dir string) error { return os.RemoveAll(file("tree/0")(dir)) },
		"no list":         func(dir string) error { return os.Remove(file(filesFile)(dir)) },
		"list cut off":    func(dir string) error { return os.Truncate(file(filesFile)(dir), 100) },
		"no description":  func(dir string) error { return os.Remove(file(infoFile)(dir)) },
		"description cut": func(dir string) error { return os.Truncate(file(infoFile)(dir), 50) },
		"of another key": func(dir string) error {
			text, err := os.ReadFile(file(infoFile)(dir))
			if err != nil {
				return err
			}
			return os.WriteFile(file(infoFile)(dir), []byte(strings.Replace(string(text), `"arch": "`, `"arch": "x`, 1)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			done := p.publish()
			p.do(damage(filepath.Join(p.cache.Dir(), done.Key)))
			before := p.tree("deps")
			_, err := p.restore()
			var bad *DamagedError
			if !errors.As(err, &bad) || bad.Kept != nil {
				t.Fatalf("error %v, want a damaged entry that was removed", err)
			}
			if diff := cmp.Diff(before, p.tree("deps")); diff != "" {
				t.Errorf("what was in place has changed: %s", diff)
			}
			p.clean()
			if left, _ := os.ReadDir(p.cache.Dir()); len(left) != 0 {
				t.Errorf("the cache still has %v", left)
			}
			if p.publish().Lost {
				t.Error("the entry cannot be made again")
			}
		})
	}
}

// TestAgentsThatRace starts processes that publish the same at the same moment.
func TestAgentsThatRace(t *testing.T) {
	p := newPlace(t)
	const racers = 4
	var cmds []*exec.Cmd
	var starts []*os.File
	var outs []*strings.Builder
	for range racers {
		cmd := child(t, "publish", p.state, p.work, "lock", "deps")
		r, w, err := os.Pipe()
		p.do(err)
		out := &strings.Builder{}
		cmd.Stdin, cmd.Stdout = r, out
		p.do(cmd.Start())
		p.do(r.Close())
		cmds, starts, outs = append(cmds, cmd), append(starts, w), append(outs, out)
	}
	for _, w := range starts {
		p.do(w.Close())
	}
	won := 0
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("racer %d: %v: %s", i, err, outs[i])
		}
		if strings.Contains(outs[i].String(), "lost false") {
			won++
		}
	}
	entries, unfinished, err := p.cache.List()
	if err != nil || won != 1 || len(entries) != 1 || len(unfinished) != 0 {
		t.Errorf("%d won, %d entries, unfinished %v, %v", won, len(entries), unfinished, err)
	}
	before := p.tree("deps")
	p.do(removeAll(p.path("deps")))
	if hit, err := p.restore(); !hit || err != nil {
		t.Fatalf("hit %v, error %v", hit, err)
	}
	if diff := cmp.Diff(before, p.tree("deps")); diff != "" {
		t.Error(diff)
	}
}

// stopped starts a child and stops it (SIGSTOP) when a path that matches is there, which is
// in the middle of its work.
func (p place) stopped(what, pattern string) *exec.Cmd {
	p.t.Helper()
	matches := func() bool {
		found, _ := filepath.Glob(pattern)
		return len(found) > 0
	}
	cmd := child(p.t, what, p.state, p.work, "lock", "deps")
	p.do(cmd.Start())
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(30 * time.Second); !matches() && time.Now().Before(end); {
		<-again.C
	}
	p.do(cmd.Process.Signal(syscall.SIGSTOP))
	if !matches() {
		p.t.Fatal("the child was too fast, or did nothing: the test proves nothing")
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended before it was killed: the test proves nothing")
	}
}

func (p place) many() {
	p.t.Helper()
	for i := range 3000 {
		p.write(fmt.Sprintf("deps/many/%d", i), strings.Repeat("x", 1000))
	}
}

// TestKilledWhilePublishing: the copy never gets the name of an entry, and prune removes it
// when its maker is gone, not before.
func TestKilledWhilePublishing(t *testing.T) {
	p := newPlace(t)
	p.many()
	cmd := p.stopped("publish", filepath.Join(p.cache.Dir(), newPrefix+"*", treeDir, "0", "many", "1*"))
	if done, err := p.cache.Prune(PruneOptions{All: true}, time.Now()); err != nil || done.Leftover != 0 {
		t.Errorf("what is being made was pruned: %+v, %v", done, err)
	}
	kill(t, cmd)
	if hit, err := p.restore(); hit || err != nil {
		t.Errorf("half an entry: hit %v, error %v", hit, err)
	}
	if done, err := p.cache.Prune(PruneOptions{}, time.Now()); err != nil || done.Leftover != 1 {
		t.Errorf("pruned %+v, %v", done, err)
	}
	if p.publish().Lost {
		t.Error("nobody had published")
	}
}

// TestKilledWhileRestoring: what was in place is untouched, the entry cannot be pruned
// before, and the next restore clears up.
func TestKilledWhileRestoring(t *testing.T) {
	p := newPlace(t)
	p.many()
	p.publish()
	whole := p.tree("deps")
	p.do(removeAll(p.path("deps")))
	p.write("deps/older", "install")
	before := p.tree("deps")
	cmd := p.stopped("restore", filepath.Join(p.work, ".deps"+besideNew+"*", "many", "1*"))
	if done, err := p.cache.Prune(PruneOptions{All: true}, time.Now()); err != nil || len(done.InUse) != 1 {
		t.Errorf("pruned under a reader: %+v, %v", done, err)
	}
	kill(t, cmd)
	if diff := cmp.Diff(before, p.tree("deps")); diff != "" {
		t.Error(diff)
	}
	if hit, err := p.restore(); !hit || err != nil {
		t.Fatalf("hit %v, error %v", hit, err)
	}
	if diff := cmp.Diff(whole, p.tree("deps")); diff != "" {
		t.Error(diff)
	}
	p.clean()
}

func TestLeftoversOfARestoreAreClearedAway(t *testing.T) {
	p := newPlace(t)
	p.publish()
	for _, name := range []string{".deps" + besideNew + "1", ".deps" + besideOld + "2"} {
		p.write(name+"/half", "of a restore that was killed")
	}
	busy := p.path(".deps" + besideNew + "3")
	p.do(os.Mkdir(busy, 0o755))
	lock, err := lockDir(t.Context(), busy, filelock.Exclusive, 0)
	p.do(err)
	if hit, err := p.restore(); !hit || err != nil {
		t.Fatalf("hit %v, error %v", hit, err)
	}
	if _, err := os.Stat(busy); err != nil {
		t.Errorf("what another agent is making was removed: %v", err)
	}
	p.do(errors.Join(lock.Close(), os.Remove(busy)))
	p.clean()
}

func TestWhatCannotBeKept(t *testing.T) {
	t.Run("a named pipe", func(t *testing.T) {
		p := newPlace(t)
		p.do(unix.Mkfifo(p.path("deps/pipe"), 0o600))
		wantNoEntry(t, p, "named pipe")
	})
	t.Run("nothing was made", func(t *testing.T) {
		p := newPlace(t)
		p.do(removeAll(p.path("deps")))
		wantNoEntry(t, p, "no such file")
	})
	t.Run("a link", func(t *testing.T) {
		p := newPlace(t)
		p.do(os.Rename(p.path("deps"), p.path("elsewhere")))
		p.do(os.Symlink("elsewhere", p.path("deps")))
		wantNoEntry(t, p, "not a directory")
	})
	t.Run("a stop", func(t *testing.T) {
		p := newPlace(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.cache.Publish(ctx, p.inputs(), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		wantEmpty(t, p)
	})
}

func wantNoEntry(t *testing.T, p place, why string) {
	t.Helper()
	if _, err := p.cache.Publish(t.Context(), p.inputs(), nil); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("error %v, want one with %q", err, why)
	}
	wantEmpty(t, p)
}

func wantEmpty(t *testing.T, p place) {
	t.Helper()
	if left, err := os.ReadDir(p.cache.Dir()); len(left) != 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cache has %v, %v", left, err)
	}
}

// TestReadersWhilePruning: an entry that is read stays; a later reader finds none or
// a whole one.
func TestReadersWhilePruning(t *testing.T) {
	p := newPlace(t)
	key := p.publish().Key
	e, err := p.cache.Find(t.Context(), key)
	if err != nil || e == nil {
		t.Fatal(e, err)
	}
	done, err := p.cache.Prune(PruneOptions{All: true}, time.Now())
	if err != nil || len(done.InUse) != 1 || len(done.Removed) != 0 {
		t.Errorf("pruned %+v, %v", done, err)
	}
	e.Close()
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for range 20 {
				e, err := p.cache.Find(t.Context(), key)
				if err != nil {
					t.Error(err)
				}
				if e != nil {
					e.Close()
				}
			}
		})
	}
	for gone := false; !gone; {
		done, err = p.cache.Prune(PruneOptions{All: true}, time.Now())
		gone = len(done.Removed) == 1 || err != nil
	}
	readers.Wait()
	if err != nil {
		t.Error(err)
	}
	wantEmpty(t, p)
}
