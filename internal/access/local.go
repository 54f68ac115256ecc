package access

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Settings are what an operator chose about tokens.
type Settings struct {
	RequireToken bool     // everybody brings a token
	Insecure     bool     // nobody needs a token
	TrustLocal   bool     // trust local connections also where the system does not say whose they are
	PublicURL    string   // the server's address as people see it; empty for none
	OIDC         bool     // people log in through an identity provider
	Hosts        []string // further names of the server for clients on its machine
}

// Check returns an error when two of the settings contradict each other.
func (s Settings) Check() error {
	switch {
	case s.Insecure && s.RequireToken:
		return errors.New("--insecure and --require-token contradict each other: give one of them")
	case s.Insecure && s.OIDC:
		return errors.New("--insecure lets everybody in without a login, and --oidc-issuer asks for one: give one of them")
	case s.TrustLocal && s.RequireToken:
		return errors.New("--trust-local and --require-token contradict each other: give one of them")
	case s.TrustLocal && s.OIDC:
		return errors.New("--trust-local has no effect with --oidc-issuer, which asks everybody to log in: leave one of them out")
	case s.TrustLocal && s.PublicURL != "" && !LoopbackURL(s.PublicURL):
		return fmt.Errorf("--trust-local has no effect with --public-url %s, which asks everybody for a token: leave one of them out", s.PublicURL)
	}
	return nil
}

// Rule is the rule for requests that bring neither a token nor a session to a listener.
func (s Settings) Rule(listener net.Addr) Rule {
	return Rule{
		Everybody: s.Insecure,
		Local:     Loopback(listener) && !s.RequireToken && !s.OIDC && (s.PublicURL == "" || LoopbackURL(s.PublicURL)),
		Unknown:   s.TrustLocal,
		Hosts:     s.Hosts,
	}
}

// Rule says which requests need no token. The zero value: none.
type Rule struct {
	Everybody bool     // no request needs one
	Local     bool     // requests of the server's own user and of root from this machine need none
	Unknown   bool     // with Local: nor do requests whose user the system does not report
	Hosts     []string // names of this machine for requests that bring a token
}

// Doubt is why a request needs a token or a session.
type Doubt int

// The doubts. A request with several has the first of them.
const (
	Trusted     Doubt = iota // it needs none
	Always                   // the server asks everybody
	Forwarded                // a proxy sent it
	OtherUser                // another user of this machine sent it
	UnknownUser              // the system does not say who sent it
	ForeignHost              // it is addressed to a name that is not this machine's own
)

// Peer is what the system says of the other end of a connection.
type Peer struct {
	UID int
	Err error // why the system does not say whose connection it is; nil if UID is known
}

// Judge says whether a request without a token is trusted. peer is asked only where it
// counts; own is the user id that the server runs with.
func (r Rule) Judge(peer func() Peer, own int, host string, h http.Header) Doubt {
	switch {
	case r.Everybody:
		return Trusted
	case !r.Local:
		return Always
	case IsForwarded(h):
		return Forwarded
	}
	switch p := peer(); {
	case p.Err != nil && !r.Unknown:
		return UnknownUser
	case p.Err == nil && p.UID != own && p.UID != 0:
		return OtherUser
	case !LocalHost(host):
		return ForeignHost
	}
	return Trusted
}

// AnswersTo reports whether a local request may be addressed to a name: otherwise any web
// page could point its own name at the loopback address.
func (r Rule) AnswersTo(host string) bool {
	name, ok := hostName(host)
	if !ok {
		return false
	}
	for _, allowed := range r.Hosts {
		if strings.EqualFold(name, allowed) || strings.EqualFold(host, allowed) {
			return true
		}
	}
	return LocalHost(host)
}

// IsForwarded reports whether a proxy says that it passed the request on, however it spells
// the name of the header.
func IsForwarded(h http.Header) bool {
	for name := range h {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch {
		case name == "forwarded", name == "via", name == "x-real-ip", strings.HasPrefix(name, "x-forwarded"):
			return true
		}
	}
	return false
}

// Loopback reports whether an address can be reached from its own machine only.
func Loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// LoopbackURL reports whether a URL leads to the machine of whoever uses it.
func LoopbackURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && LocalHost(u.Host)
}

// LocalHost reports whether a Host header names this machine as only this machine can.
func LocalHost(host string) bool {
	name, ok := hostName(host)
	if !ok {
		return false
	}
	name = strings.ToLower(name)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// hostName is a Host header without port and brackets. It reports false for what no
// browser sends: a port that is not a number, brackets around anything but an IPv6 address.
func hostName(host string) (name string, ok bool) {
	if rest, bracket := strings.CutPrefix(host, "["); bracket {
		name, port, found := strings.Cut(rest, "]")
		addr, err := netip.ParseAddr(name)
		return name, found && err == nil && addr.Is6() && (port == "" || port[0] == ':' && isPort(port[1:]))
	}
	name, port, found := strings.Cut(host, ":")
	return name, name != "" && (!found || isPort(port))
}

func isPort(text string) bool {
	return len(text) > 0 && len(text) <= 5 && strings.Trim(text, "0123456789") == ""
}
