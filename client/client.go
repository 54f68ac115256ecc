// Package client is the typed HTTP client of the tracking server's API: the requests of agents,
// queries of people and scripts, and live streams that resume.
//
// An error reply of a Stint server is returned as *job.Problem, which reports whether the same
// request may succeed later; a reply that is not one of a Stint server as *ForeignReplyError,
// and a request without a reply as *UnreachableError.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stint.dev/stint/client/internal/compress"
	"stint.dev/stint/client/internal/transport"
	"stint.dev/stint/job"
)

const (
	// callTimeout bounds a request and its whole reply; heartbeats and appends have their own
	// timeouts, streams have none.
	callTimeout   = 30 * time.Second
	beatTimeout   = 10 * time.Second
	appendTimeout = 2 * time.Minute
)

// Options configure a client.
type Options struct {
	URL       string // of the server, "http://127.0.0.1:7846"; a path before /api is kept
	Token     string // empty for none
	UserAgent string
	// Run is the run whose agent uses the client; empty for none. Its heartbeats and small
	// appends share one connection that is held open.
	Run string
	// TLS has the authorities to trust and the client certificate for an https address; nil
	// for the system's authorities and no certificate.
	TLS *tls.Config
}

// Client makes requests of one server. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token string
	agent string
	run   string
	// Heartbeats and small appends of run share a connection that is held, one after the
	// other: when it closes, the agent is gone. All other requests use other connections, so
	// that a large append never delays a heartbeat.
	calls   *http.Client
	held    *http.Client
	holding transport.Holding
	turn    chan struct{} // holds a token while the held connection is in use
	zstd    compress.Compressor
	// plainOnly is set when compressed journal bytes were refused.
	plainOnly atomic.Bool
}

// URLError is the error of a server's address that cannot be used.
type URLError struct {
	URL string
	Why string
}

func (e *URLError) Error() string {
	return fmt.Sprintf("server address %s: %s; write it like http://127.0.0.1:7846", job.Quote(e.URL), e.Why)
}

// New makes a client. It opens no connection. It returns *URLError for an invalid address.
func New(o Options) (*Client, error) {
	base, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.UserAgent == "" {
		o.UserAgent = "stint"
	}
	c := &Client{
		turn: make(chan struct{}, 1), holding: transport.NewHolding(),
		base: base, token: o.Token, agent: o.UserAgent, run: o.Run,
		calls: httpClient(transport.New(o.TLS)),
	}
	c.held = httpClient(c.holding.Transport(transport.New(o.TLS)))
	return c, nil
}

// ParseURL reads a server's address: http or https, with a host. The error shows no user
// and no password that it contains.
func ParseURL(raw string) (*url.URL, error) {
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
		return nil, &URLError{shown, why}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &URLError{shown, "it does not begin with http:// or https://"}
	case u.Hostname() == "":
		return nil, &URLError{shown, "it names no host"}
	case u.User != nil:
		return nil, &URLError{shown, "it holds a user or password; a token goes into STINT_TOKEN"}
	case u.RawQuery != "" || u.Fragment != "":
		return nil, &URLError{shown, "it has a ? or # part"}
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return nil, &URLError{shown, "its port is not between 1 and 65535"}
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func httpClient(t transport.RoundTripper) *http.Client {
	return &http.Client{Transport: transport.Redirects{RoundTripper: t}, CheckRedirect: FollowRedirect}
}

// URL is the server's address as given.
func (c *Client) URL() string { return c.base.String() }

// Close drops idle connections.
func (c *Client) Close() {
	c.calls.CloseIdleConnections()
	c.held.CloseIdleConnections()
}

// Append sends journal bytes that begin at offset. A *job.Problem of the type
// job.ProblemWrongOffset has Size set: go on from there.
func (c *Client) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	return c.appendData(ctx, run, attempt, offset, data, 0)
}

func (c *Client) appendData(ctx context.Context, run string, attempt int, offset int64, data []byte, writer int) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	req, err := c.request(ctx, http.MethodPost, appendPath(run, attempt, offset, writer), bytes.NewReader(data))
	if err != nil {
		return job.AppendReply{}, err
	}
	hc := c.calls
	if run == c.run && len(data) <= smallAppend && c.takeTurn(ctx) {
		defer c.giveTurn()
		hc = c.held
	}
	return c.append(hc, req, run, attempt)
}

// Beat sends a heartbeat.
func (c *Client) Beat(ctx context.Context, run string, attempt int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	body, err := json.Marshal(hb)
	if err != nil {
		return job.HeartbeatReply{}, fmt.Errorf("encode heartbeat: %w", err)
	}
	path := fmt.Sprintf("/api/v1/runs/%s/attempts/%d/heartbeat", url.PathEscape(run), attempt)
	req, err := c.request(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return job.HeartbeatReply{}, err
	}
	if c.takeTurn(ctx) { // else on another connection: an append must not delay it
		defer c.giveTurn()
	}
	resp, err := c.ask(c.held, req, "application/json")
	if err != nil {
		return job.HeartbeatReply{}, err
	}
	defer drain(resp)
	return c.readHeartbeatReply(resp, run, attempt)
}

// do sends a request with a body of bytes and reads a JSON answer into out.
func (c *Client) do(ctx context.Context, hc *http.Client, method, path, contentType string, body []byte, out any) error {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := c.request(ctx, method, path, r)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := hc.Do(req)
	if err != nil {
		return c.transportError(err)
	}
	defer drain(resp)
	if err := c.check(resp); err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return c.foreign(resp, nil, fmt.Sprintf("is not the JSON of %s %s", method, path))
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", method, path, err)
	}
	req.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

// UnreachableError is the error of a request that the server did not answer.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no answer from %s: %v; %s", e.URL, e.Err, unreachableHint(e.Err))
}

// unreachableHint is what to do. A server whose certificate is not trusted is running.
func unreachableHint(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return "name the authority that issued its certificate with --tls-ca FILE"
	case errors.As(err, &name):
		return "use a name that is in its certificate"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS: does the address begin with http:// instead?"
	}
	return "is the address right, and is the server running there? (stint server starts one)"
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// transportError drops the method and address that net/http puts before every error.
func (c *Client) transportError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &UnreachableError{c.base.String(), err}
}
