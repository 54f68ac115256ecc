//go:build linux || darwin

package process

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// foreignELF is the head of a program for a processor that this machine does not have.
func foreignELF() string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	head[16], head[18] = 2, 183 // executable, arm64
	if runtime.GOARCH == "arm64" {
		head[18] = 62
	}
	return string(head)
}

func TestStartErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	put("frobnicate", "#!/bin/sh\n", 0o755)
	put("unready", "#!/bin/sh\n", 0o644)
	for _, c := range []struct {
		name        string
		args        []string
		dir         string
		errno, hint string
	}{
		{"typo", []string{"frobnciate"}, "", "ENOENT", "did you mean frobnicate?"},
		{"unknown", []string{"zzzzqqqqxxxx"}, "", "ENOENT", "install it, or give its whole path"},
		{"empty", []string{""}, "", "ENOENT", ""},
		{"none", nil, "", "ENOENT", ""},
		{"no file", []string{dir + "/nothing"}, "", "ENOENT", "there is no such file"},
		{"no interpreter", []string{put("noint", "#!/opt/nowhere/python\n", 0o755)}, "", "ENOENT", "the interpreter in its first line, /opt/nowhere/python, does not exist"},
		{"CRLF", []string{put("crlf", "#!/bin/sh\r\necho\r\n", 0o755)}, "", "ENOENT", "CRLF"},
		{"binary", []string{put("binary", "a\x00b\n", 0o755)}, "", "ENOEXEC", "neither a program for"},
		{"architecture", []string{put("foreign", foreignELF(), 0o755)}, "", "ENOEXEC", "a Linux program for "},
		{"Windows", []string{put("win.exe", "MZ\x90\x00\x03", 0o755)}, "", "ENOEXEC", "a Windows program"},
		{"not executable", []string{dir + "/unready"}, "", "EACCES", "chmod +x"},
		{"not executable on the PATH", []string{"unready"}, "", "EACCES", "chmod +x"},
		{"directory", []string{dir + "/folder"}, "", "EACCES", "is a directory"},
		{"no working directory", []string{"frobnicate"}, dir + "/gone", "ENOENT", "the working directory " + dir + "/gone does not exist"},
		{"working directory is a file", []string{"frobnicate"}, dir + "/frobnicate", "ENOTDIR", "is not a directory"},
		{"NUL", []string{"frobnicate", "a\x00b"}, "", "EINVAL", "NUL byte"},
		{"relative to the directory", []string{"./nothing"}, dir, "ENOENT", "there is no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && c.errno == "ENOEXEC" {
				t.Skip("other systems answer with other numbers")
			}
			g, err := Contain(Options{Run: "0193c000-0000-7000-8000-000000000000", Attempt: os.Getpid()})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			_, err = g.Start(Spec{Args: c.args, Dir: c.dir, Env: []string{"PATH=" + dir}})
			var e *job.StartError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Errno != c.errno || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("got %s %q, want %s %q: %v", e.Errno, e.Hint, c.errno, c.hint, e)
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	for _, seed := range []string{"", "#!", "#!/bin/sh\r\n", foreignELF(), "MZ", "\x7fELF", "\xcf\xfa\xed\xfe"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		var got file
		got.read(head)
		loader(strings.NewReader(string(head)), head)
	})
}
