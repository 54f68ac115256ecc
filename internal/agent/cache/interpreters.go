package cache

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// VersionQuery is an interpreter to be asked for its version.
type VersionQuery struct {
	Name string
	Args []string
}

// interpreter returns the program that decides what a command of this name installs, with the
// arguments that print its version; nil for an unknown name. A package manager's own
// version is not asked for: what it installs is in the lock file.
func interpreter(name string) []string {
	switch name {
	case "node", "npm", "npx", "yarn", "pnpm", "corepack":
		return []string{"node", "--version"}
	case "pip", "virtualenv", "poetry", "pipenv", "pdm", "uv":
		return []string{"python3", "--version"}
	case "ruby", "gem", "bundle", "bundler":
		return []string{"ruby", "--version"}
	case "php", "composer":
		return []string{"php", "--version"}
	case "perl", "cpanm":
		return []string{"perl", "-e", "print $^V"}
	case "cargo", "rustc":
		return []string{"rustc", "--version"}
	case "java", "mvn", "gradle":
		return []string{"java", "-version"}
	case "cc", "make":
		return []string{"cc", "--version"}
	case "python", "bun", "deno", "gcc":
		return []string{name, "--version"}
	case "go":
		return []string{"go", "version"}
	}
	for _, prefix := range []string{"python", "pip"} { // python3, pip3.12
		if number, ok := strings.CutPrefix(name, prefix); ok && number != "" && strings.Trim(number, "0123456789.") == "" {
			return []string{"python" + number, "--version"}
		}
	}
	return nil
}

// isSeparator reports whether a character ends a word for a shell, more or less.
func isSeparator(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune(";&|()<>{}\"'`$=", r)
}

// VersionQueries returns the interpreters that install commands name, each once, in order. A word is
// taken for a program in any place: one too many only makes the key stricter.
// A program inside the cached directories is made by the install itself: not it, but the one
// on the PATH decides.
func VersionQueries(install, dirs []string) []VersionQuery {
	var out []VersionQuery
	for _, cmd := range install {
		for _, word := range strings.FieldsFunc(cmd, isSeparator) {
			args := interpreter(filepath.Base(word))
			if args == nil {
				continue
			}
			if dir := filepath.Dir(word); filepath.IsAbs(dir) && !slices.ContainsFunc(dirs, func(d string) bool { return within(resolve(dir), d) }) {
				args = append([]string{filepath.Join(dir, args[0])}, args[1:]...)
			}
			q := VersionQuery{Name: args[0], Args: args}
			if !slices.ContainsFunc(out, func(o VersionQuery) bool { return o.Name == q.Name }) {
				out = append(out, q)
			}
		}
	}
	return out
}

// Version returns the answer as the key has it: its first lines, cleaned of white space.
func Version(answer string) string {
	const most = 300
	v := strings.ToValidUTF8(strings.Join(strings.Fields(answer), " "), "?")
	return v[:min(most, len(v))]
}
