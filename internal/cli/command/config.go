package command

import (
	"fmt"
	"os"
	"strings"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/cli/configfile"
	"stint.dev/stint/internal/cli/option"
)

// mostMistakes is how many mistakes of configuration files a command reports one by one.
const mostMistakes = 10

// Files reads the configuration files and returns what of them cannot be used.
func (p *Program) Files() (configfile.Files, []configfile.Mistake) {
	files := configfile.Paths(p.Getenv, configfile.HostFile)
	files.Read(FileLimit)
	return files, files.Keep(p.FileRows)
}

// Nested reports whether an environment is that of a job.
func Nested(getenv func(string) string) bool { return getenv("STINT_ATTEMPT") != "" }

// Sources returns what options of stint run are read from, the configuration files among it, and what of these cannot be used.
// Inside of a job, nested, only what leads to the server is read: every other option was meant for the run around it. A name for
// the job was set on purpose if it is not that of the run around it.
func (p *Program) Sources(nested bool) ([]option.Source, configfile.Files, []configfile.Mistake) {
	files, mistakes := p.Files()
	sources := append([]option.Source{option.Environment(p.Getenv)}, files.Sources()...)
	if nested {
		named := p.Getenv("STINT_JOB") != p.Getenv("STINT_PARENT_JOB")
		for i := range sources {
			sources[i] = inherited{sources[i], named && i == 0}
		}
	}
	return sources, files, mistakes
}

// inherited is a source of which a run inside of a job reads only what leads to the server, and perhaps a name for the job.
type inherited struct {
	option.Source
	named bool
}

func (s inherited) Settings(o option.Option) []option.Setting {
	if !o.Inherited && !(s.named && o.Name == "job") {
		return nil
	}
	return s.Source.Settings(o)
}

// Resolve resolves options from the environment and configuration files, for every command but stint run: a key that is none
// is reported, anything else that cannot be used is an error.
func (p *Program) Resolve(opts *option.Set) error {
	env := option.Environment(p.Getenv)
	if !opts.InFiles() {
		return opts.Resolve(env)
	}
	files, mistakes := p.Files()
	for _, m := range mistakes {
		if !m.Key {
			return option.Usagef("%v", m)
		}
	}
	for _, line := range Lines(mistakes) {
		p.Say("%s", line)
	}
	if err := opts.Resolve(append([]option.Source{env}, files.Sources()...)...); err != nil {
		return err
	}
	if opts.Has("token") {
		if text := Exposed(opts); text != "" {
			p.Say("%s", text)
		}
	}
	return nil
}

// Lines returns mistakes as lines for people, and the number of those that are left out.
func Lines(mistakes []configfile.Mistake) (lines []string) {
	for i, m := range mistakes {
		if i == mostMistakes {
			return append(lines, fmt.Sprintf("configuration files have %d more mistakes; stint config lists them", len(mistakes)-i))
		}
		lines = append(lines, m.Error()+"; it is ignored")
	}
	return lines
}

// Token returns the access token: that of --token-file unless --token was given in a place that takes precedence.
func Token(opts *option.Set) (string, error) {
	path := TokenFile(opts)
	if path == "" {
		token := strings.TrimSpace(opts.Text("token")) // a file's last newline is no part of it
		return checkedToken(token, opts.Source("token"))
	}
	return ReadToken(path, opts.Source("token-file"))
}

// TokenAgain returns what reads the access token again when the server refuses it; nil for one that is in no file of its own.
func TokenAgain(opts *option.Set) func() (string, error) {
	if TokenFile(opts) == "" {
		return nil
	}
	return func() (string, error) { return Token(opts) }
}

// TokenFile returns the path of the file with the access token; empty if it is in none.
func TokenFile(opts *option.Set) string {
	if opts.Outranks("token", "token-file") {
		return ""
	}
	return opts.Text("token-file")
}

// ReadToken reads a file with an access token, which source names.
func ReadToken(path, source string) (string, error) {
	text, err := configfile.ReadFile(path, configfile.Most, FileLimit)
	if err != nil {
		return "", option.Usagef("%s: %v", source, err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", option.Usagef("%s: there is no token in %s", source, path)
	}
	return checkedToken(token, source)
}

// checkedToken returns a token, or an error for one that no request can have.
func checkedToken(token, source string) (string, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", option.Usagef("%s: a token has only printable ASCII characters; copy it again", source)
	}
	return token, nil
}

// Exposed says that other users can read the file with the access token that is used; empty if none can.
func Exposed(opts *option.Set) string {
	path, source := TokenFile(opts), opts.Source("token-file")
	if path == "" {
		if path, source = opts.File("token"), opts.Source("token"); path == "" || opts.Text("token") == "" {
			return ""
		}
	}
	info, err := bounded.Call(FileLimit, func() (os.FileInfo, error) { return os.Stat(path) })
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o004 == 0 {
		return "" // what keeps the file from being read is reported where it is read
	}
	return fmt.Sprintf("%s: other users can read the token in %s; it is used; change that by: chmod o-r %[2]s", source, path)
}
