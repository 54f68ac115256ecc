package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"stint.dev/stint/job"
)

// redirectCall is a call of the client, for the table of redirects.
var redirectCalls = append([]agentCall{
	{"read back", func(t *testing.T, c *Client) (any, error) {
		body, err := c.Journal(t.Context(), someRun, 3, 7)
		if err == nil {
			err = body.Close()
		}
		return nil, err
	}},
	{"query", func(t *testing.T, c *Client) (any, error) { return c.Run(t.Context(), someRun) }},
	{"cancel", func(t *testing.T, c *Client) (any, error) { return c.Cancel(t.Context(), someRun, "ada", "") }},
	{"log", func(t *testing.T, c *Client) (any, error) {
		return nil, c.Log(t.Context(), io.Discard, someRun, LogQuery{}, false)
	}},
	{"live stream", func(t *testing.T, c *Client) (any, error) {
		return nil, c.Follow(t.Context(), someRun, LogQuery{}, func(StreamEvent) error { return nil }, nil)
	}},
}, agentCalls...)

// answerAny answers every call of the table as a server would.
func answerAny(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Stint-Journal-Size", "1007")
	w.Header().Set("Stint-Log-Attempt", "1")
	switch {
	case strings.HasSuffix(r.URL.Path, "/stream"):
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: end\ndata: {}\n\n")
	case strings.HasSuffix(r.URL.Path, "/rest"):
		w.Header().Set("Content-Type", "application/octet-stream")
	default:
		writeJSON(w, goodBoth)
	}
}

// Redirects that are not followed are foreign replies that name the target, and nothing is
// sent to it.
func TestRedirectsThatAreNotFollowed(t *testing.T) {
	var reached atomic.Int64
	elsewhere := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached.Add(1); answerAny(w, r) })
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	otherName := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	otherTLS := httptest.NewTLSServer(elsewhere)
	defer otherTLS.Close()
	for _, tt := range []struct {
		name     string
		statuses []int
		to       string // %s is the path of the call
		says     string
	}{
		{"same host", []int{301, 302, 303}, other.URL + "%s", other.URL},
		{"other host", []int{301, 302, 303, 307, 308}, otherName + "%s", otherName},
		{"other host with TLS", []int{301, 307, 308}, strings.Replace(otherTLS.URL, "127.0.0.1", "localhost", 1) + "%s", "https://localhost:"},
		{"a login page", []int{302, 307}, otherName + "/login?next=%s&secret=hunter2", otherName + "/login"},
		{"with a password", []int{302, 307, 308}, strings.Replace(other.URL, "//", "//u:hunter2@", 1) + "%s", other.URL},
		{"another protocol", []int{307, 308}, "ftp://127.0.0.1%s", "ftp://127.0.0.1"},
		{"no host", []int{307}, "http:///x", ""},
	} {
		for _, status := range tt.statuses {
			for _, call := range redirectCalls {
				t.Run(fmt.Sprint(tt.name, status, call.name), func(t *testing.T) {
					c := serve(t, func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
						w.Header().Set("Location", strings.Replace(tt.to, "%s", r.URL.RequestURI(), 1))
						w.WriteHeader(status)
					})
					_, err := call.call(t, c)
					var foreign *ForeignReplyError
					if !errors.As(err, &foreign) || foreign.Status != status || !strings.HasPrefix(foreign.Location, tt.says) {
						t.Fatalf("got %T %v", err, err)
					}
					if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret") ||
						tt.says != "" && !strings.Contains(err.Error(), "redirect to "+tt.says) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// 307 and 308 to the same host name are followed, three in a row, with the whole body.
func TestRedirectsThatAreFollowed(t *testing.T) {
	for _, hops := range []int{1, 3, 4, 1000} {
		for _, call := range redirectCalls {
			t.Run(fmt.Sprint(hops, call.name), func(t *testing.T) {
				var asked atomic.Int64
				var first string
				c := serve(t, func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					n := int(asked.Add(1))
					got := fmt.Sprint(r.Method, r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), r.Header.Get("Authorization"), r.ContentLength, string(body))
					if n == 1 {
						first = got
					}
					if got != first || err != nil || r.Header.Get("Authorization") != "Bearer stint_secret" {
						t.Errorf("request %d is %q, %v; the first was %q", n, got, err, first)
					}
					if n <= hops {
						http.Redirect(w, r, fmt.Sprintf("/hop%d%s", n, r.URL.RequestURI()), 307+n%2)
						return
					}
					answerAny(w, r)
				})
				_, err := call.call(t, c)
				var foreign *ForeignReplyError
				if hops <= maxRedirects && err != nil {
					t.Fatal(err)
				}
				if hops > maxRedirects && (!errors.As(err, &foreign) || foreign.Location == "" || asked.Load() != maxRedirects+1) {
					t.Fatalf("got %v after %d requests", err, asked.Load())
				}
			})
		}
	}
}

// A redirect may lead from http to https, and not back.
func TestRedirectsAndTLS(t *testing.T) {
	final := http.HandlerFunc(answerAny)
	secure := httptest.NewTLSServer(final)
	defer secure.Close()
	plain := httptest.NewServer(final)
	defer plain.Close()
	toSecure := httptest.NewServer(redirectTo(secure.URL))
	defer toSecure.Close()
	toPlain := httptest.NewTLSServer(redirectTo(plain.URL))
	defer toPlain.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	roots.AddCert(toPlain.Certificate())
	for address, follows := range map[string]bool{toSecure.URL: true, toPlain.URL: false} {
		c, err := New(Options{URL: address, Token: "stint_secret", TLS: &tls.Config{RootCAs: roots}})
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range redirectCalls {
			_, err := call.call(t, c)
			var foreign *ForeignReplyError
			if follows && err != nil || !follows && (!errors.As(err, &foreign) || foreign.Location != plain.URL) {
				t.Errorf("%s, %s: %v", address, call.name, err)
			}
		}
		c.Close()
	}
}

func redirectTo(base string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
		w.Header().Set("Location", base+r.URL.RequestURI())
		w.WriteHeader(http.StatusPermanentRedirect)
	}
}

// The target is named as an address that --server takes, also where the server has a path.
func TestLocationOfARedirect(t *testing.T) {
	for _, tt := range []struct{ base, to, want string }{
		{"http://a", "https://b/api/v1/runs/x?y=1", "https://b"},
		{"http://a/sub", "https://b/sub/api/v1/runs/x", "https://b/sub"},
		{"http://a/sub", "https://b/api/v1/runs/x", "https://b"},
		{"http://a", "/elsewhere/", "http://a/elsewhere"},
		{"http://a", "https://b/%1b[2J", "https://b/%1b[2J"},
		{"http://a", "", ""},
	} {
		c, err := New(Options{URL: tt.base})
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(tt.base + "/api/v1/runs/x?y=1")
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{StatusCode: 302, Header: http.Header{"Location": {tt.to}}, Request: &http.Request{URL: at}}
		var p *job.Problem
		if got := c.foreign(resp, nil, ""); got.Location != tt.want || errors.As(error(got), &p) {
			t.Errorf("%s from %s: %q, want %q", tt.to, tt.base, got.Location, tt.want)
		}
	}
}
