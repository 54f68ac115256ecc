//go:build linux || darwin

package process

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// shell runs what the kernel does not take but is a text, as execvp has it.
const shell = "/bin/sh"

// pathDirs returns the elements of the PATH in env, as they stand there: an empty one is the
// working directory.
func pathDirs(env []string) []string {
	list, found := envValue(env, "PATH")
	if !found {
		list = defaultPath
	}
	return strings.Split(list, ":")
}

// envValue returns the value of a variable, of one that is there twice the first: as getenv.
func envValue(env []string, key string) (value string, found bool) {
	for _, pair := range env {
		if value, found = strings.CutPrefix(pair, key+"="); found {
			return value, true
		}
	}
	return "", false
}

// inDir is path as seen from here, when the child sees it from dir.
func inDir(dir, path string) string {
	if dir == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// refusal is why a file was not started.
type refusal struct {
	path string // the file, or the program as given when no file was found
	err  error
}

// search calls try with the files that a program may be, as the child sees them, until one
// is started: the rules of execvp. A name with a slash is the file. Any other is searched on
// the PATH in env; a file that is not there, cannot be executed or lacks its interpreter gives
// way to the next, and every other error ends the search. If none is started the refusal
// is that of the first file that exists.
func search(program, dir string, env []string, try func(path string) error) *refusal {
	if strings.Contains(program, "/") {
		if err := try(program); err != nil {
			return &refusal{program, err}
		}
		return nil
	}
	denied, broken := (*refusal)(nil), (*refusal)(nil)
	for _, d := range pathDirs(env) {
		path := program
		if d != "" {
			path = d + "/" + program
		}
		err := executable(inDir(dir, path))
		exists := err == nil
		if exists {
			err = try(path)
		}
		var number syscall.Errno
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &number):
			return &refusal{path, err}
		}
		switch number {
		case syscall.EACCES:
			if denied == nil {
				denied = &refusal{path, err}
			}
		case syscall.ENOENT, syscall.ENOTDIR, syscall.ESTALE, syscall.ENODEV, syscall.ETIMEDOUT:
			if exists && broken == nil {
				broken = &refusal{path, err}
			}
		default:
			return &refusal{path, err}
		}
	}
	switch {
	case denied != nil:
		return denied
	case broken != nil:
		return broken
	}
	return &refusal{program, syscall.ENOENT}
}

// executable reports what the kernel would answer to a file that is not there, is no regular
// file, or has no permission to execute: nil stands for everything that must be tried.
func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return syscall.EACCES
	}
	return nil
}

// start starts the program of s; it runs on the thread that will wait for the child.
func (g *Group) start(s Spec, attr *os.ProcAttr) (child *os.Process, refused *refusal) {
	if s.Dir != "" {
		// The child's change of directory and its exec fail with the same numbers.
		if err := enterable(s.Dir); err != nil {
			return nil, &refusal{s.Args[0], err}
		}
	}
	refused = search(s.Args[0], s.Dir, attr.Env, func(path string) (err error) {
		readAhead(path, s.Dir)
		child, err = g.fork(path, s.Args, attr)
		if !errors.Is(err, syscall.ENOEXEC) || isBinary(inDir(s.Dir, path)) {
			return err
		}
		child, err = g.fork(shell, append([]string{shell, path}, s.Args[1:]...), attr)
		if err == nil {
			g.note("%s has no #! line; it runs through %s", path, shell)
		}
		return err
	})
	return child, refused
}

// enterable reports why a directory cannot be changed to.
func enterable(dir string) error {
	info, err := os.Stat(filepath.Join(dir, "."))
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return syscall.ENOTDIR
	}
	return nil
}

// isBinary reports whether a shell would refuse to read a file as a script, by the rule of
// POSIX: there is a NUL byte before the end of its first line. A file that cannot be read is
// the shell's to refuse.
func isBinary(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, _ := io.ReadFull(f, head) // short files are fine
	return isBinaryHead(head[:n])
}

// FindProgram returns where Start finds a program first: on the PATH in env, seen from dir. It reports
// false when there is none that can be run.
func FindProgram(program, dir string, env []string) (string, bool) {
	var found string
	refused := search(program, dir, env, func(path string) error {
		found = inDir(dir, path)
		return executable(found)
	})
	if refused != nil {
		return "", false
	}
	if abs, err := filepath.Abs(found); err == nil {
		found = abs
	}
	return found, true
}
