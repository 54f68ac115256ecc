package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/freespace"
)

// Entry is an entry that is being read.
type Entry struct {
	Info
	cache *Cache
	dir   string
	lock  *os.File
	nodes []node
}

// Close unlocks the entry.
func (e *Entry) Close() { _ = e.lock.Close() }

// load reads the description of an entry. Any error means that it is damaged.
func load(dir, key string) (Info, []node, error) {
	info, err := readInfo(dir, key)
	if err != nil {
		return info, nil, err
	}
	list, err := os.ReadFile(filepath.Join(dir, filesFile))
	if err != nil {
		return info, nil, err
	}
	if sum := sha256.Sum256(list); hex.EncodeToString(sum[:]) != info.FilesHash {
		return info, nil, errors.New("its list of files has other content")
	}
	var nodes []node
	for line := range bytes.Lines(list) {
		var n node
		if err := json.Unmarshal(line, &n); err != nil {
			return info, nil, fmt.Errorf("its list of files: %w", err)
		}
		if n.Dir < 0 || n.Dir >= len(info.Inputs.Dirs) || !filepath.IsLocal(string(n.Path)) {
			return info, nil, errors.New("its list of files names a path outside of it")
		}
		nodes = append(nodes, n)
	}
	if len(nodes) != info.Files {
		return info, nil, errors.New("its list of files has another length")
	}
	return info, nodes, nil
}

func readInfo(dir, key string) (Info, error) {
	var info Info
	b, err := os.ReadFile(filepath.Join(dir, infoFile))
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("%s: %w", infoFile, err)
	}
	if info.Key != key || info.Inputs.Key() != key {
		return info, errors.New(infoFile + " is that of another key")
	}
	return info, nil
}

// PublishResult is the result of Publish.
type PublishResult struct {
	Info
	Lost bool // another agent was faster; its entry holds the same
}

// Publish keeps the directories that inputs name, as they are now. The commands are written
// down for people: secrets must be masked in them.
func (c *Cache) Publish(ctx context.Context, in Inputs, commands []string) (PublishResult, error) {
	p := PublishResult{Info: Info{Key: in.Key(), Inputs: in, Commands: commands, CreatedAt: time.Now().UTC()}}
	final := filepath.Join(c.dir, p.Key)
	if _, err := os.Lstat(final); err == nil {
		p.Lost = true
		return p, nil
	}
	var nodes []node
	for i, dir := range in.Dirs {
		found, size, err := scan(ctx, i, dir)
		if err != nil {
			return p, fmt.Errorf("read what the install steps made: %w", err)
		}
		nodes, p.Bytes = append(nodes, found...), p.Bytes+size
	}
	p.Files = len(nodes)
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return p, err
	}
	if err := checkRoom(c.dir, p.Bytes, p.Files); err != nil {
		return p, err
	}
	tmp, lock, err := makeLocked(c.dir, newPrefix)
	if err != nil {
		return p, err
	}
	defer lock.Close()
	if err := fill(ctx, tmp, &p.Info, nodes); err != nil {
		return p, errors.Join(err, removeAll(tmp))
	}
	err = os.Rename(tmp, final)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		p.Lost = true
		return p, removeAll(tmp)
	}
	if err != nil {
		return p, errors.Join(err, removeAll(tmp))
	}
	return p, nil
}

// fill writes an entry. Nothing is synced: after a power failure the hashes do not fit, and
// the entry is removed when it is read.
func fill(ctx context.Context, dir string, info *Info, nodes []node) error {
	if err := os.Mkdir(filepath.Join(dir, treeDir), 0o700); err != nil {
		return err
	}
	c := copier{
		store: true, to: pathIn(dir),
		from: func(n node) string { return filepath.Join(info.Inputs.Dirs[n.Dir], string(n.Path)) },
	}
	if err := c.copy(ctx, nodes); err != nil {
		return err
	}
	var list bytes.Buffer
	w := json.NewEncoder(&list)
	for _, n := range nodes {
		if err := w.Encode(n); err != nil {
			return err
		}
	}
	sum := sha256.Sum256(list.Bytes())
	info.FilesHash = hex.EncodeToString(sum[:])
	if err := os.WriteFile(filepath.Join(dir, filesFile), list.Bytes(), 0o600); err != nil {
		return err
	}
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, infoFile), append(b, '\n'), 0o600)
}

// pathIn returns a function that returns where an entry keeps a node.
func pathIn(dir string) func(node) string {
	return func(n node) string {
		return filepath.Join(dir, treeDir, strconv.Itoa(n.Dir), string(n.Path))
	}
}

// checkRoom returns an error if an entry would fill a disk that the job and its journal need.
func checkRoom(dir string, size int64, files int) error {
	const spare = 256 << 20
	space, err := freespace.Of(dir)
	if err != nil {
		return nil // then writing fails if there is none
	}
	if need := size + int64(files)*4096 + spare; space.Free < need {
		return fmt.Errorf("%s has %d MiB free and the copy would need %d MiB", dir, space.Free>>20, need>>20)
	}
	return nil
}
