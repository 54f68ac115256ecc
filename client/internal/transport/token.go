package transport

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// tokenInterval is how often the place of a token is read again at most.
const tokenInterval = 5 * time.Second

// Token is an access token that may be replaced while it is used. It is safe for concurrent use.
type Token struct {
	read   func() (string, error) // reads it again; nil for one that stays
	report func(text string)

	mu     sync.Mutex
	value  string
	former string    // the one before; empty for none
	readAt time.Time // when it was read again; zero before that
}

// NewToken returns a token. read reads it again where the server refuses it; nil for one that stays. report is called with
// what keeps it from being read.
func NewToken(value string, read func() (string, error), report func(text string)) *Token {
	return &Token{value: value, read: read, report: report}
}

// Value returns the token; empty for none.
func (t *Token) Value() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.value
}

// renew returns the token to repeat a request with whose token the server refused; empty for none.
func (t *Token) renew(refused string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch now := time.Now(); {
	case refused == "" || refused != t.value && refused != t.former: // of an attempt, or of another client
		return ""
	case refused == t.former: // another request has renewed it
		return t.value
	case t.read == nil || !t.readAt.IsZero() && now.Sub(t.readAt) < tokenInterval:
		return ""
	default:
		t.readAt = now
	}
	fresh, err := t.read()
	if err != nil {
		t.report(fmt.Sprintf("the server refuses the token, and there is no other one yet: %v", err))
		return ""
	}
	if fresh == "" || fresh == t.value {
		return ""
	}
	t.former, t.value = t.value, fresh
	return fresh
}

// restore uses the token before again, after one that the server refuses too: its file may be half written.
func (t *Token) restore(refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refused == t.value && t.former != "" {
		t.value, t.former = t.former, ""
	}
}

// Transport returns a transport that repeats, once, a request whose token the server refused, if there is another one by then.
func (t *Token) Transport(next RoundTripper) RoundTripper { return renewing{next, t} }

type renewing struct {
	RoundTripper
	token *Token
}

const bearer = "Bearer "

// SetToken adds a token to a request; an empty one is none.
func SetToken(req *http.Request, token string) {
	if token != "" {
		req.Header.Set("Authorization", bearer+token)
	}
}

// RoundTrip implements http.RoundTripper.
func (r renewing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.Body != nil && req.GetBody == nil {
		return resp, err
	}
	auth := req.Header.Get("Authorization")
	fresh := r.token.renew(auth[min(len(bearer), len(auth)):])
	if fresh == "" {
		return resp, nil
	}
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // the reply is still that to the request
		}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	_ = resp.Body.Close()
	SetToken(again, fresh)
	if resp, err = r.RoundTripper.RoundTrip(again); err == nil && resp.StatusCode == http.StatusUnauthorized {
		r.token.restore(fresh)
	}
	return resp, err
}
