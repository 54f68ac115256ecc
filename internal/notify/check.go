package notify

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"stint.dev/stint/internal/notify/quiet"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Limits of the figures of a route.
const (
	maxGroupSeconds  = 24 * 60 * 60
	minRepeatSeconds = 60
	maxRepeatSeconds = 30 * 24 * 60 * 60
)

// Options limit the routes of this server.
type Options struct {
	// PrivateTargets reports whether receivers may be on private networks and on this host.
	PrivateTargets bool
}

// Check returns an error, with the field and the reason, for a route that cannot work. It does not use the network.
func Check(r api.Route, o Options) error {
	if !validName(r.Name) {
		return errors.New("name: it has 1 to 100 letters, digits, dots, hyphens and underscores, and begins with a letter or digit")
	}
	if len(r.URL) > 4000 {
		return errors.New("url: it is longer than 4000 bytes")
	}
	if strings.Contains(r.URL, mask) {
		return errors.New("url: it has asterisks in place of the password; give the whole URL")
	}
	channel, err := open(r, guard{o.PrivateTargets})
	if err != nil {
		return err
	}
	if c, ok := channel.(*chat); ok {
		if err := c.check(); err != nil {
			return err
		}
	}
	if err := checkMatch(r.Match); err != nil {
		return err
	}
	if _, err := quiet.Parse(r.Quiet); err != nil {
		return err
	}
	if r.GroupSeconds < 0 || r.GroupSeconds > maxGroupSeconds {
		return fmt.Errorf("group_seconds: %d is not between 0 and %d", r.GroupSeconds, maxGroupSeconds)
	}
	if r.RepeatSeconds != 0 && (r.RepeatSeconds < minRepeatSeconds || r.RepeatSeconds > maxRepeatSeconds) {
		return fmt.Errorf("repeat_seconds: %d is neither 0 nor between %d and %d", r.RepeatSeconds, minRepeatSeconds, maxRepeatSeconds)
	}
	return nil
}

// checkMatch returns an error for invalid conditions of a route.
func checkMatch(m api.RouteMatch) error {
	if _, err := path.Match(m.Job, ""); err != nil || len(m.Job) > job.MaxNameBytes {
		return fmt.Errorf("match.job: %s is not a glob such as nightly-*", job.Quote(m.Job))
	}
	if m.Severity != "" && m.Severity != job.Warning && m.Severity != job.Critical {
		return fmt.Errorf("match.severity: %s is neither warning nor critical", job.Quote(string(m.Severity)))
	}
	if len(m.Labels) > job.MaxLabels {
		return fmt.Errorf("match.labels: there are %d; the limit is %d", len(m.Labels), job.MaxLabels)
	}
	for k, v := range m.Labels {
		if err := job.CheckLabel(k, v); err != nil {
			return fmt.Errorf("match.labels: %w", err)
		}
	}
	if len(m.Events) > 50 {
		return fmt.Errorf("match.events: there are %d; the limit is 50", len(m.Events))
	}
	for n, e := range m.Events {
		if !slices.Contains(Events(), e) {
			return fmt.Errorf("match.events[%d]: %s is not an event; the events are %s", n, job.Quote(e), strings.Join(Events(), ", "))
		}
	}
	return nil
}

// Events returns the names of the events that a route can match: how runs end, and the health rules.
func Events() []string {
	return []string{
		outbox.WhatFailed, outbox.WhatTimedOut, outbox.WhatLost, outbox.WhatCanceled, outbox.WhatSucceeded, outbox.WhatLate,
		outbox.WhatHealed, outbox.WhatRecovered, outbox.WhatMissed, outbox.WhatSkipped, outbox.WhatNetwork,
		"quiet", "stalled", "no_output", "overdue", "memory", "clock_skew", "spool", "starved", "waiting",
	}
}

// mask replaces the secret parts of a URL.
const mask = "*****"

// Redacted returns a route without its secret, and without the parts of its URL that may be secret: of a chat
// everything except the scheme, of a webhook the path and the query, of e-mail the password.
func Redacted(r api.Route) api.Route {
	r.Secret = ""
	u, err := url.Parse(r.URL)
	if err != nil || r.Error != "" {
		r.URL = mask
		return r
	}
	switch scheme := strings.ToLower(u.Scheme); scheme {
	case "smtp", "smtps":
		user := ""
		if name := u.User.Username(); name != "" {
			user = url.PathEscape(name) + ":" + mask + "@"
		}
		r.URL = scheme + "://" + user + u.Host + u.Path
		if u.RawQuery != "" {
			r.URL += "?" + u.RawQuery
		}
	case "http", "https":
		r.URL = scheme + "://" + u.Host
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			r.URL += "/" + mask
		}
	default:
		r.URL = scheme + "://" + mask
	}
	return r
}

// NewSecret returns a random secret for signing webhooks.
func NewSecret() string {
	var key [24]byte
	_, _ = rand.Read(key[:]) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key[:])
}

// validName reports whether a route can have a name. No expression does it: all that stint does starts with the
// initialization of this package too, and to compile a repetition of 100 costs a thousand allocations.
func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			return false
		}
	}
	return len(name) >= 1 && len(name) <= 100
}
