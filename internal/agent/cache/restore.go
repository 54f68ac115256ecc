package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of what a restore makes beside its target. They begin with a dot and the target's
// name, so that a person who finds one after a crash knows what it is.
const (
	besideNew = ".stint-new-"
	besideOld = ".stint-old-"
)

// placement is one directory on its way to its place.
type placement struct {
	target, fresh string
	lock          *os.File
	old           string // where what was in place is now; empty if there was nothing
}

// Restore puts the directories in place: first all of them are copied beside their places
// and every byte is checked, then they are swapped in. Whatever fails leaves what was there
// before. A damaged entry is removed, and the error is a *DamagedError.
func (e *Entry) Restore(ctx context.Context) error {
	var all []*placement
	defer func() {
		for _, p := range all {
			_ = removeAll(p.fresh) // the next restore removes what this one could not
			_ = p.lock.Close()
		}
	}()
	for _, target := range e.Inputs.Dirs {
		p, err := prepare(target)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	c := copier{from: pathIn(e.dir), to: func(n node) string { return filepath.Join(all[n.Dir].fresh, string(n.Path)) }}
	if err := c.copy(ctx, e.nodes); err != nil {
		var bad *mismatchError
		if !errors.As(err, &bad) {
			return err
		}
		e.Close() // else it would be in use
		return e.cache.removeDamaged(e.Key, err)
	}
	if err := ctx.Err(); err != nil { // the caller may use the directories already
		return err
	}
	if err := swapAll(all); err != nil {
		return err
	}
	e.cache.touch(e.dir)
	for _, p := range all {
		if p.old != "" {
			_ = removeAll(p.old)
		}
	}
	return nil
}

// prepare clears away what a crash left beside the target and makes the new directory.
func prepare(target string) (*placement, error) {
	parent, base := filepath.Dir(target), filepath.Base(target)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(target); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", target)
	}
	for _, kind := range []string{besideNew, besideOld} {
		found, _ := filepath.Glob(filepath.Join(escape(parent), escape("."+base+kind)+"*"))
		for _, dir := range found {
			removeLeftover(dir)
		}
	}
	fresh, lock, err := makeLocked(parent, "."+base+besideNew)
	if err != nil {
		return nil, err
	}
	return &placement{target: target, fresh: fresh, lock: lock}, nil
}

// escape makes a path a pattern that matches only itself.
func escape(path string) string {
	var out []byte
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, path[i])
	}
	return string(out)
}

// swapAll puts every directory in its place, or none.
func swapAll(all []*placement) error {
	for i, p := range all {
		err := p.swap()
		if err == nil {
			continue
		}
		for _, done := range all[:i] {
			err = errors.Join(err, done.undo())
		}
		return err
	}
	return nil
}

func (p *placement) swap() error {
	old, err := os.MkdirTemp(filepath.Dir(p.target), "."+filepath.Base(p.target)+besideOld)
	if err != nil {
		return err
	}
	switch err := renameOver(p.target, old); {
	case errors.Is(err, fs.ErrNotExist):
		_ = os.Remove(old)
		old = ""
	case err != nil: // a mount point, for example
		return errors.Join(err, os.Remove(old))
	}
	if err := os.Rename(p.fresh, p.target); err != nil {
		if old != "" {
			err = errors.Join(err, os.Rename(old, p.target))
		}
		return err
	}
	p.old = old
	return nil
}

func (p *placement) undo() error {
	if err := os.Rename(p.target, p.fresh); err != nil {
		return err
	}
	if p.old == "" {
		return nil
	}
	return os.Rename(p.old, p.target)
}
