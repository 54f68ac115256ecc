package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// identityPath is where a server says which installation it belongs to, without a token.
	identityPath = "/api/v1/me"
	// identityLimit bounds that question, and maxIdentity its reply.
	identityLimit = 5 * time.Second
	maxIdentity   = 64 << 10
)

// OtherInstallationError is the error of a request that was not sent, because the address leads to another installation than
// those before it, or was answered by one.
type OtherInstallationError struct {
	URL       string
	Is, Wants string // the ids of installations
}

func (e *OtherInstallationError) Error() string {
	return fmt.Sprintf("%s belongs to another installation (%s) than the server that was used before (%s): nothing more is sent there; give addresses of one installation only", e.URL, e.Is, e.Wants)
}

// errUnnamed is the error of a reply that does not say which installation the server belongs to.
var errUnnamed = errors.New("it does not say which installation it belongs to, as servers do since several addresses can be given")

// notices are what is to be reported, once each.
type notices struct {
	report func(text string) // nil while nobody takes them
	texts  []string
	seen   map[string]bool
}

// OnNotice sets what reports notices, once each, also those that were found before.
func (s *Servers) OnNotice(report func(text string)) {
	s.mu.Lock()
	texts := s.notices.texts
	s.notices.texts, s.notices.report = nil, report
	s.mu.Unlock()
	for _, text := range texts {
		report(text)
	}
}

// Notice reports a text, once.
func (s *Servers) Notice(text string) {
	s.mu.Lock()
	n := &s.notices
	if n.seen == nil {
		n.seen = map[string]bool{}
	}
	seen, report := n.seen[text], n.report
	if n.seen[text] = true; !seen && report == nil {
		n.texts = append(n.texts, text)
	}
	s.mu.Unlock()
	if !seen && report != nil {
		report(text)
	}
}

// Installation returns the id of the installation; empty while no reply has named it.
func (s *Servers) Installation() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.installation
}

// Identify returns the id of the installation, and asks for it if no reply has named it; empty for servers that do not name
// theirs, and where something in between does not pass the question on.
func (s *Servers) Identify(ctx context.Context) (string, error) {
	if id := s.Installation(); id != "" {
		return id, nil
	}
	req, err := s.Request(ctx, http.MethodGet, identityPath, nil)
	if err != nil {
		return "", err
	}
	resp, err := s.Do(s.named(req), false)
	if err != nil {
		return "", err
	}
	id, err := readIdentity(resp)
	if err != nil {
		if resp.StatusCode >= 400 && resp.StatusCode < 500 {
			return "", nil
		}
		s.NotOfServer(resp)
		return "", &Error{s.BaseOf(resp).String(), err}
	}
	s.Answered(resp)
	return id, s.Learn(resp, id, false)
}

func (s *Servers) named(req *http.Request) *http.Request {
	req.Header.Set("User-Agent", s.agent)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	return req
}

// readIdentity reads the id in the reply of a server, also in a problem; empty for an older server.
func readIdentity(resp *http.Response) (string, error) {
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxIdentity))
	if err != nil {
		return "", fmt.Errorf("ask for its installation: %w", err)
	}
	var r struct {
		Server string  `json:"server"`
		Type   string  `json:"type"`
		Via    *string `json:"via"`
	}
	if json.Unmarshal(data, &r) != nil || r.Server == "" && r.Via == nil {
		return "", fmt.Errorf("ask for its installation: it answered %d, not in the way of a Stint server", resp.StatusCode)
	}
	return r.Server, nil
}

// verify returns the address in use, after it has answered that it belongs to the installation, if one is known. If it does not, the
// error says why; i is the address that was asked.
func (s *Servers) verify(ctx context.Context, held bool) (i int, err error) {
	i, need := s.unverified()
	if !need {
		return i, nil
	}
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-ctx.Done():
		return i, &Error{s.targets[i].Base.String(), ctx.Err()}
	}
	if i, need = s.unverified(); !need {
		return i, nil
	}
	limited, cancel := context.WithTimeout(ctx, identityLimit)
	defer cancel()
	id, c, err := s.ask(limited, i, held)
	if err == nil && id == "" {
		err = errUnnamed
	}
	if err != nil {
		if c == nil {
			c = &call{at: i, begun: s.now()}
		}
		s.failed(c, ctx, err)
		return i, &Error{s.targets[i].Base.String(), err}
	}
	return i, s.check(i, id)
}

// unverified returns the address in use, and whether it is not known to lead to the installation.
func (s *Servers) unverified() (i int, need bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i = s.choice.Current()
	return i, s.installation != "" && !s.verified[i]
}

// ask asks one address which installation it belongs to.
func (s *Servers) ask(ctx context.Context, i int, held bool) (id string, c *call, err error) {
	req, err := s.Request(ctx, http.MethodGet, identityPath, nil)
	if err != nil {
		return "", nil, err
	}
	c, out, err := s.begin(s.named(req), i, new(atomic.Bool))
	if err != nil {
		return "", nil, err
	}
	defer c.cancel(nil)
	resp, err := client(s.targets[i], held).Do(out)
	s.end(c)
	if err != nil {
		return "", c, explain(context.Cause(out.Context()), err)
	}
	id, err = readIdentity(resp)
	return id, c, err
}

// check notes which installation an address belongs to. It returns *OtherInstallationError if that is another one.
func (s *Servers) check(i int, id string) error {
	s.mu.Lock()
	wants := s.installation
	if wants == "" || wants == id {
		s.installation, s.verified[i] = id, true
		s.mu.Unlock()
		return nil
	}
	s.verified[i] = false
	if s.choice.LeaveOut(i, s.now()) {
		s.move(i)
	}
	s.mu.Unlock()
	err := &OtherInstallationError{s.targets[i].Base.String(), id, wants}
	s.Notice(err.Error())
	return err
}

// Learn notes which installation a reply named; an empty id says nothing. has says that the server has what was sent before, so
// that it continues the installation, whatever its id. Of several addresses one that leads to another installation is not used:
// the error is *OtherInstallationError. A single one is the server that was meant: its database was replaced, which is reported.
func (s *Servers) Learn(resp *http.Response, id string, has bool) error {
	if id == "" {
		return nil
	}
	i := at(resp)
	s.mu.Lock()
	wants := s.installation
	if wants != id && wants != "" && (has || len(s.targets) == 1) {
		clear(s.verified)
		s.installation, s.verified[i] = id, true
		s.mu.Unlock()
		s.Notice(fmt.Sprintf("%s has another database than before: it belongs to the installation %s, and belonged to %s", s.targets[i].Base, id, wants))
		return nil
	}
	s.mu.Unlock()
	return s.check(i, id)
}

// Named is Learn from a reply of the address in use.
func (s *Servers) Named(id string) error {
	if id == "" || len(s.targets) == 1 {
		return s.Learn(nil, id, false)
	}
	return s.check(s.current(), id)
}
