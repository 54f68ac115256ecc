// Package address reads the addresses of servers.
package address

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/job"
)

// Error is the error of a server's address that cannot be used.
type Error struct {
	URL string
	Why string
}

func (e *Error) Error() string {
	return fmt.Sprintf("server address %s: %s; write it like http://127.0.0.1:7846", job.Quote(e.URL), e.Why)
}

// Parse reads a server's address: http or https, with a host. The error shows no user
// and no password that it contains.
func Parse(raw string) (*url.URL, error) {
	shown := raw
	if at := strings.LastIndex(raw, "@"); at >= 0 {
		shown = "…" + raw[at:]
	}
	u, err := url.Parse(raw)
	if err != nil {
		var inner *url.Error
		why := "it cannot be read as an address that begins with http:// or https://"
		if errors.As(err, &inner) && shown == raw && strings.Contains(raw, "://") {
			why = inner.Err.Error()
		}
		return nil, &Error{shown, why}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &Error{shown, "it does not begin with http:// or https://"}
	case u.Hostname() == "":
		return nil, &Error{shown, "it names no host"}
	case u.User != nil:
		return nil, &Error{shown, "it holds a user or password; a token goes into STINT_TOKEN"}
	case u.RawQuery != "" || u.Fragment != "":
		return nil, &Error{shown, "it has a ? or # part"}
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, &Error{shown, "its port is not between 1 and 65535"}
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// Split returns the addresses in texts, in their order and once each: a text has one a line, or several with commas between them.
func Split(texts []string) (all []string) {
	for _, text := range texts {
		for _, one := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
			if one = strings.TrimSpace(one); one != "" && !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all
}

// Join returns addresses as Split reads them, one a line.
func Join(all []string) string { return strings.Join(all, "\n") }

// ParseAll reads addresses. It returns those that can be used, in their order and once each, and an error for each other one.
func ParseAll(all []string) (good []*url.URL, bad []error) {
	for _, raw := range all {
		u, err := Parse(raw)
		switch {
		case err != nil:
			bad = append(bad, err)
		case !slices.ContainsFunc(good, func(other *url.URL) bool { return other.String() == u.String() }):
			good = append(good, u)
		}
	}
	return good, bad
}
