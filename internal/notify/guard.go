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

// sendTime bounds one try at one receiver, from the look-up of its name to the last byte
// of its answer.
const sendTime = 15 * time.Second

// mostAnswer bounds what is read of an answer.
const mostAnswer = 64 << 10

// errPrivate says that a target is not on the public network.
var errPrivate = errors.New("is an address of a private network, and the server was not started with --allow-private-targets")

// errOwn says that a target is this host.
var errOwn = errors.New("is an address of this host, and the server was not started with --allow-private-targets")

// guard makes the connections to receivers. Unless private targets are allowed, every
// address is looked at when the connection is made, after its name was resolved, so that
// a name that changes its mind is refused as well.
type guard struct{ private bool }

func (g guard) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: sendTime}
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

// checkPublic refuses every address that is not an ordinary one of the internet, and those
// of this host: what listens on its public address may trust whoever is near.
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
			return fmt.Errorf("%s %w", a, errOwn)
		}
	}
	return nil
}

// embedded4 finds the IPv4 address that NAT64, SIIT or 6to4 would reach.
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

// reserved are networks that are neither private by name nor public. 168.63.129.16 is, in
// every virtual machine of Azure, the agent of its host.
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

// client is an HTTP client for one message. It follows no redirects, uses no proxy, keeps
// no connections and reads bounded answers; its calls end with ctx. What the last answer
// was stands in call.
func (g guard) client(ctx context.Context) (*http.Client, *call) {
	c := &call{ctx: ctx, transport: &http.Transport{
		DialContext: g.dialer().DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: sendTime,
		ResponseHeaderTimeout: sendTime, MaxResponseHeaderBytes: mostAnswer, ForceAttemptHTTP2: true,
	}}
	return &http.Client{
		Transport: c, Timeout: sendTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, c
}

// call carries the requests of one message. The chat library tries again by itself, and
// waits between; the outbox does that better, so after a failure every request fails.
type call struct {
	ctx       context.Context //nolint:containedctx // the library's services take no context
	transport http.RoundTripper
	failed    error
	status    int    // of the last answer; 0 before the first
	after     string // Retry-After
}

// RoundTrip is for one goroutine at a time.
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
	res.Body = &boundBody{io.LimitReader(res.Body, mostAnswer), res.Body, func() { stop(); cancel() }}
	return res, nil
}

type boundBody struct {
	io.Reader
	body io.Closer
	done func()
}

func (b *boundBody) Close() error {
	defer b.done()
	return b.body.Close()
}
