package conns

import (
	"errors"
	"net/http"
	"net/netip"

	"stint.dev/stint/internal/access"
)

// AddressOf returns the address of the client that sent a request; the zero Prefix if it is not known. Of an
// IPv6 address it is the /64 network, because a host usually has all addresses of one.
func AddressOf(r *http.Request) netip.Prefix {
	return networkOf(access.ClientOf(r))
}

// networkOf returns the network whose addresses count as one client.
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

// PeerOf returns what the operating system reports about the process that sent a request.
func PeerOf(r *http.Request) access.Peer {
	if conn, _ := r.Context().Value(connKey{}).(*watchedConn); conn != nil {
		return conn.peer()
	}
	return access.Peer{Err: errNoConnection}
}

// errNoConnection is the error for a request that did not come over a connection that Places accepted.
var errNoConnection = errors.New("the connection of the request is not known")
