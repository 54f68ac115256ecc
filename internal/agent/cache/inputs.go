package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// format is part of every key: a change in how entries are kept makes all keys new.
const format = 1

// Inputs is everything that decides what install steps make; the key is its hash.
type Inputs struct {
	Format       int           `json:"format"`
	Install      []string      `json:"install"` // SHA-256 of each command, in order
	LockFiles    []ContentHash `json:"lock_files"`
	Interpreters []Interpreter `json:"interpreters"`
	Environment  []ContentHash `json:"environment"`
	Platform     Platform      `json:"platform"`
	// Dirs are absolute with links resolved: a Python venv holds its own path and works
	// nowhere else.
	Dirs []string `json:"dirs"`
}

// ContentHash is a name and the SHA-256 of its content.
type ContentHash struct {
	Name string `json:"name"`
	Hash string `json:"sha256"`
}

// Interpreter is a program that an install command names or uses.
type Interpreter struct {
	Name    string `json:"name"`
	Path    string `json:"path"`    // where the PATH has it; empty when it does not
	Version string `json:"version"` // that it prints
}

// Platform is what compiled code depends on.
type Platform struct {
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Libc    string `json:"libc,omitempty"`    // glibc, musl or both
	Release string `json:"release,omitempty"` // ID and VERSION_ID of os-release
}

// Request says what a run keeps in the cache. LockFiles and Dirs are relative to WorkDir.
type Request struct {
	WorkDir   string
	LockFiles []string
	Dirs      []string
	Install   []string
	Env       []string
}

// Gather reads what the request names. The caller adds the interpreters.
func Gather(r Request) (Inputs, error) {
	in := Inputs{Format: format, Environment: environment(r.Env), Platform: platform()}
	for _, cmd := range r.Install {
		in.Install = append(in.Install, hashText(cmd)) // it may hold a secret
	}
	var err error
	if in.Dirs, err = r.dirs(); err != nil {
		return in, err
	}
	for _, name := range r.LockFiles {
		h, err := hashFile(absolute(r.WorkDir, name))
		if err != nil {
			return in, fmt.Errorf("lock file: %w", err)
		}
		in.LockFiles = append(in.LockFiles, ContentHash{Name: name, Hash: h})
	}
	return in, nil
}

// Changed returns the first lock file that is not what it was when the inputs were gathered;
// empty when there is none.
func (in Inputs) Changed(workDir string) string {
	for _, f := range in.LockFiles {
		if h, err := hashFile(absolute(workDir, f.Name)); err != nil || h != f.Hash {
			return f.Name
		}
	}
	return ""
}

// Key returns the name of the entry that these inputs make.
func (in Inputs) Key() string {
	b, err := json.Marshal(in)
	if err != nil {
		panic("cache: inputs are plain strings and numbers: " + err.Error()) // only a programmer can cause it
	}
	return hashText(string(b))
}

// Check refuses directories that must not be replaced as a whole.
func (r Request) Check(stateDir string) error {
	dirs, err := r.dirs()
	if err != nil {
		return err
	}
	type kept struct{ path, what string }
	keep := []kept{{resolve(r.WorkDir), "the working directory"}}
	if stateDir != "" {
		keep = append(keep, kept{resolve(stateDir), "the state directory"})
	}
	for _, f := range r.LockFiles {
		keep = append(keep, kept{resolve(absolute(r.WorkDir, f)), "the lock file " + f})
	}
	for i, d := range dirs {
		for _, k := range keep {
			if within(k.path, d) {
				return fmt.Errorf("%s holds %s; a cached directory is replaced as a whole, so name one that only the install steps write", r.Dirs[i], k.what)
			}
		}
		for k, other := range dirs {
			if k != i && within(other, d) {
				return fmt.Errorf("%s lies within %s: name the outer one only", r.Dirs[k], r.Dirs[i])
			}
		}
	}
	return nil
}

func (r Request) dirs() ([]string, error) {
	var out []string
	for _, d := range r.Dirs {
		if d == "" {
			return nil, errors.New("an empty name is no directory")
		}
		abs := absolute(r.WorkDir, d)
		// The last part is not resolved: it is what a restore puts in place.
		out = append(out, filepath.Join(resolve(filepath.Dir(abs)), filepath.Base(abs)))
	}
	return out, nil
}

func absolute(workDir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(workDir, path)
}

// resolve follows the links of the longest part of a path that exists.
func resolve(path string) string {
	for at, rest := path, ""; ; {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest)
		}
		if at == filepath.Dir(at) {
			return path
		}
		at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
	}
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func hashFile(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path) // opening a pipe would wait
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// read by package managers and compilers: variables that change what an install makes.
var (
	readNames    = []string{"NODE_ENV", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "GOFLAGS", "VIRTUAL_ENV"}
	readPrefixes = []string{"NPM_CONFIG_", "YARN_", "PNPM_", "PIP_", "UV_", "POETRY_", "PIPENV_", "BUNDLE_", "GEM_", "COMPOSER_", "CARGO_", "PYTHON"}
)

// environment hashes the variables that package managers read. Values may be secret and are
// never written down.
func environment(env []string) []ContentHash {
	hashes := map[string]string{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		if slices.Contains(readNames, upper) || slices.ContainsFunc(readPrefixes, func(p string) bool { return strings.HasPrefix(upper, p) }) {
			hashes[name] += hashText(value) // a name may be there twice
		}
	}
	out := make([]ContentHash, 0, len(hashes))
	for name, hash := range hashes {
		out = append(out, ContentHash{name, hash})
	}
	slices.SortFunc(out, func(a, b ContentHash) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func platform() Platform {
	p := Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
	var libcs []string
	for _, l := range [][2]string{{"glibc", "/lib*/ld-linux*"}, {"musl", "/lib/ld-musl-*"}} {
		if found, _ := filepath.Glob(l[1]); len(found) > 0 {
			libcs = append(libcs, l[0])
		}
	}
	p.Libc = strings.Join(libcs, "+")
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if text, err := os.ReadFile(path); err == nil {
			p.Release = release(text)
			break
		}
	}
	return p
}

// release returns ID and VERSION_ID of an os-release file.
func release(text []byte) string {
	var id, version string
	for line := range bytes.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		switch value = strings.Trim(value, `"'`); key {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	}
	return strings.TrimSpace(id + " " + version)
}
