package croncmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/crontab"
)

// host is where crontabs are.
type host struct {
	systemFile string // of all users
	systemDir  string // of packages
	localtime  string // leads to the time zone
	env        []string
}

// thisHost returns where cron of this host has its crontabs.
func thisHost(p *command.Program) host {
	h := host{systemFile: "/etc/crontab", systemDir: "/etc/cron.d", localtime: "/etc/localtime"}
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME"} {
		if value := p.Getenv(name); value != "" {
			h.env = append(h.env, name+"="+value)
		}
	}
	return h
}

// source is a crontab, and where it is.
type source struct {
	file  string // a path; empty for the crontab of a user, which the program crontab reads and installs
	user  string // whose crontab; empty for the user of this process
	text  string
	table crontab.Table
}

// name returns the name of the crontab for people.
func (s source) name() string {
	switch {
	case s.file != "":
		return s.file
	case s.user != "":
		return "the crontab of " + s.user
	}
	return "the crontab of " + command.UserName()
}

// mostCrontab bounds a crontab, in bytes: the program crontab may print as much.
const mostCrontab = 200 << 10

// source returns the crontab in a file.
func (h host) file(name string) (source, error) {
	info, err := os.Stat(name)
	if err == nil && (info.Size() > mostCrontab || !info.Mode().IsRegular()) {
		err = fmt.Errorf("%s is not a file of at most %d bytes", name, mostCrontab)
	}
	if err != nil {
		return source{}, fmt.Errorf("read a crontab: %w", err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, fmt.Errorf("read a crontab: %w", err)
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return source{}, fmt.Errorf("read the crontab %s: %w", name, err)
	}
	return source{file: path, text: string(text), table: crontab.Parse(string(text), h.hasUsers(path))}, nil
}

// hasUsers reports whether the lines of a file have the user of each job: those that cron reads itself.
func (h host) hasUsers(path string) bool {
	return path == h.systemFile || filepath.Dir(path) == h.systemDir || filepath.Base(filepath.Dir(path)) == "cron.d"
}

// system returns the crontabs of the system that can be read. The error joins those of the others.
func (h host) system() (all []source, err error) {
	names := []string{h.systemFile}
	entries, err := os.ReadDir(h.systemDir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	for _, e := range entries {
		if isCronName(e.Name()) {
			names = append(names, filepath.Join(h.systemDir, e.Name()))
		}
	}
	for _, name := range names {
		s, readErr := h.file(name)
		switch {
		case readErr == nil:
			all = append(all, s)
		case !errors.Is(readErr, fs.ErrNotExist):
			err = errors.Join(err, readErr)
		}
	}
	return all, err
}

// isCronName reports whether cron reads a file of this name in a directory of crontabs.
func isCronName(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z')
	})
}

// programLimit bounds how long the program crontab may take.
const programLimit = 30 * time.Second

// runCrontab runs the program crontab and returns what it printed on stdout and stderr, and whether it succeeded.
func (h host) runCrontab(ctx context.Context, args ...string) (printed string, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, programLimit)
	defer cancel()
	const script = `crontab "$@" 2>&1; printf '\n%d' $?`
	out, err := process.RunProgram(ctx, slices.Concat([]string{"/bin/sh", "-c", script, "crontab"}, args), h.env)
	if err != nil {
		return "", false, err
	}
	end := strings.LastIndexByte(string(out), '\n')
	if end < 0 {
		return "", false, fmt.Errorf("run crontab: it printed %q", out)
	}
	return string(out[:end]), string(out[end+1:]) == "0", nil
}

// ofUser returns the crontab of a user; of an empty name, that of the user of this process. A user without
// one has an empty one.
func (h host) ofUser(ctx context.Context, user string) (source, error) {
	printed, ok, err := h.runCrontab(ctx, append(userArgs(user), "-l")...)
	s := source{user: user}
	switch {
	case err != nil:
		return s, fmt.Errorf("read %s: %w", s.name(), err)
	case !ok && !strings.HasPrefix(printed, "no crontab for "):
		return s, fmt.Errorf("read %s: crontab -l: %s", s.name(), strings.TrimSpace(printed))
	case ok:
		s.text = printed
	}
	s.table = crontab.Parse(s.text, false)
	return s, nil
}

func userArgs(user string) []string {
	if user == "" {
		return nil
	}
	return []string{"-u", user}
}
