package conns

import (
	"errors"
	"net"
	"net/http"
	"net/netip"

	"stint.dev/stint/internal/access"
)

// AddressOf returns where a request comes from. IPv6 addresses count by their /64 network,
// because who has one has all of it.
func AddressOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	return networkOf(addr)
}

// networkOf is the network of which an address is counted as one client.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr = addr.Unmap(); addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// PeerOf returns what the system says of who sent a request.
func PeerOf(r *http.Request) access.Peer {
	if conn, _ := r.Context().Value(connKey{}).(*watchedConn); conn != nil {
		return conn.peer()
	}
	return access.Peer{Err: errNoConnection}
}

// errNoConnection says that a request came over no connection that this server accepted.
var errNoConnection = errors.New("the request came over no connection of this server")
