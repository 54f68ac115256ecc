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
	"sync/atomic"
	"time"

	"stint.dev/stint/client/address"
	"stint.dev/stint/client/internal/compress"
	"stint.dev/stint/client/internal/failover"
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
	URL      string   // of the server, "http://127.0.0.1:7846"; a path before /api is kept
	MoreURLs []string // of the same installation, in order of preference, for when URL does not answer
	Token    string   // empty for none
	// TokenAgain reads the token again when the server refuses it, at most once in 5 seconds; nil for one that stays.
	TokenAgain func() (string, error)
	UserAgent  string
	// Run is the run whose agent uses the client; empty for none. Its heartbeats and small
	// appends share one connection that is held open.
	Run string
	// TLS has the authorities to trust and the client certificate for an https address; nil
	// for the system's authorities and no certificate.
	TLS *tls.Config
}

// Client makes requests of one server. It is safe for concurrent use.
type Client struct {
	servers *failover.Servers
	token   *transport.Token
	agent   string
	run     string
	// Heartbeats and small appends of run share a connection that is held, one after the
	// other: when it closes, the agent is gone. All other requests use other connections, so
	// that a large append never delays a heartbeat.
	holding transport.Holding
	turn    chan struct{} // holds a token while the held connection is in use
	zstd    compress.Compressor
	// plainOnly is set when compressed journal bytes were refused.
	plainOnly atomic.Bool
}

// New makes a client. It opens no connection. It returns *address.Error for an invalid address.
func New(o Options) (*Client, error) {
	bases, bad := address.ParseAll(append([]string{o.URL}, o.MoreURLs...))
	if len(bad) > 0 {
		return nil, bad[0]
	}
	if o.UserAgent == "" {
		o.UserAgent = "stint"
	}
	c := &Client{turn: make(chan struct{}, 1), holding: transport.NewHolding(), agent: o.UserAgent, run: o.Run}
	c.token = transport.NewToken(o.Token, o.TokenAgain, func(text string) { c.servers.Notice(text) })
	c.setTransports(bases, func() transport.Live { return transport.New(o.TLS) })
	return c, nil
}

// setTransports makes the connections to each address.
func (c *Client) setTransports(bases []*url.URL, live func() transport.Live) {
	targets := make([]failover.Target, len(bases))
	for i, base := range bases {
		calls, held := live(), c.holding.Transport(live())
		targets[i] = failover.Target{Base: base, Calls: c.httpClient(calls), Held: c.httpClient(held), Leave: func() {
			calls.CloseIdleConnections()
			held.Live.CloseIdleConnections() // the next reply on another one closes what it leaves open
		}}
	}
	c.servers = failover.New(targets, c.agent)
}

func (c *Client) httpClient(t transport.RoundTripper) *http.Client {
	return &http.Client{Transport: transport.Redirects{RoundTripper: c.token.Transport(t)}, CheckRedirect: FollowRedirect}
}

// URL is the address of the server that is in use.
func (c *Client) URL() string { return c.servers.Base().String() }

// URLs are all addresses of the server, in order of preference.
func (c *Client) URLs() []string { return c.servers.URLs() }

// Installation returns the id of the server's installation, and asks for it if no reply has named it; empty for a server that
// does not name its own.
func (c *Client) Installation(ctx context.Context) (string, error) {
	id, err := c.servers.Identify(ctx)
	if err != nil {
		err = c.transportError(err)
	}
	return id, err
}

// OnNotice sets what reports, once each, what a person must know about the addresses of the server and the token: that one leads to
// another installation, where nothing is sent, that the server has another database than before, or why the token cannot be read again.
func (c *Client) OnNotice(report func(text string)) { c.servers.OnNotice(report) }

// Close drops idle connections.
func (c *Client) Close() {
	c.servers.CloseIdleConnections()
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
	held := run == c.run && len(data) <= smallAppend && c.takeTurn(ctx)
	if held {
		defer c.giveTurn()
	}
	return c.append(held, req, run, attempt)
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
	resp, err := c.ask(true, req, "application/json")
	if err != nil {
		return job.HeartbeatReply{}, err
	}
	defer drain(resp)
	return c.readHeartbeatReply(resp, run, attempt)
}

// do sends a request with a body of bytes and reads a JSON answer into out.
func (c *Client) do(ctx context.Context, method, path, contentType string, body []byte, out any) error {
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
	resp, err := c.servers.Do(req, false)
	if err != nil {
		return c.transportError(err)
	}
	defer drain(resp)
	if err := c.check(resp); err != nil {
		return err
	}
	if out == nil {
		return c.answered(resp, "", false)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return c.foreign(resp, nil, fmt.Sprintf("is not the JSON of %s %s", method, path))
	}
	return c.answered(resp, "", false)
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := c.servers.Request(ctx, method, path, body)
	if err != nil {
		return nil, fmt.Errorf("make request %s %s: %w", method, path, err)
	}
	req.Header.Set("User-Agent", c.agent)
	transport.SetToken(req, c.token.Value())
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

// transportError names the address that did not answer.
func (c *Client) transportError(err error) error {
	var to *failover.Error
	var other *failover.OtherInstallationError
	switch {
	case errors.As(err, &other):
		return other
	case errors.As(err, &to):
		return &UnreachableError{to.URL, to.Err}
	}
	return &UnreachableError{c.URL(), err}
}
