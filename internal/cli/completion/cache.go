package completion

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

const (
	// freshFor is how long an answer is offered without asking again, and keptFor how long while the server does not
	// answer.
	freshFor = 5 * time.Second
	keptFor  = time.Hour
	// maxKept bounds a file of the cache.
	maxKept = 4 << 20
)

// cache keeps answers of servers in files that only the user can read.
type cache struct {
	dir string // empty: nothing is kept
	now func() time.Time
}

// cacheDir is where completions are kept: below XDG_CACHE_HOME, else ~/.cache.
func cacheDir(getenv func(string) string) string {
	switch base, home := getenv("XDG_CACHE_HOME"), getenv("HOME"); {
	case filepath.IsAbs(base):
		return filepath.Join(base, "stint", "completion")
	case filepath.IsAbs(home):
		return filepath.Join(home, ".cache", "stint", "completion")
	}
	return ""
}

// file returns the file of what was asked of a server with a token. Its name shows neither.
func (c cache) file(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return filepath.Join(c.dir, hex.EncodeToString(h.Sum(nil))[:32])
}

// read returns what is kept in a file, and whether it is fresh.
func (c cache) read(file string) (items []item, fresh bool) {
	info, err := os.Lstat(file)
	if c.dir == "" || err != nil || !info.Mode().IsRegular() || info.Size() > maxKept {
		return nil, false
	}
	age := c.now().Sub(info.ModTime())
	if age > keptFor || age < -freshFor {
		return nil, false
	}
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &items) != nil {
		return nil, false
	}
	return items, age < freshFor
}

// write keeps items in a file, if it can, and removes what is kept no longer.
func (c cache) write(file string, items []item) {
	text, err := json.Marshal(items)
	if c.dir == "" || err != nil || len(text) > maxKept || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(c.dir, ".new-") // of mode 0600
	if err != nil {
		return
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err != nil || cerr != nil || os.Rename(f.Name(), file) != nil {
		_ = os.Remove(f.Name()) // it is removed with the next answer otherwise
		return
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && c.now().Sub(info.ModTime()) > keptFor {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // best effort
		}
	}
}
