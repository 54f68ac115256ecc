package croncmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/crontab"
)

// shell returns the path of stint-sh, which works: cron starts no job whose shell does not. For the jobs of
// others, everybody must be able to run it.
func (p *program) shell(ctx context.Context, path string, others bool) (string, error) {
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find stint-sh: %w; give its path by --shell", err)
		}
		path = filepath.Join(filepath.Dir(own), crontab.ShellName)
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("find stint-sh: %w; make it by: ln -s %s %s", err, filepath.Base(own), path)
		}
	}
	if filepath.Base(path) != crontab.ShellName || !filepath.IsAbs(path) {
		return "", option.Usagef("--shell: %s is not the absolute path of a program of the name %s", path, crontab.ShellName)
	}
	ctx, cancel := context.WithTimeout(ctx, programLimit)
	defer cancel()
	out, err := process.RunProgram(ctx, []string{path, "-c", "echo works"}, append([]string{"STINT_SKIP=1"}, p.host.env...))
	if err == nil && string(out) != "works\n" {
		err = fmt.Errorf("it printed %q", out)
	}
	if err == nil && others {
		err = forEverybody(path)
	}
	if err != nil {
		return "", fmt.Errorf("try %s, with which cron would run no job: %w", path, err)
	}
	return path, nil
}

// forEverybody returns an error if not everybody can run a program.
func forEverybody(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, p := range []string{filepath.Dir(path), real} {
		for ; ; p = filepath.Dir(p) {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			if info.Mode().Perm()&0o001 == 0 {
				return fmt.Errorf("other users cannot use it, because of the mode of %s", p)
			}
			if p == filepath.Dir(p) {
				break
			}
		}
	}
	return nil
}
