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

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/job/api"
)

// Channel sends messages to one receiver. Send returns nil when the receiver has accepted the message. It returns
// within sendTimeout, and soon after ctx ends.
type Channel interface {
	Send(ctx context.Context, m message.Message) error
}

// SendError is the error of a failed try.
type SendError struct {
	Why string
	// Refused reports that the receiver refuses this message, so that other messages should be tried.
	Refused bool
	// Never reports that no message can be delivered: to a private address, or to a receiver that is gone.
	Never bool
	// After is after what time the receiver asks for the next try; 0 if it does not.
	After time.Duration
}

func (e *SendError) Error() string { return e.Why }

// open returns the channel of a route. The error is what is invalid in its URL.
func open(r api.Route, g guard) (Channel, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, errors.New("url: it is not a valid URL") // the text of err may have a password
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

// checkHost returns an error for a host that is a private address. A name is checked when it is resolved.
func checkHost(host string, g guard) error {
	if host == "" {
		return errors.New("url: it has no host")
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

// failed returns the error of a try without a response.
func failed(err error) *SendError {
	var done *SendError
	switch {
	case errors.As(err, &done):
		return done
	case errors.Is(err, errPrivate):
		return &SendError{Why: cause(err), Never: true}
	}
	return &SendError{Why: "the receiver did not respond: " + cause(err)}
}

// cause returns the text of an error without the URL, which may have a password.
func cause(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return message.Plain(err.Error(), 300)
}

// classifyStatus returns the error for an HTTP status; nil for success.
func classifyStatus(status int, retryAfter, body string) error {
	if status >= 200 && status < 300 {
		return nil
	}
	e := &SendError{Why: fmt.Sprintf("the receiver responded with %d %s", status, http.StatusText(status))}
	if body = message.Plain(body, 200); body != "" {
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
			e.After = min(time.Duration(s)*time.Second, longestPause)
		}
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge,
		status == http.StatusUnsupportedMediaType, status == http.StatusUnprocessableEntity:
		e.Refused = true
	}
	return e
}
