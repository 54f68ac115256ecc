package access

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
)

// PingCaller returns who sends a ping. With an empty key, that is a client that knows the UUID in the path. Otherwise it is the
// token of the scope ping that the key is, the token of a header, or a connection that needs no token, whatever
// the key then is. Any other key is answered as one that leads nowhere.
func (s *Guard) PingCaller(r *http.Request, key string) (who access.Caller, err error) {
	who = access.Caller{Via: access.ViaNone}
	if key != "" {
		if who, err = s.identifyPing(r, key); err == nil && !who.Scope.Allows(access.Ping) {
			err = errNoTarget()
		}
	}
	who.Address = conns.AddressOf(r).String()
	return who, err
}

func (s *Guard) identifyPing(r *http.Request, key string) (access.Caller, error) {
	if secret, ok := bearer(r); ok {
		return s.identifyToken(hidePath(r), secret)
	}
	if access.IsPingKey(key) {
		_, err := s.findToken(r.Context(), key)
		var none *query.NotFoundError
		if !errors.As(err, &none) {
			if err != nil {
				return access.Caller{}, err
			}
			return s.identifyToken(hidePath(r), key)
		}
	}
	if s.doubt(r) == access.Trusted {
		if isForeignPage(r) {
			return access.Caller{}, httpio.NewProblem(http.StatusForbidden, "the ping was sent by a web page of another site")
		}
		return access.Local(), nil
	}
	var p *httpio.Problem
	if err := s.refuseToken(hidePath(r), "the key is not that of a token"); errors.As(err, &p) && p.Status == http.StatusTooManyRequests {
		return access.Caller{}, err
	}
	return access.Caller{}, errNoTarget()
}

// errNoTarget is the answer to a ping that leads nowhere.
func errNoTarget() error { return httpio.NewProblem(http.StatusNotFound, "not found") }

// hidePath returns a request whose path, which the log and the audit log show, has no key.
func hidePath(r *http.Request) *http.Request {
	hidden := *r
	hidden.URL = &url.URL{Path: "/ping"}
	return &hidden
}

// isForeignPage reports whether a web page of another site has sent a request, with any method: a ping by GET
// changes something. Browsers name the site only over TLS and to a loopback address, and the origin not with every
// request; where both are missing, the name of the browser is all that there is.
func isForeignPage(r *http.Request) bool {
	asked := *r
	asked.Method = http.MethodPost // GET is not looked at
	if http.NewCrossOriginProtection().Check(&asked) != nil {
		return true
	}
	h := r.Header
	return h.Get("Sec-Fetch-Site") == "" && h.Get("Origin") == "" && strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}
