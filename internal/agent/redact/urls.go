package redact

import (
	"net/url"
	"strings"
)

// URLCredentials returns what is masked of each URL in a text: the password in
// postgres://user:password@host/db; and in https://token@host the user, which is a token
// there. In other schemes a user without a password is a name.
func URLCredentials(text string) []string {
	var found []string
	for {
		before, rest, ok := strings.Cut(text, "://")
		if !ok {
			return found
		}
		text = rest
		authority := rest
		if end := strings.IndexAny(authority, "/?# \t\r\n\"'<>"); end >= 0 {
			authority = authority[:end]
		}
		at := strings.LastIndexByte(authority, '@')
		if at < 0 {
			continue
		}
		found = append(found, credentials(isWeb(before), authority[:at])...)
	}
}

// isWeb reports whether the text in front of :// ends with http, https, or a scheme that
// goes over one of these, such as git+https.
func isWeb(before string) bool {
	before = strings.ToLower(before)
	for _, scheme := range []string{"http", "https"} {
		front, ok := strings.CutSuffix(before, scheme)
		if ok && (front == "" || !isAlphanumeric(front[len(front)-1])) {
			return true
		}
	}
	return false
}

// notPasswords are what GitHub and others expect in the place of the password when the user is
// the token.
var notPasswords = map[string]bool{"": true, "x-oauth-basic": true}

// credentials returns the secrets in the part of a URL in front of the @, as it is there and
// decoded.
func credentials(web bool, userinfo string) []string {
	user, password, _ := strings.Cut(userinfo, ":")
	secret := password
	if web && notPasswords[password] {
		secret = user
	}
	parts := Parts(secret)
	if decoded, err := url.PathUnescape(secret); err == nil && decoded != secret {
		parts = append(parts, Parts(decoded)...)
	}
	return parts
}
