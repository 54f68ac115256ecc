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

// Settings are the operator's settings for tokens.
type Settings struct {
	RequireToken bool     // every request needs a token
	Insecure     bool     // no request needs a token
	TrustLocal   bool     // trust local connections also if the system does not report their user
	PublicURL    string   // external address of the server; empty for none
	OIDC         bool     // people log in at an identity provider
	Hosts        []string // further names of the server for clients on its machine
}

// Check returns an error if two of the settings contradict each other.
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

// Rule returns the rule for requests without a token or session to a listener.
func (s Settings) Rule(listener net.Addr) Rule {
	return Rule{
		Everybody: s.Insecure,
		Local:     Loopback(listener) && !s.RequireToken && !s.OIDC && (s.PublicURL == "" || LoopbackURL(s.PublicURL)),
		Unknown:   s.TrustLocal,
		Hosts:     s.Hosts,
	}
}

// Rule selects the requests that need no token. The zero value selects none.
type Rule struct {
	Everybody bool     // no request needs one
	Local     bool     // requests of the server's own user and of root from this machine need none
	Unknown   bool     // with Local: nor do requests whose user the system does not report
	Hosts     []string // names of this machine for requests with a token
	Workers   bool     // the server has workers: with Local, all requests need a token
}

// Doubt is the reason why a request needs a token or a session.
type Doubt int

// The values of Doubt. If several apply to a request, it has the first.
const (
	Trusted     Doubt = iota // the request needs none
	Always                   // every request needs one
	HasWorkers               // every request needs one, because there are workers
	Forwarded                // a proxy sent it
	OtherUser                // another user of this machine sent it
	UnknownUser              // the system does not report the user who sent it
	ForeignHost              // its Host is not a name of this machine
)

// Peer is the user at the other end of a connection, as the system reports it.
type Peer struct {
	UID int
	Err error // why the user is not known; nil if UID is set
}

// Judge returns why a request without a token is not trusted, or Trusted. It calls peer only if the rule
// depends on the user; own is the user ID of the server.
func (r Rule) Judge(peer func() Peer, own int, host string, h http.Header) Doubt {
	switch {
	case r.Everybody:
		return Trusted
	case !r.Local:
		return Always
	case r.Workers:
		return HasWorkers
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

// AnswersTo reports whether a local request may have a name as its Host: without this check any web
// page could resolve its own name to the loopback address.
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

// IsForwarded reports whether a header of a proxy marks the request as forwarded, in any spelling
// of the header's name.
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

// Loopback reports whether an address is a loopback address.
func Loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// LoopbackURL reports whether the host of a URL is the local machine.
func LoopbackURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && LocalHost(u.Host)
}

// LocalHost reports whether a Host header is a loopback name or address.
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

// hostName returns a Host header without port and brackets. It returns false for values that no
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
