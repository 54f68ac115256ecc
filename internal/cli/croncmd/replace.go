package croncmd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// replace replaces a crontab in one step, unless it was changed since it was read. It returns where a copy of
// what was there is.
func (p *program) replace(ctx context.Context, s source, text string) (kept string, err error) {
	now, err := p.again(ctx, s)
	if err != nil {
		return "", err
	}
	if now.text != s.text {
		return "", fmt.Errorf("%s was edited meanwhile and is as it was edited: call the command again", s.name())
	}
	if kept, err = p.keep(s); err != nil {
		return "", fmt.Errorf("keep a copy of %s, which was not changed: %w", s.name(), err)
	}
	if s.file != "" {
		err = replaceFile(s.file, text)
	} else {
		err = p.install(ctx, s, text, filepath.Dir(kept))
	}
	if err != nil {
		return "", fmt.Errorf("change %s: %w", s.name(), err)
	}
	if now, err = p.again(ctx, s); err == nil && now.text != text {
		err = fmt.Errorf("%s is not what was installed; what it was is in %s", s.name(), kept)
	}
	return kept, err
}

// again reads a crontab again.
func (p *program) again(ctx context.Context, s source) (source, error) {
	if s.file != "" {
		return p.host.file(s.file)
	}
	return p.host.ofUser(ctx, s.user)
}

// keep writes a copy of a crontab into the state directory.
func (p *program) keep(s source) (string, error) {
	state, err := p.StateDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "crontabs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := strings.ReplaceAll(strings.Trim(s.name(), "/"), "/", "-")
	name = strings.ReplaceAll(strings.TrimPrefix(name, "the crontab of "), " ", "-")
	f, err := os.CreateTemp(dir, name+"-"+time.Now().UTC().Format("20060102T150405Z")+"-*")
	if err != nil {
		return "", err
	}
	return f.Name(), writeAndClose(f, s.text)
}

// install installs the crontab of a user by the program crontab, from a file in a directory.
func (p *program) install(ctx context.Context, s source, text, dir string) error {
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is in a directory of Stint's
	if err := writeAndClose(f, text); err != nil {
		return err
	}
	printed, ok, err := p.host.runCrontab(ctx, append(userArgs(s.user), f.Name())...)
	if err == nil && !ok {
		err = fmt.Errorf("crontab refused it: %s", strings.TrimSpace(printed))
	}
	return err
}

// replaceFile replaces the text of a file in one step. The file keeps its owner and mode; cron does not read
// the new one under its first name, which has a dot.
func replaceFile(path, text string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".stint-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has its new name, or an error is returned
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	if err := writeAndClose(f, text); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// writeAndClose writes a file, waits until it is on disk, and closes it.
func writeAndClose(f *os.File, text string) error {
	_, err := f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
