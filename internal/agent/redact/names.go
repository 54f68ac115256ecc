package redact

import (
	"slices"
	"strings"
	"unicode"
)

// endings make a word of a variable's name look secret when the word ends with one: so
// PGPASSWORD and GITHUBTOKEN do, and TOKENIZERS_PARALLELISM does not.
var endings = []string{
	"TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "SSHPASS",
	"CREDENTIAL", "CREDENTIALS", "CREDS",
	"APIKEY", "APIKEYS", "ACCESSKEY", "PRIVATEKEY", "SECRETKEY",
}

// wholes are words that look secret only when they stand alone: not in COMPASS.
var wholes = []string{"PASS", "PWD"}

// keys are the words before KEY that make it look secret: API_KEY does, PRIMARY_KEY does not.
var keys = []string{
	"ACCESS", "ACCOUNT", "API", "AUTH", "DEPLOY", "ENCRYPTION", "MASTER", "PRIVATE", "SECRET", "SIGNING", "SSH",
}

// harmlessFirst and harmlessLast are words of names whose values describe a secret and are not one.
var (
	harmlessFirst = []string{"MAX", "MIN", "NUM", "COUNT", "DISABLE", "ENABLE", "USE"}
	harmlessLast  = []string{
		"FILE", "PATH", "DIR", "DIRECTORY", "URL", "URI", "NAME", "TYPE",
		"PROVIDER", "LIMIT", "LENGTH", "COUNT", "TTL", "EXPIRES",
	}
)

// neverPath are last words with which even the path of a file that exists is a secret.
var neverPath = []string{"PASSWORD", "PASSWD", "PASS", "PASSPHRASE", "SECRET", "KEY"}

// LooksSecret reports whether the value of a variable with this name is to be masked.
func LooksSecret(name string) bool {
	words := wordsOf(name)
	switch {
	case len(words) == 0, len(words) == 1 && isDirectory(words[0]):
		return false
	case slices.Contains(harmlessFirst, words[0]), slices.Contains(harmlessLast, words[len(words)-1]):
		return false
	}
	for i, w := range words {
		if slices.Contains(wholes, w) || slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(w, e) }) {
			return true
		}
		if i > 0 && (w == "KEY" || w == "KEYS") && slices.ContainsFunc(keys, func(k string) bool { return strings.HasSuffix(words[i-1], k) }) {
			return true
		}
	}
	return false
}

func wordsOf(name string) []string {
	return strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// isHarmless reports whether the value of a variable whose name looks secret is none: a
// switch, or the path of a file.
func isHarmless(name, value string, exists func(path string) bool) bool {
	switch strings.ToLower(value) {
	case "true", "false", "yes", "no", "on", "off":
		return true
	}
	words := wordsOf(name)
	return strings.HasPrefix(value, "/") && !slices.Contains(neverPath, words[len(words)-1]) && exists != nil && exists(value)
}

// isDirectory knows the shell's own variables, whose PWD is no password.
func isDirectory(word string) bool { return word == "PWD" || word == "OLDPWD" }

// Options is what a caller chooses beyond the names that look secret.
type Options struct {
	Also []string // names of variables whose values are masked, whatever they look like
	// Except are names whose values are not masked although they look secret; "*" is all
	// of them. A name that is in Also as well is masked.
	Except []string
	// Exists reports whether there is a file with an absolute path; nil for none.
	Exists func(path string) bool
}

func (c Options) masks(name, value string) bool {
	if slices.Contains(c.Also, name) {
		return true
	}
	return !c.exempts(name) && LooksSecret(name) && !isHarmless(name, value, c.Exists)
}

// exempts reports whether the caller chose a variable not to be masked.
func (c Options) exempts(name string) bool {
	return slices.Contains(c.Except, name) || slices.Contains(c.Except, "*")
}

// EnvironmentSecrets is what there is to mask in an environment.
type EnvironmentSecrets struct {
	Values  []string // or parts of them; see Parts
	Names   []string // whose values these are, sorted
	Short   []string // names whose values are not masked because they are too short
	Unknown []string // names in Options.Also that the environment does not have
}

// Find looks through an environment, KEY=VALUE. Of a URL with credentials in it, whatever
// the variable's name, the credentials are masked.
func Find(env []string, c Options) EnvironmentSecrets {
	var f EnvironmentSecrets
	seen := map[string]bool{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		seen[name] = true
		var parts []string
		switch {
		case c.masks(name, value):
			if parts = Parts(value); len(parts) == 0 && value != "" {
				f.Short = append(f.Short, name)
			}
		case !c.exempts(name):
			parts = URLCredentials(value)
		}
		if len(parts) > 0 {
			f.Names = append(f.Names, name)
			f.Values = append(f.Values, parts...)
		}
	}
	for _, name := range c.Also {
		if !seen[name] {
			f.Unknown = append(f.Unknown, name)
		}
	}
	slices.Sort(f.Names)
	slices.Sort(f.Short)
	f.Names, f.Short = slices.Compact(f.Names), slices.Compact(f.Short)
	return f
}
