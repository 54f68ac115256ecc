package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Target is one address of the server.
type Target struct {
	Base *url.URL
	// Calls sends requests, and Held those that go on the connection that is held open.
	Calls, Held *http.Client
	// Leave closes the connections that carry no request when another address has answered.
	Leave func()
}

// Servers are the addresses of a server. It is safe for concurrent use.
type Servers struct {
	targets   []Target
	now       func() time.Time
	agent     string        // User-Agent of the question for the installation
	verifying chan struct{} // holds a token while the installation is asked for

	mu           sync.Mutex
	choice       Choice
	installation string // of the server; empty while it is not known
	verified     []bool // the address leads to the installation, as of when it was last moved to
	moved        bool   // the address in use is another one, and has not answered yet
	waiting      map[*call]bool
	notices      notices
}

// New makes Servers of at least one address, in order of preference.
func New(targets []Target, userAgent string) *Servers {
	return &Servers{
		targets: targets, now: time.Now, agent: userAgent, verifying: make(chan struct{}, 1),
		choice: NewChoice(len(targets)), verified: make([]bool, len(targets)), waiting: map[*call]bool{},
	}
}

// call is a request that waits for its reply.
type call struct {
	at     int
	begun  time.Time
	cancel context.CancelCauseFunc
}

type (
	pathKey struct{}
	callKey struct{}
)

// Request makes a request of the server: path is that of the call, with its query.
func (s *Servers) Request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	if len(s.targets) > 1 {
		ctx = context.WithValue(ctx, pathKey{}, path)
	}
	return http.NewRequestWithContext(ctx, method, s.Base().String()+path, body)
}

// Base returns the address in use.
func (s *Servers) Base() *url.URL { return s.targets[s.current()].Base }

// All returns all addresses, in order of preference.
func (s *Servers) All() []*url.URL {
	all := make([]*url.URL, len(s.targets))
	for i, t := range s.targets {
		all[i] = t.Base
	}
	return all
}

// URLs returns all addresses as texts, in order of preference.
func (s *Servers) URLs() []string {
	texts := make([]string, len(s.targets))
	for i, t := range s.targets {
		texts[i] = t.Base.String()
	}
	return texts
}

// BaseOf returns the address that a reply came from.
func (s *Servers) BaseOf(resp *http.Response) *url.URL { return s.targets[at(resp)].Base }

// at returns the address that a reply came from.
func at(resp *http.Response) int {
	if resp != nil && resp.Request != nil {
		if c, ok := resp.Request.Context().Value(callKey{}).(*call); ok {
			return c.at
		}
	}
	return 0
}

func (s *Servers) current() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.choice.Current()
}

// CloseIdleConnections closes the connections that carry no request.
func (s *Servers) CloseIdleConnections() {
	for _, t := range s.targets {
		t.Calls.CloseIdleConnections()
		t.Held.CloseIdleConnections()
	}
}

// Error is the error of a request that got no reply, with the address that it was sent to last.
type Error struct {
	URL string
	Err error
}

func (e *Error) Error() string { return e.URL + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

var (
	errNoConnection = errors.New("no connection")
	errMoved        = errors.New("another address of the server is used now")
)

// Do sends a request that Request made, held on the connection that is held open. It goes to the address in use. While that
// has not answered, a request that reached nobody goes to each of the others, and so does a GET that something else than a server
// answered. Everything else is for the caller to repeat, who knows what may be sent twice. The error is *Error, or
// *OtherInstallationError.
func (s *Servers) Do(req *http.Request, held bool) (*http.Response, error) {
	if len(s.targets) == 1 {
		resp, err := client(s.targets[0], held).Do(req)
		if err != nil {
			return nil, &Error{s.targets[0].Base.String(), withoutMethod(err)}
		}
		return resp, nil
	}
	var failed []error
	for tries := 1; ; tries++ {
		resp, again, err := s.try(req, held)
		if err != nil {
			failed = append(failed, err)
		}
		if !again || tries == len(s.targets) || rewind(req) != nil {
			if err != nil {
				err = all(failed)
			}
			return resp, err
		}
		if resp != nil {
			_ = resp.Body.Close() // something else than a server answered
		}
	}
}

// all returns the errors of a request at several addresses as one: that of the first with the others.
func all(failed []error) error {
	var first *Error
	if !errors.As(failed[0], &first) || len(failed) == 1 {
		return failed[len(failed)-1]
	}
	err := first.Err
	for _, other := range failed[1:] {
		err = fmt.Errorf("%w; nor from %w", err, other)
	}
	return &Error{first.URL, err}
}

// withoutMethod drops the method and address that net/http puts before every error.
func withoutMethod(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func client(t Target, held bool) *http.Client {
	if held {
		return t.Held
	}
	return t.Calls
}

// rewind makes a request that was sent be one that can be sent.
func rewind(req *http.Request) (err error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return nil
	case req.GetBody == nil:
		return errors.New("its body cannot be sent again")
	}
	req.Body, err = req.GetBody()
	return err
}

// try sends a request to the address in use. again says that another one is in use now, and the request may be sent there.
func (s *Servers) try(req *http.Request, held bool) (resp *http.Response, again bool, err error) {
	i, err := s.verify(req.Context(), held)
	if err != nil {
		return nil, s.current() != i, err
	}
	var connected atomic.Bool
	c, out, err := s.begin(req, i, &connected)
	if err != nil {
		return nil, false, err
	}
	resp, err = client(s.targets[i], held).Do(out)
	s.end(c)
	if err != nil {
		cause := context.Cause(out.Context())
		c.cancel(nil)
		err = explain(cause, err)
		again = s.failed(c, req.Context(), err) && (!connected.Load() || isRead(req))
		return nil, again, &Error{s.targets[i].Base.String(), err}
	}
	resp.Body = &body{resp.Body, c.cancel}
	if isOfGateway(resp) {
		return resp, s.failed(c, req.Context(), nil) && isRead(req), nil
	}
	return resp, false, nil
}

// explain returns why a request failed whose context has a cause.
func explain(cause, err error) error {
	if errors.Is(cause, errNoConnection) || errors.Is(cause, errMoved) {
		return cause
	}
	return withoutMethod(err)
}

// begin makes the request to one address of one to any. connected is set when it has a connection.
func (s *Servers) begin(req *http.Request, i int, connected *atomic.Bool) (*call, *http.Request, error) {
	path, _ := req.Context().Value(pathKey{}).(string)
	to, err := url.Parse(s.targets[i].Base.String() + path)
	if err != nil {
		return nil, nil, &Error{s.targets[i].Base.String(), err}
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	c := &call{at: i, begun: s.now(), cancel: cancel}
	s.mu.Lock()
	limit := s.choice.ConnectLimit()
	s.waiting[c] = true
	s.mu.Unlock()
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w within %s", errNoConnection, limit)) })
	context.AfterFunc(ctx, func() { timer.Stop() })
	ctx = httptrace.WithClientTrace(context.WithValue(ctx, callKey{}, c), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		timer.Stop()
		connected.Store(true)
	}})
	out := req.Clone(ctx)
	out.URL, out.Host = to, ""
	return c, out, nil
}

// end notes that a request does not wait for its reply any more.
func (s *Servers) end(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, c)
}

// body ends the context of a request with its reply.
type body struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

// isRead reports whether a request changes nothing, so that it may be sent twice.
func isRead(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead
}

// isOfGateway reports whether a reply says that what is in front of a server does not reach it.
func isOfGateway(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		return err != nil || kind != "application/problem+json"
	}
	return false
}

// Answered notes that a reply was one of a server.
func (s *Servers) Answered(resp *http.Response) {
	i := at(resp)
	s.mu.Lock()
	s.choice.Answered(i)
	first := s.moved && s.choice.Current() == i
	s.moved = s.moved && !first
	s.mu.Unlock()
	for k, t := range s.targets {
		if first && k != i {
			t.Leave()
		}
	}
}

// NotOfServer notes that a reply was not one of a server.
func (s *Servers) NotOfServer(resp *http.Response) {
	if resp == nil || resp.Request == nil {
		return
	}
	if c, ok := resp.Request.Context().Value(callKey{}).(*call); ok && !isOfGateway(resp) { // else it was noted
		s.failed(c, context.Background(), nil)
	}
}

// failed notes that a request has failed, unless the caller broke it off, and reports whether another address is in use now. One
// whose time is up has failed since it began; any other one, such as a question that a server held open, only now.
func (s *Servers) failed(c *call, caller context.Context, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(caller.Err(), context.Canceled) {
		return false
	}
	now, since := s.now(), c.begun
	var timeout interface{ Timeout() bool }
	if !errors.Is(err, errNoConnection) && !(errors.As(err, &timeout) && timeout.Timeout()) {
		since = now
	}
	if !s.choice.Failed(c.at, since, now, rand.N(Jitter)) {
		return c.at != s.choice.Current()
	}
	s.move(c.at)
	return true
}

// move gives up the requests that wait for a reply from an address that is not in use any more. The caller holds mu.
func (s *Servers) move(from int) {
	s.moved = true
	s.verified[s.choice.Current()] = false
	for c := range s.waiting {
		if c.at == from {
			c.cancel(errMoved)
		}
	}
}
