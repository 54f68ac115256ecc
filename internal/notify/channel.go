package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// Channel brings messages to one receiver. Send returns nil once the receiver has taken
// the message. It returns within sendTime, and soon after ctx ends.
type Channel interface {
	Send(ctx context.Context, m Message) error
}

// SendError is a try that did not succeed.
type SendError struct {
	Why string
	// Refused says that the receiver will not take this message: trying again soon is no
	// use, and what waits behind it may fare better.
	Refused bool
	// Never says that no message can get there: a private address, a receiver that is
	// gone for good.
	Never bool
	// After is how long the receiver asked to be left alone; 0 if it did not.
	After time.Duration
}

func (e *SendError) Error() string { return e.Why }

// open makes the channel of a route. The error says what makes no sense in its URL.
func open(r job.Route, g guard) (Channel, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, errors.New("url: it cannot be read as a URL") // its text may hold a password
	}
	switch scheme := strings.ToLower(u.Scheme); scheme {
	case "":
		return nil, errors.New("url: it has no scheme; write https://…, smtp://…, slack://… and so on")
	case "http", "https":
		return newWebhook(r, u, g)
	case "smtp", "smtps":
		return newMail(u, g)
	default:
		return newChat(scheme, r.URL, g)
	}
}

// checkHost refuses a target that is named by a private address outright; a name is looked
// at when it is used.
func checkHost(host string, g guard) error {
	if host == "" {
		return errors.New("url: it names no host")
	}
	if g.private {
		return nil
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return fmt.Errorf("url: %s %w", host, errPrivate)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if err := checkPublic(a, net.InterfaceAddrs); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	return nil
}

// failed describes a try that got no answer.
func failed(err error) *SendError {
	var done *SendError
	switch {
	case errors.As(err, &done):
		return done
	case errors.Is(err, errPrivate):
		return &SendError{Why: cause(err), Never: true}
	}
	return &SendError{Why: "it did not answer: " + cause(err)}
}

// cause is an error's text without the URL, which may hold a password.
func cause(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return plain(err.Error(), 300)
}

// classifyStatus judges an HTTP status.
func classifyStatus(status int, retryAfter, body string) error {
	if status >= 200 && status < 300 {
		return nil
	}
	e := &SendError{Why: fmt.Sprintf("it answered %d %s", status, http.StatusText(status))}
	if body = plain(body, 200); body != "" {
		e.Why += ": " + body
	}
	switch {
	case status >= 300 && status < 400:
		e.Why += "; redirects are not followed: set the route to the final address"
		e.Refused = true
	case status == http.StatusGone:
		e.Never = true
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		if s, err := strconv.Atoi(retryAfter); err == nil && s > 0 {
			e.After = min(time.Duration(s)*time.Second, time.Hour)
		}
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge,
		status == http.StatusUnsupportedMediaType, status == http.StatusUnprocessableEntity:
		e.Refused = true
	}
	return e
}
