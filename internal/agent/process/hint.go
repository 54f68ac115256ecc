//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stint.dev/stint/job"
)

// defaultPath is searched when the environment has no PATH, as shells do.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

func envValue(env []string, key string) (value string, found bool) {
	for _, pair := range env { // the last one wins, as for os/exec
		if v, ok := strings.CutPrefix(pair, key+"="); ok {
			value, found = v, true
		}
	}
	return value, found
}

func baseName(program string) string { return filepath.Base(program) }

// searchPath is the directories of the PATH in env. A relative one is meant from dir.
func searchPath(dir string, env []string) []string {
	list, found := envValue(env, "PATH")
	if !found {
		list = defaultPath
	}
	dirs := filepath.SplitList(list)
	for i, d := range dirs {
		if d == "" {
			d = "."
		}
		if !filepath.IsAbs(d) && dir != "" {
			d = filepath.Join(dir, d)
		}
		dirs[i] = d
	}
	return dirs
}

// lookPath finds the program as a shell would: a name with a slash is taken as it is (from
// dir, since the child changes there first), any other is searched on the PATH in env. A
// file that may not be executed is skipped, and named only if nothing better comes.
func lookPath(program, dir string, env []string) (string, error) {
	if strings.Contains(program, "/") {
		return program, nil
	}
	var denied string
	for _, d := range searchPath(dir, env) {
		path := filepath.Join(d, program)
		if !strings.Contains(path, "/") {
			path = "./" + path
		}
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 != 0 && unix.Access(path, unix.X_OK) == nil {
			return absolute(path), nil
		}
		if denied == "" {
			denied = path
		}
	}
	if denied != "" {
		return denied, syscall.EACCES
	}
	return program, syscall.ENOENT
}

// absolute keeps a path valid after the child's change of directory.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// explain turns a failed start into the error for a person. path is the file that was
// tried, or the program as given when no file was found.
func explain(err error, program, path string, s Spec, env []string) *job.StartError {
	e := &job.StartError{Path: program, Text: err.Error()}
	var number syscall.Errno
	if !errors.As(err, &number) {
		return e
	}
	e.Errno, e.Text = unix.ErrnoName(number), number.Error()
	if s.Dir != "" {
		if why := badDir(s.Dir); why != "" {
			e.Hint = why
			return e
		}
	}
	if !strings.Contains(program, "/") && number == syscall.ENOENT && path == program {
		e.Text = "no such program on the PATH"
		if near := nearest(program, programsOn(searchPath(s.Dir, env))); near != "" {
			e.Hint = "did you mean " + near + "?"
		} else {
			e.Hint = "install it, or give its whole path"
		}
		return e
	}
	if !filepath.IsAbs(path) && s.Dir != "" {
		path = filepath.Join(s.Dir, path)
	}
	e.Hint = hint(number, look(path), s.Args, env)
	return e
}

func badDir(dir string) string {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "the working directory " + dir + " does not exist"
	case err != nil:
		return "the working directory " + dir + " cannot be entered"
	case !info.IsDir():
		return "the working directory " + dir + " is not a directory"
	case unix.Access(dir, unix.X_OK) != nil:
		return "the working directory " + dir + " may not be entered by this user"
	}
	return ""
}

// hint says what to do about an error number, given what the file looks like.
func hint(number syscall.Errno, f file, args, env []string) string {
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR:
		return hintMissing(f)
	case syscall.EACCES, syscall.EPERM:
		switch {
		case f.dir:
			return f.path + " is a directory"
		case f.exists && !f.executable:
			return "it is not executable: chmod +x " + f.path
		case f.exists && f.interpreter != "" && !f.interpreterRuns:
			return "its interpreter " + f.interpreter + " may not be executed"
		case f.exists:
			return "the file system may be mounted noexec, or a security policy forbids it"
		}
		return "a directory on the way to it may not be searched by this user"
	case syscall.ENOEXEC:
		return hintFormat(f)
	case syscall.E2BIG:
		return fmt.Sprintf("the arguments (%d bytes) and the environment (%d bytes) are longer than the system takes; pass them in a file", size(args), size(env))
	case syscall.EAGAIN:
		return "the limit of processes is reached: see ulimit -u and the pids limit of the cgroup"
	case syscall.ENOMEM:
		return "the system has too little memory left to make a process"
	case syscall.ETXTBSY:
		return "the file is still open for writing"
	case syscall.EINVAL:
		if slices.ContainsFunc(slices.Concat(args, env), func(s string) bool { return strings.Contains(s, "\x00") }) {
			return "an argument or an environment variable has a NUL byte in it"
		}
	}
	return ""
}

func hintMissing(f file) string {
	switch {
	case !f.exists:
		return "there is no such file"
	case strings.HasSuffix(f.interpreter, "\r"):
		return "its first line ends in CRLF as on Windows, so the interpreter's name ends in a carriage return: convert the file with dos2unix or sed -i 's/\\r$//' " + f.path
	case f.interpreter == "":
		return ""
	}
	interpreter := look(f.interpreter)
	switch {
	case f.script && !interpreter.exists:
		return "the interpreter in its first line, " + f.interpreter + ", does not exist"
	case f.script && interpreter.interpreter != "" && !look(interpreter.interpreter).exists:
		return "the interpreter in its first line, " + f.interpreter + ", cannot be started: " + interpreter.interpreter + ", which it needs, does not exist"
	case !f.script && !interpreter.exists:
		return "it needs the loader " + f.interpreter + ", which does not exist: it was built for another C library or architecture"
	}
	return "" // everything is there by now
}

func hintFormat(f file) string {
	switch {
	case f.empty:
		return "the file is empty"
	case f.format != "":
		return "it is " + f.format + "; this machine runs " + thisMachine()
	case f.text:
		return "it has no #! line: put one first, such as #!/bin/sh, or run it as sh " + f.path
	}
	return "it is neither a program for " + thisMachine() + " nor a script"
}

func size(words []string) (n int) {
	for _, w := range words {
		n += len(w) + 1
	}
	return n
}
