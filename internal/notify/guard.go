package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// sendTimeout is the limit of one try, from the resolution of the receiver's name to the last byte of its response.
const sendTimeout = 15 * time.Second

// maxResponse is how many bytes of a response are read.
const maxResponse = 64 << 10

// errPrivate is the error for a target that is not on the public network.
var errPrivate = errors.New("is an address of a private network, and the server was not started with --allow-private-targets")

// errOwnAddress is the error for a target that is this host.
var errOwnAddress = errors.New("is an address of this host, and the server was not started with --allow-private-targets")

// guard connects to receivers. Unless private targets are allowed, it checks every address when it
// connects, after the name was resolved, so that a name which resolves to another address later is refused
// too.
type guard struct{ private bool }

// dialer returns a dialer that checks addresses.
func (g guard) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: sendTimeout}
	if !g.private {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("address %s: %w", address, err)
			}
			return checkPublic(at.Addr(), net.InterfaceAddrs)
		}
	}
	return d
}

// checkPublic returns an error for an address that is not a public one, and for the public addresses of this host,
// because its services may trust connections from the host itself.
func checkPublic(a netip.Addr, own func() ([]net.Addr, error)) error {
	a = a.Unmap().WithZone("")
	if embedded, ok := embedded4(a); ok {
		a = embedded
	}
	ok := a.IsGlobalUnicast() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
	for _, p := range reserved {
		ok = ok && !p.Contains(a)
	}
	if !ok {
		return fmt.Errorf("%s %w", a, errPrivate)
	}
	addrs, err := own()
	if err != nil {
		return fmt.Errorf("find out whether %s is an address of this host: %w", a, err)
	}
	for _, addr := range addrs {
		if p, err := netip.ParsePrefix(addr.String()); err == nil && p.Addr().Unmap().WithZone("") == a {
			return fmt.Errorf("%s %w", a, errOwnAddress)
		}
	}
	return nil
}

// embedded4 returns the IPv4 address that is reached through NAT64, SIIT or 6to4.
func embedded4(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a), netip.MustParsePrefix("::ffff:0:0:0/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return a, false
}

// reserved are networks that are not public, besides the private ones. 168.63.129.16 is the agent of the
// host in all virtual machines of Azure.
var reserved = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"192.88.99.0/24", "168.63.129.16/32", "240.0.0.0/4",
	"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, p := range all {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// client returns an HTTP client for one message, and the call that has its last response. The client follows no
// redirects, uses no proxy and keeps no connections. Its requests end with ctx.
func (g guard) client(ctx context.Context) (*http.Client, *call) {
	c := &call{ctx: ctx, transport: &http.Transport{
		DialContext: g.dialer().DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: sendTimeout,
		ResponseHeaderTimeout: sendTimeout, MaxResponseHeaderBytes: maxResponse, ForceAttemptHTTP2: true,
	}}
	return &http.Client{
		Transport: c, Timeout: sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, c
}

// call sends the requests of one message. The chat library retries by itself, so after a failure every
// request fails: the outbox retries.
type call struct {
	ctx       context.Context //nolint:containedctx // the library's services have no parameter for a context
	transport http.RoundTripper
	failed    error
	status    int    // of the last response; 0 before the first
	after     string // Retry-After
}

// RoundTrip implements http.RoundTripper. It must not be called concurrently.
func (c *call) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(c.ctx, cancel)
	res, err := c.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop()
		cancel()
		c.failed = err
		return nil, err
	}
	c.status, c.after = res.StatusCode, res.Header.Get("Retry-After")
	if res.StatusCode >= http.StatusMultipleChoices {
		c.failed = classifyStatus(res.StatusCode, c.after, "")
	}
	res.Body = &boundBody{io.LimitReader(res.Body, maxResponse), res.Body, func() { stop(); cancel() }}
	return res, nil
}

// boundBody is the body of a response with limited size.
type boundBody struct {
	io.Reader
	body io.Closer
	done func()
}

func (b *boundBody) Close() error {
	defer b.done()
	return b.body.Close()
}
