package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/typo"
)

// HostFile is the configuration of a host.
const HostFile = "/etc/stint/agent.conf"

// Variable is the name of the environment variable that names a file in place of the others.
const Variable = "STINT_CONFIG"

// Kinds of files.
const (
	Named = Variable // the variable names it
	User  = "user"
	Host  = "host"
)

// File is a configuration file. It is a source of options.
type File struct {
	Path    string
	Kind    string
	Missing bool  // there is none, which is no mistake
	Err     error // it cannot be read
	lines   []Line
	wrong   []bad
}

// Files are the configuration files of a command, by precedence.
type Files []*File

// Mistake is what of the files cannot be used, besides wrong values of options.
type Mistake struct {
	Place string // a path, or one with the number of a line
	Why   string
	Key   bool // the key of the line is no option
}

func (m Mistake) Error() string { return m.Place + ": " + m.Why }

// Paths returns the files that an environment names, by precedence: what STINT_CONFIG names, or else the user's and the host's.
func Paths(getenv func(string) string, host string) Files {
	if path := getenv(Variable); path != "" {
		return Files{{Path: path, Kind: Named}}
	}
	var files Files
	dir := getenv("XDG_CONFIG_HOME")
	if home := getenv("HOME"); !filepath.IsAbs(dir) && home != "" { // a relative one counts as none
		dir = filepath.Join(home, ".config")
	}
	if filepath.IsAbs(dir) {
		files = append(files, &File{Path: filepath.Join(dir, "stint", "config"), Kind: User})
	}
	return append(files, &File{Path: host, Kind: Host})
}

// Read reads the files at once, and waits no longer than limit for file systems that do not answer.
func (files Files) Read(limit time.Duration) {
	done := make(chan struct{}, len(files))
	for _, f := range files {
		go func() { f.read(limit); done <- struct{}{} }()
	}
	for range files {
		<-done
	}
}

func (f *File) read(limit time.Duration) {
	text, err := ReadFile(f.Path, Most, limit)
	if err == nil {
		f.lines, f.wrong = Parse(text)
		return
	}
	if f.Kind != Named && absent(err) {
		f.Missing = true
		return
	}
	f.Err = err
}

// absent reports whether an error says that there is no file, as far as this user may know: to search a directory is forbidden
// to one for whom nothing in it is meant.
func absent(err error) bool {
	var path *fs.PathError
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) ||
		errors.As(err, &path) && path.Op == "stat" && errors.Is(err, fs.ErrPermission)
}

// Settings returns what the file has for an option. A key with an empty value says that the default holds.
func (f *File) Settings(o option.Option) (values []option.Setting) {
	if !o.InFiles() {
		return nil
	}
	for _, l := range f.lines {
		if l.Key != o.Name {
			continue
		}
		text := l.Value
		if o.HostFile && text != "" && !filepath.IsAbs(text) {
			text = filepath.Join(filepath.Dir(f.Path), text)
		}
		values = append(values, option.Setting{Text: text, Default: text == "", Place: f.place(l.Number) + ": " + o.Name, File: f.Path})
	}
	return values
}

func (f *File) place(line int) string { return f.Path + ":" + strconv.Itoa(line) }

// Sources returns the files as sources, by precedence.
func (files Files) Sources() []option.Source {
	sources := make([]option.Source, 0, len(files))
	for _, f := range files {
		sources = append(sources, f)
	}
	return sources
}

// Keep removes lines whose keys are none of the options, and returns what cannot be used: these, other lines, and files
// that cannot be read. all is called only if there are lines; nil keeps every key.
func (files Files) Keep(all func() []option.Option) (mistakes []Mistake) {
	var rows map[string]option.Option
	for _, f := range files {
		if f.Err != nil {
			mistakes = append(mistakes, Mistake{Place: f.Path, Why: reason(f.Err, f.Path)})
		}
		for _, w := range f.wrong {
			mistakes = append(mistakes, Mistake{Place: f.place(w.number), Why: w.why})
		}
		if len(f.lines) == 0 || all == nil {
			continue
		}
		if rows == nil {
			rows = byName(all())
		}
		var kept []Line
		for _, l := range f.lines {
			if o, known := rows[l.Key]; known && o.InFiles() {
				kept = append(kept, l)
				continue
			}
			mistakes = append(mistakes, Mistake{Place: f.place(l.Number), Why: unknown(l.Key, rows), Key: true})
		}
		f.lines = kept
	}
	return mistakes
}

func byName(all []option.Option) map[string]option.Option {
	rows := make(map[string]option.Option, len(all))
	for _, o := range all {
		rows[o.Name] = o
	}
	return rows
}

// reason returns why a file cannot be read, without the path that the place names already.
func reason(err error, path string) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return "it cannot be read: " + p.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "read "+path+": ")
}

// unknown says that a key is no option, and what may be meant.
func unknown(key string, rows map[string]option.Option) string {
	if o, known := rows[key]; known {
		return fmt.Sprintf("%s belongs to one run and is no key of a file", o.Name)
	}
	plain := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(strings.TrimLeft(key, "-"), "STINT_")), "_", "-")
	if o, known := rows[plain]; known && o.InFiles() {
		return "the key is written " + o.Name
	}
	if strings.Trim(plain, "abcdefghijklmnopqrstuvwxyz-") != "" || len(plain) > 40 {
		return "there is no such key" // it may be a secret
	}
	text := fmt.Sprintf("there is no key %q", plain)
	if near := typo.Nearest(plain, keys(rows)); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}

// keys returns the names of the options that a file may have, in order.
func keys(rows map[string]option.Option) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if rows[name].InFiles() {
			names = append(names, name)
		}
	}
	return names
}
