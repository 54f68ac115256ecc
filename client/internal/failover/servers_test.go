package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is what answers at an address: "x" is a server of installation x, "" refuses connections, "hang" takes a request and
// does not answer, "lost" no connection, "502" and "page" are something else.
type host struct {
	is    string
	calls []string // the requests that reached it, with their bodies
	left  int
}

func (h *host) RoundTrip(req *http.Request) (*http.Response, error) {
	got := func() {
		if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
			trace.GotConn(httptrace.GotConnInfo{})
		}
		text := req.Method + " " + req.URL.Path
		if req.Body != nil {
			data, _ := io.ReadAll(req.Body)
			text += " " + string(data)
		}
		h.calls = append(h.calls, text)
	}
	reply := func(status int, kind, body string) *http.Response {
		return &http.Response{StatusCode: status, Request: req, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}
	}
	switch h.is {
	case "":
		return nil, syscall.ECONNREFUSED
	case "lost":
		<-req.Context().Done()
		return nil, req.Context().Err()
	case "hang":
		got()
		<-req.Context().Done()
		return nil, req.Context().Err()
	case "502":
		got()
		return reply(502, "text/html", "<h1>bad gateway</h1>"), nil
	case "404":
		got()
		return reply(404, "text/plain", "no such page"), nil
	case "page":
		got()
		return reply(200, "text/html", "<h1>log in</h1>"), nil
	}
	got()
	return reply(200, "application/json", strings.ReplaceAll(fmt.Sprintf(`{"via":"none","server":%q}`, h.is), `"older"`, `""`)), nil
}

// several are Servers at addresses, and what answers there.
func several(t *testing.T, is ...string) (*Servers, []*host) {
	t.Helper()
	var targets []Target
	var hosts []*host
	for i, what := range is {
		h := &host{is: what}
		base, err := url.Parse(fmt.Sprintf("http://s%d/base", i))
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
		targets = append(targets, Target{Base: base, Calls: &http.Client{Transport: h}, Held: &http.Client{Transport: h}, Leave: func() { h.left++ }})
	}
	return New(targets, "test"), hosts
}

// send makes a request as a client does: an answer of a server counts as one.
func send(t *testing.T, s *Servers, method string) (from string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("journal")
	}
	req, err := s.Request(ctx, method, "/call?x=1", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Do(req, false)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	id, err := readIdentity(resp)
	if err != nil {
		s.NotOfServer(resp)
		return "", err
	}
	if err := s.Learn(resp, id, false); err != nil {
		return "", err
	}
	s.Answered(resp)
	return s.BaseOf(resp).Host, nil
}

// Nothing is sent anywhere but to the address in use while it answers.
func TestHealthyAddressesCostNothing(t *testing.T) {
	s, hosts := several(t, "x", "x")
	for range 3 {
		if from, err := send(t, s, http.MethodPost); from != "s0" || err != nil {
			t.Fatal(from, err)
		}
	}
	if want := "POST /base/call journal"; len(hosts[0].calls) != 3 || hosts[0].calls[0] != want || len(hosts[1].calls) != 0 {
		t.Errorf("%q, %q", hosts[0].calls, hosts[1].calls)
	}
}

// A client that has not had an answer tries each address in turn within one call, in bounded time.
func TestFirstCallTriesEachAddress(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		is     []string
		want   string
		within time.Duration
	}{
		"refused":                      {http.MethodPost, []string{"", "x"}, "s1", 0},
		"no connection":                {http.MethodPost, []string{"lost", "lost", "x"}, "s2", 2 * time.Second},
		"a gateway, and a read":        {http.MethodGet, []string{"502", "x"}, "s1", 0},
		"a gateway, and a change":      {http.MethodPost, []string{"502", "x"}, "", 0},
		"another service":              {http.MethodGet, []string{"page", "x"}, "", 0},
		"no answer, and a change":      {http.MethodPost, []string{"hang", "x"}, "", 6 * time.Second},
		"none":                         {http.MethodGet, []string{"", "", ""}, "", 0},
		"none with a connection":       {http.MethodGet, []string{"lost", "lost"}, "", 2 * time.Second},
		"one, and none before the end": {http.MethodGet, []string{"lost"}, "", 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := several(t, c.is...)
				begun := time.Now()
				from, err := send(t, s, c.method)
				if took := time.Since(begun); from != c.want || (err == nil) != (c.want != "") || took != c.within {
					t.Errorf("from %q after %s, %v; want %q after %s", from, took, err, c.want, c.within)
				}
				if c.want == "" && len(c.is) > 1 { // the next call goes on where this one ended
					if next, err := send(t, s, c.method); next != "" && next != fmt.Sprintf("s%d", len(c.is)-1) {
						t.Errorf("then from %q, %v", next, err)
					}
				}
			})
		})
	}
}

// An address that has answered is left after a second and a little more, asked once whether the next one belongs to the same
// installation, and the connections to the old one are closed when the new one has answered.
func TestMovesAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hosts := several(t, "x", "x")
		if _, err := send(t, s, http.MethodPost); err != nil {
			t.Fatal(err)
		}
		hosts[0].is = ""
		begun := time.Now()
		for {
			from, err := send(t, s, http.MethodPost)
			if err == nil {
				if took := time.Since(begun); from != "s1" || took < Patience || took > Patience+Jitter+100*time.Millisecond {
					t.Errorf("from %s after %s", from, took)
				}
				break
			}
			<-time.After(100 * time.Millisecond)
		}
		if want := "[GET /base/api/v1/me POST /base/call journal]"; fmt.Sprint(hosts[1].calls) != want || hosts[0].left != 1 || hosts[1].left != 0 {
			t.Errorf("%q, left %d and %d times", hosts[1].calls, hosts[0].left, hosts[1].left)
		}
		hosts[0].is = "x"
		if from, err := send(t, s, http.MethodPost); from != "s1" || err != nil {
			t.Errorf("it goes back to %s by itself, %v", from, err)
		}
	})
}

// When a request shows that an address hangs, the others that wait there are broken off.
func TestRequestsOfAnAddressThatHangsAreBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hosts := several(t, "x", "x")
		if _, err := send(t, s, http.MethodPost); err != nil {
			t.Fatal(err)
		}
		hosts[0].is = "hang"
		ended := make(chan error, 1)
		begun := time.Now()
		go func() {
			req, err := s.Request(t.Context(), http.MethodPost, "/append", strings.NewReader("long"))
			if err == nil {
				_, err = s.Do(req, false) //nolint:bodyclose // there is none
			}
			ended <- err
		}()
		synctest.Wait()
		if _, err := send(t, s, http.MethodPost); err == nil {
			t.Error("an address that hangs answers")
		}
		if err := <-ended; !errors.Is(err, errMoved) || time.Since(begun) != 6*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		if from, err := send(t, s, http.MethodPost); from != "s1" || err != nil {
			t.Errorf("from %s, %v", from, err)
		}
	})
}

// Nothing of a run is sent to another installation, nor to a server that does not say which one it belongs to; both are reported
// once, and the first address is used again when it is back.
func TestNothingGoesToAnotherInstallation(t *testing.T) {
	for name, c := range map[string]struct{ second, notices string }{
		"another installation": {"y", "[http://s1/base belongs to another installation (y) than the server that was used before (x): nothing more is sent there; give addresses of one installation only]"},
		"an older server":      {"older", "[]"},
		"another service":      {"page", "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, hosts := several(t, "x", c.second)
				notices := []string{}
				if _, err := send(t, s, http.MethodPost); err != nil {
					t.Fatal(err)
				}
				hosts[0].is = ""
				for range 40 {
					if from, err := send(t, s, http.MethodPost); err == nil {
						t.Fatalf("%s answered", from)
					}
					<-time.After(100 * time.Millisecond)
				}
				s.OnNotice(func(text string) { notices = append(notices, text) })
				for _, call := range hosts[1].calls {
					if call != "GET /base/api/v1/me" {
						t.Errorf("it got %q", call)
					}
				}
				if len(hosts[1].calls) == 0 {
					t.Error("it was not asked")
				}
				hosts[0].is = "x"
				<-time.After(leaveOut)
				var from string
				for range 4 {
					from, _ = send(t, s, http.MethodPost)
				}
				if from != "s0" || fmt.Sprint(notices) != c.notices {
					t.Errorf("from %q, notices %q", from, notices)
				}
			})
		})
	}
}

// A single address is the server that was meant, also with another database; of several, one with another database than before is
// not used.
func TestADatabaseThatWasReplaced(t *testing.T) {
	s, hosts := several(t, "x")
	var notices []string
	s.OnNotice(func(text string) { notices = append(notices, text) })
	for _, is := range []string{"x", "y", "y"} {
		hosts[0].is = is
		if from, err := send(t, s, http.MethodPost); from != "s0" || err != nil {
			t.Fatal(from, err)
		}
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "another database than before") || s.Installation() != "y" {
		t.Errorf("%q, %s", notices, s.Installation())
	}

	s, hosts = several(t, "x", "x")
	var other *OtherInstallationError
	for i, is := range []string{"x", "y"} {
		hosts[0].is = is
		if _, err := send(t, s, http.MethodPost); (i == 1) != errors.As(err, &other) {
			t.Fatal(err)
		}
	}
	if from, err := send(t, s, http.MethodPost); from != "s1" || err != nil {
		t.Errorf("from %s, %v", from, err)
	}
	for range 3 { // none is left, and nothing but the question is sent
		hosts[1].is = "y"
		if _, err := send(t, s, http.MethodPost); err == nil {
			continue
		}
	}
	before := len(hosts[0].calls) + len(hosts[1].calls)
	if _, err := send(t, s, http.MethodPost); !errors.As(err, &other) || len(hosts[0].calls)+len(hosts[1].calls) != before+1 {
		t.Errorf("%v: %q, %q", err, hosts[0].calls, hosts[1].calls)
	}
}

// The error of a request names every address that was tried.
func TestErrorNamesEachAddress(t *testing.T) {
	s, _ := several(t, "", "", "")
	_, err := send(t, s, http.MethodPost)
	var at *Error
	if want := "connection refused; nor from http://s1/base: connection refused; nor from http://s2/base: connection refused"; !errors.As(err, &at) || at.URL != "http://s0/base" || at.Err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error("the cause is lost")
	}
}

// A worker learns the installation from what it is given.
func TestNamed(t *testing.T) {
	s, hosts := several(t, "x", "y")
	if err := s.Named("x"); err != nil {
		t.Fatal(err)
	}
	hosts[0].is = ""
	for range 3 {
		if from, err := send(t, s, http.MethodPost); err == nil {
			t.Errorf("%s answered", from)
		}
	}
	s, _ = several(t, "x")
	if err := errors.Join(s.Named("x"), s.Named(""), s.Named("y")); err != nil || s.Installation() != "y" {
		t.Errorf("%v, %s", err, s.Installation())
	}
}

func TestIdentify(t *testing.T) {
	s, hosts := several(t, "", "x")
	if id, err := s.Identify(t.Context()); id != "x" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	if _, err := s.Identify(t.Context()); err != nil || len(hosts[1].calls) != 1 {
		t.Errorf("it is asked for again: %q, %v", hosts[1].calls, err)
	}
	s, _ = several(t, "404")
	if id, err := s.Identify(t.Context()); id != "" || err != nil {
		t.Errorf("where the question is not passed on: %q, %v", id, err)
	}
	s, _ = several(t, "page")
	if _, err := s.Identify(t.Context()); err == nil {
		t.Error("a page has an installation")
	}
}
