package redact

import (
	"net/url"
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

// keys are the words before KEY that make it one that opens something.
var keys = []string{
	"ACCESS", "ACCOUNT", "API", "AUTH", "DEPLOY", "ENCRYPTION", "MASTER", "PRIVATE", "SECRET", "SIGNING", "SSH",
}

// harmless last words say that the value is about a secret and not one.
var harmless = []string{"FILE", "PATH", "DIR", "URL", "URI", "NAME", "TYPE"}

// LooksSecret reports whether the value of a variable with this name is to be masked.
func LooksSecret(name string) bool {
	words := strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	if len(words) == 0 || slices.Contains(harmless, words[len(words)-1]) || len(words) == 1 && isDirectory(words[0]) {
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

// isDirectory knows the shell's own variables, whose PWD is no password.
func isDirectory(word string) bool { return word == "PWD" || word == "OLDPWD" }

// Choice is what a caller wants beyond the names that look secret.
type Choice struct {
	Also []string // names of variables whose values are masked, whatever they look like
	// Except are names whose values are not masked although they look secret; "*" is all
	// of them. A name that stands in Also as well is masked.
	Except []string
}

func (c Choice) wants(name string) bool {
	switch {
	case slices.Contains(c.Also, name):
		return true
	case slices.Contains(c.Except, name) || slices.Contains(c.Except, "*"):
		return false
	}
	return LooksSecret(name)
}

// Found is what there is to mask in an environment.
type Found struct {
	Values  []string // with the forms in which they are often printed
	Names   []string // whose values these are, sorted
	Short   []string // names whose values are not masked because they are too short
	Unknown []string // names in Choice.Also that the environment does not have
}

// Find looks through an environment, KEY=VALUE. Of a URL with a password in it, whatever
// the variable's name, the password is masked.
func Find(env []string, c Choice) Found {
	var f Found
	seen := map[string]bool{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		seen[name] = true
		var forms []string
		switch {
		case c.wants(name):
			if forms = Forms(value); len(forms) == 0 && value != "" {
				f.Short = append(f.Short, name)
			}
		case !slices.Contains(c.Except, name) && !slices.Contains(c.Except, "*"):
			for _, password := range urlPasswords(value) {
				forms = append(forms, Forms(password)...)
			}
		}
		if len(forms) > 0 {
			f.Names = append(f.Names, name)
			f.Values = append(f.Values, forms...)
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

// urlPasswords is the password in a value like postgres://user:password@host/db, as it
// stands there and decoded.
func urlPasswords(value string) []string {
	_, rest, found := strings.Cut(value, "://")
	if !found {
		return nil
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	at := strings.LastIndexByte(rest, '@')
	if at < 0 {
		return nil
	}
	_, password, _ := strings.Cut(rest[:at], ":")
	if decoded, err := url.PathUnescape(password); err == nil && decoded != password {
		return []string{password, decoded}
	}
	return []string{password}
}
