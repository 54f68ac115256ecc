package cache

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Question is an interpreter to be asked for its version.
type Question struct {
	Name string
	Args []string
}

// interpreters says which program decides what a command of this name installs, and how it
// is asked for its version. A package manager's own version is not asked for: what it
// installs stands in the lock file.
var interpreters = map[string][]string{
	"node": {"node", "--version"}, "npm": {"node", "--version"}, "npx": {"node", "--version"},
	"yarn": {"node", "--version"}, "pnpm": {"node", "--version"}, "corepack": {"node", "--version"},
	"bun": {"bun", "--version"}, "deno": {"deno", "--version"},
	"python": {"python", "--version"}, "python3": {"python3", "--version"},
	"pip": {"python3", "--version"}, "pip3": {"python3", "--version"}, "virtualenv": {"python3", "--version"},
	"poetry": {"python3", "--version"}, "pipenv": {"python3", "--version"}, "pdm": {"python3", "--version"}, "uv": {"python3", "--version"},
	"ruby": {"ruby", "--version"}, "gem": {"ruby", "--version"}, "bundle": {"ruby", "--version"}, "bundler": {"ruby", "--version"},
	"php": {"php", "--version"}, "composer": {"php", "--version"},
	"perl": {"perl", "-e", "print $^V"}, "cpanm": {"perl", "-e", "print $^V"},
	"go": {"go", "version"}, "cargo": {"rustc", "--version"}, "rustc": {"rustc", "--version"},
	"java": {"java", "-version"}, "mvn": {"java", "-version"}, "gradle": {"java", "-version"},
	"cc": {"cc", "--version"}, "gcc": {"gcc", "--version"}, "make": {"cc", "--version"},
}

var (
	words        = regexp.MustCompile(`[^\s;&|()<>{}"'` + "`" + `$=]+`)
	numberedName = regexp.MustCompile(`^(python|pip)(\d+(?:\.\d+)?)$`)
)

// Questions are the interpreters that install commands name, each once, in order. A word is
// taken for a program wherever it stands: asking one too many only makes the key stricter.
// A program inside the cached directories is made by the install itself: not it, but the one
// on the PATH decides.
func Questions(install, dirs []string) []Question {
	var out []Question
	for _, cmd := range install {
		for _, word := range words.FindAllString(cmd, -1) {
			args := interpreters[filepath.Base(word)]
			if m := numberedName.FindStringSubmatch(filepath.Base(word)); m != nil {
				args = []string{"python" + m[2], "--version"}
			}
			if args == nil {
				continue
			}
			if dir := filepath.Dir(word); filepath.IsAbs(dir) && !slices.ContainsFunc(dirs, func(d string) bool { return within(resolve(dir), d) }) {
				args = append([]string{filepath.Join(dir, args[0])}, args[1:]...)
			}
			q := Question{Name: args[0], Args: args}
			if !slices.ContainsFunc(out, func(o Question) bool { return o.Name == q.Name }) {
				out = append(out, q)
			}
		}
	}
	return out
}

// Version is the answer as the key has it: its first lines, cleaned of white space.
func Version(answer string) string {
	const most = 300
	v := strings.ToValidUTF8(strings.Join(strings.Fields(answer), " "), "?")
	return v[:min(most, len(v))]
}
