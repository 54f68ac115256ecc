package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// node is one path of a cached directory: a line of the list of files. Names are bytes,
// because a file's name need not be text.
type node struct {
	Dir    int    `json:"d"` // which of the directories
	Path   []byte `json:"p"` // in it; "." is the directory itself
	Kind   string `json:"k"` // d, f or l
	Mode   uint32 `json:"m"` // fs.FileMode: permissions, setuid, setgid, sticky
	MTime  int64  `json:"t"` // nanoseconds
	UID    int    `json:"u"`
	GID    int    `json:"g"`
	Size   int64  `json:"s,omitempty"`
	Hash   []byte `json:"h,omitempty"` // of a file's content
	Target []byte `json:"l,omitempty"` // of a symbolic link
}

const keptModes = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// scan lists a directory, parents before what is in them.
func scan(ctx context.Context, index int, root string) (nodes []node, size int64, err error) {
	if info, err := os.Lstat(root); err != nil {
		return nil, 0, err
	} else if !info.IsDir() {
		return nil, 0, fmt.Errorf("%s is not a directory", root)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n, err := describe(p, info)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		n.Dir, n.Path = index, []byte(rel)
		size += n.Size
		nodes = append(nodes, n)
		return nil
	})
	return nodes, size, err
}

func describe(path string, info fs.FileInfo) (node, error) {
	n := node{Mode: uint32(info.Mode() & keptModes), MTime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n.UID, n.GID = int(st.Uid), int(st.Gid)
		if me := os.Geteuid(); me != 0 && n.UID != me {
			return n, fmt.Errorf("%s belongs to another user", path)
		}
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		n.Kind = "d"
	case 0:
		n.Kind, n.Size = "f", info.Size()
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return n, err
		}
		n.Kind, n.Target = "l", []byte(target)
	default:
		return n, fmt.Errorf("%s is a %s, which cannot be kept", path, typeName(info.Mode()))
	}
	return n, nil
}

func typeName(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

// workers copy at once: small files are mostly waiting for the file system.
const workers = 4

// copier copies trees.
type copier struct {
	from, to func(n node) string
	store    bool // into the cache: hashes are found out, modes are plain
	noClone  atomic.Bool
}

// copy makes every node below its destination. Into the cache it fills in the hashes; out
// of it, a file that does not match its hash is a *mismatchError.
func (c *copier) copy(ctx context.Context, nodes []node) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var err error
	for i := range nodes {
		n := &nodes[i]
		if err = groupCtx.Err(); err != nil {
			break
		}
		switch n.Kind {
		case "d":
			err = c.makeDir(*n)
		case "l":
			if !c.store { // the list holds its target
				err = errors.Join(os.Symlink(string(n.Target), c.to(*n)), c.setOwner(*n))
			}
		default:
			group.Go(func() error { return c.copyFile(groupCtx, n) })
		}
		if err != nil {
			break
		}
	}
	// The first failure is the reason; the other one may only be its echo.
	if werr := group.Wait(); werr != nil {
		return werr
	}
	if err != nil || c.store {
		return err
	}
	return c.finishDirs(ctx, nodes)
}

func (c *copier) makeDir(n node) error {
	err := os.Mkdir(c.to(n), 0o700)
	if string(n.Path) == "." && errors.Is(err, fs.ErrExist) {
		return nil // made, and locked, before
	}
	return err
}

// finishDirs gives directories their modes and times, the inner ones first.
func (c *copier) finishDirs(ctx context.Context, nodes []node) error {
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		if n.Kind != "d" {
			continue
		}
		to, at := c.to(n), time.Unix(0, n.MTime)
		if err := errors.Join(ctx.Err(), c.setOwner(n), os.Chmod(to, fs.FileMode(n.Mode)), os.Chtimes(to, at, at)); err != nil {
			return err
		}
	}
	return nil
}

// setOwner gives a copy that root makes its owner; other users can only make their own files.
func (c *copier) setOwner(n node) error {
	if os.Geteuid() != 0 || n.UID == 0 && n.GID == 0 {
		return nil
	}
	return os.Lchown(c.to(n), n.UID, n.GID)
}
