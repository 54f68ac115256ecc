package agentcmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// directory fills in where the job runs. Without --dir it stays in the agent's own directory,
// whatever has become of its path; only --dir may be refused.
func directory(c *agent.Config, dir, source string) error {
	if dir != "" {
		return chosenDir(c, dir, source)
	}
	path, err := bounded.Call(command.FileLimit, ownDir)
	if err != nil {
		c.Notes = append(c.Notes, fmt.Sprintf("the path of the working directory is not known: %v; the job runs in the directory in which stint run was started", err))
		return nil
	}
	c.DirPath = path
	return nil
}

func chosenDir(c *agent.Config, dir, source string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return option.Usagef("%s %s: %v", source, job.Quote(dir), errors.Unwrap(err))
	case !info.IsDir():
		return option.Usagef("%s %s is not a directory", source, job.Quote(dir))
	}
	c.Dir = dir
	if !filepath.IsAbs(dir) {
		own, err := ownDir()
		if err != nil {
			return nil // the relative path leads there all the same
		}
		c.Dir = filepath.Join(own, dir)
		if there, err := os.Stat(c.Dir); err != nil || !os.SameFile(info, there) {
			c.Dir = dir
			return nil
		}
	}
	c.DirPath = c.Dir
	return nil
}

// ownDir returns the path of the directory that this process is in: $PWD if it leads there, else
// what the kernel knows, which also needs no right to read or search the directory.
func ownDir() (string, error) {
	if path, err := os.Getwd(); err == nil {
		return path, nil
	}
	path, err := syscall.Getwd()
	if err != nil {
		return "", fmt.Errorf("getwd: %w", err)
	}
	return path, nil
}
