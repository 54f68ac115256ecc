package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ListedEntry is an entry as a list shows it.
type ListedEntry struct {
	Info
	UsedAt  time.Time // by a run; at first when it was made
	Damaged string    // why the entry will never be used; empty if nothing is known
}

// List returns the entries, those used last first, and the names of what is unfinished: it
// is being made, or its maker died.
func (c *Cache) List() (entries []ListedEntry, unfinished []string, err error) {
	found, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the install cache: %w", err)
	}
	for _, d := range found {
		name := d.Name()
		if strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, oldPrefix) {
			unfinished = append(unfinished, name)
			continue
		}
		if !isKey(name) {
			continue // not ours
		}
		if l, there := c.listedEntry(name); there {
			entries = append(entries, l)
		}
	}
	slices.SortStableFunc(entries, func(a, b ListedEntry) int { return b.UsedAt.Compare(a.UsedAt) })
	return entries, unfinished, nil
}

func (c *Cache) listedEntry(name string) (ListedEntry, bool) {
	dir := filepath.Join(c.dir, name)
	dirInfo, err := os.Lstat(dir)
	if err != nil {
		return ListedEntry{}, false // removed meanwhile
	}
	info, err := readInfo(dir, name)
	l := ListedEntry{Info: info, UsedAt: dirInfo.ModTime()}
	if err != nil {
		l.Info, l.Damaged = Info{Key: name}, err.Error()
		return l, true
	}
	if used, err := os.Stat(filepath.Join(dir, infoFile)); err == nil {
		l.UsedAt = used.ModTime()
	}
	return l, true
}

// PruneOptions says what to prune. What is damaged or left over goes in any case.
type PruneOptions struct {
	All       bool
	OlderThan time.Duration // not used for so long; 0: no matter
	MaxBytes  int64         // then the longest unused go until the rest is no more; 0: no limit
}

// PruneResult is what Prune did.
type PruneResult struct {
	Removed  []ListedEntry
	InUse    []ListedEntry // were to go, but a run reads them now
	Leftover int           // unfinished entries of agents that died
	Kept     int
}

// Prune removes entries.
func (c *Cache) Prune(choice PruneOptions, now time.Time) (PruneResult, error) {
	var p PruneResult
	entries, unfinished, err := c.List()
	if err != nil {
		return p, err
	}
	for _, name := range unfinished {
		gone, err := c.remove(name)
		if err != nil && !errors.Is(err, errInUse) {
			return p, err
		}
		if gone {
			p.Leftover++
		}
	}
	goes := choose(entries, choice, now)
	for i, l := range entries {
		if !goes[i] {
			p.Kept++
			continue
		}
		gone, err := c.remove(l.Key)
		switch {
		case errors.Is(err, errInUse):
			p.InUse = append(p.InUse, l)
		case err != nil:
			return p, err
		case gone:
			p.Removed = append(p.Removed, l)
		}
	}
	return p, nil
}

// choose returns the entries to remove. They are sorted by use, the last used first.
func choose(entries []ListedEntry, c PruneOptions, now time.Time) []bool {
	goes := make([]bool, len(entries))
	var sum int64
	for i, l := range entries {
		goes[i] = c.All || l.Damaged != "" || c.OlderThan > 0 && now.Sub(l.UsedAt) > c.OlderThan
		if goes[i] {
			continue
		}
		// One that is too large alone does not drive out those behind it.
		if c.MaxBytes > 0 && sum+l.Bytes > c.MaxBytes {
			goes[i] = true
			continue
		}
		sum += l.Bytes
	}
	return goes
}
