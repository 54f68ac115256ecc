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

	"stint.dev/stint/internal/typo"
	"stint.dev/stint/job"
)

// defaultPath is searched when the environment has no PATH, as execvp does.
const defaultPath = "/bin:/usr/bin"

func baseName(program string) string { return filepath.Base(program) }

// explain turns a refused start into the error for a person.
func (g *Group) explain(r *refusal, s Spec, env []string) *job.StartError {
	program := s.Args[0]
	e := &job.StartError{Path: program, Text: r.err.Error()}
	var number syscall.Errno
	if !errors.As(r.err, &number) {
		return e
	}
	e.Errno, e.Text = unix.ErrnoName(number), number.Error()
	if s.Dir != "" {
		if why := badDir(s.Dir); why != "" {
			e.Hint = why
			return e
		}
	}
	limit := g.opts.MemoryLimitBytes
	switch {
	case number == syscall.ENOENT && r.path == program && !strings.Contains(program, "/"):
		e.Text = "no such program on the PATH"
		e.Hint = "install it, or give its whole path"
		if near := typo.Nearest(program, programsOn(s.Dir, env)); near != "" {
			e.Hint = "did you mean " + near + "?"
		}
	case limit > 0 && (number == syscall.ENOMEM || number == syscall.ENFILE): // v1 answers with ENFILE
		e.Text = "there is not enough memory to start it"
		e.Hint = "the memory limit of " + job.Bytes(limit) + " is too small"
	default:
		e.Hint = hint(number, inspect(inDir(s.Dir, r.path)), s.Args, env)
	}
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
		return "the directory " + filepath.Dir(f.path) + " may not be searched by this user"
	case syscall.ENOEXEC:
		return hintFormat(f)
	case syscall.E2BIG:
		return fmt.Sprintf("the arguments (%d bytes) and the environment (%d bytes) are longer than the system accepts; pass them in a file", size(args), size(env))
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
	interpreter := inspect(f.interpreter)
	switch {
	case f.script && !interpreter.exists:
		return "the interpreter in its first line, " + f.interpreter + ", does not exist"
	case f.script && interpreter.interpreter != "" && !inspect(interpreter.interpreter).exists:
		return "the interpreter in its first line, " + f.interpreter + ", cannot be started: " + interpreter.interpreter + ", which it needs, does not exist"
	case !f.script && !interpreter.exists:
		return "it needs the loader " + f.interpreter + ", which does not exist: it was built for another C library or architecture"
	}
	return "" // everything is there by now
}

func hintFormat(f file) string {
	if f.format != "" {
		return "it is " + f.format + "; this machine runs " + thisMachine()
	}
	return "it is neither a program for " + thisMachine() + " nor a script"
}

func size(words []string) (n int) {
	for _, w := range words {
		n += len(w) + 1
	}
	return n
}
