package access

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of the proxies whose X-Forwarded-For is believed.
type Proxies []netip.Prefix

// ParseProxy returns the network that a text names: a prefix as 10.0.0.0/8, or one address.
func ParseProxy(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q has a zone, by which no proxy is recognized: leave out what follows the %%", text)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is not an address or a network such as 10.0.0.0/8", text)
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is larger than the network of all IPv4 addresses: write the networks of the proxies", text)
	}
	switch {
	case p.Bits() == 0:
		return p, fmt.Errorf("%q has all addresses, so every client could choose its address: write the networks of the proxies", text)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits behind the length of the network: write %s, or the address alone", text, p.Masked())
	}
	return p, nil
}

// ParseProxies returns the networks that texts name.
func ParseProxies(texts []string) (Proxies, error) {
	var out Proxies
	for _, text := range texts {
		p, err := ParseProxy(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// has reports whether an address is that of a proxy.
func (p Proxies) has(addr netip.Addr) bool {
	for _, network := range p {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// clientOf returns the address of the client of a request that came from an address, with port, with the
// values of X-Forwarded-For, to which every proxy has added the address that it saw: the last one that is
// not of a proxy. What is left of it was sent by the client, who may have invented it. If a proxy has added
// something that is not an address, the client is that proxy.
func (p Proxies) clientOf(from string, forwarded []string) netip.Addr {
	client, ok := parseHop(from)
	for i := len(forwarded) - 1; i >= 0 && ok; i-- {
		for rest, more := forwarded[i], true; more; {
			if !p.has(client) {
				return client
			}
			var last string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, last = rest[:at], rest[at+1:]
			} else {
				last, more = rest, false
			}
			next, ok := parseHop(last)
			if !ok {
				return client
			}
			client = next
		}
	}
	return client
}

// parseHop returns the address in a text, which may have a port. An IPv6 address may be in brackets.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var with netip.AddrPort
		if with, err = netip.ParseAddrPort(text); err == nil {
			addr = with.Addr()
		}
	}
	if inside, ok := strings.CutPrefix(text, "["); err != nil && ok {
		if inside, ok = strings.CutSuffix(inside, "]"); ok {
			addr, err = netip.ParseAddr(inside)
		}
	}
	return addr.Unmap().WithZone(""), err == nil
}

type clientKey struct{}

// Identify returns a request of which ClientOf returns the client that proxies name.
func (p Proxies) Identify(r *http.Request) *http.Request {
	forwarded := r.Header["X-Forwarded-For"]
	if len(p) == 0 || len(forwarded) == 0 {
		return r
	}
	client := p.clientOf(r.RemoteAddr, forwarded)
	if !client.IsValid() {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, client))
}

// ClientOf returns the address of the client that sent a request; the zero Addr if it is not known. It is
// for counting and for showing: whether a request needs a token depends on its connection.
func ClientOf(r *http.Request) netip.Addr {
	if client, ok := r.Context().Value(clientKey{}).(netip.Addr); ok {
		return client
	}
	addr, _ := parseHop(r.RemoteAddr)
	return addr
}

// ClientText returns the address of the client that sent a request as text.
func ClientText(r *http.Request) string {
	if client := ClientOf(r); client.IsValid() {
		return client.String()
	}
	return r.RemoteAddr
}
