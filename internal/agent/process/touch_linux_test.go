package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// A program that cannot be started, because its file system does not answer, holds up neither
// the group nor the runtime, and never runs.
func TestStartFromAFileSystemThatDoesNotAnswer(t *testing.T) {
	const loader = "/lib64/ld-linux-x86-64.so.2"
	for name, program := range map[string]func(t *testing.T, dead, live string) string{
		"program": func(_ *testing.T, dead, _ string) string { return filepath.Join(dead, "program") },
		"interpreter": func(t *testing.T, dead, live string) string {
			return executableFile(t, live, []byte("#!"+dead+"/sh\n"))
		},
		"interpreter of a relative path": func(t *testing.T, dead, live string) string {
			if err := os.Symlink(dead, filepath.Join(live, "there")); err != nil {
				t.Fatal(err)
			}
			return executableFile(t, live, []byte("#!there/sh\n"))
		},
		"loader": func(t *testing.T, dead, live string) string {
			elf, err := os.ReadFile("/bin/true")
			if err != nil || !bytes.Contains(elf, []byte(loader+"\x00")) {
				t.Skipf("/bin/true does not have the loader %s: %v", loader, err)
			}
			link, err := os.MkdirTemp("/tmp", "l") // t.TempDir is too long for its place
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(link) })
			if err := os.Symlink(dead, link+"/d"); err != nil {
				t.Fatal(err)
			}
			return executableFile(t, live, bytes.Replace(elf, []byte(loader), append([]byte(link+"/d/l"), make([]byte, len(loader)-len(link+"/d/l"))...), 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dead, release := deadfs.Mount(t)
			live := t.TempDir()
			g, err := Contain(Options{Run: testRun(), Attempt: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			path := program(t, dead, live)
			ended := make(chan error, 1)
			go func() {
				p, err := g.Start(Spec{Args: []string{path}, Dir: live, Env: os.Environ()})
				if err == nil && p.Exit().Signal != "SIGKILL" { // the kill reaches also what comes later into its cgroup
					err = fmt.Errorf("it ran: %+v", p.Exit())
				}
				ended <- err
			}()
			await(t, "the start to wait for the file system", func() bool { return deadfs.Waits(os.Getpid()) })
			runtime.GC() // stops every thread of Go
			if members, err := g.Members(); err != nil || len(members) != 0 {
				t.Errorf("members %v, %v", members, err)
			}
			if err := errors.Join(g.Signal(15), g.Kill()); err != nil {
				t.Error(err)
			}
			empty(t, g)
			select {
			case err := <-ended:
				t.Fatalf("the start ended: %v", err)
			default:
			}
			release()
			var refused *job.StartError
			if err := <-ended; err != nil && !errors.As(err, &refused) {
				t.Errorf("the start ended with %v", err)
			}
		})
	}
}

func executableFile(t *testing.T, dir string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
