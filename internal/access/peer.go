package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

// errNoAnswer is returned on a system that does not report the user of a connection.
var errNoAnswer = errors.New("the system does not report which user a connection belongs to")

// PeerOf returns the user at the other end of a connection, which must be
// a connection within this machine.
func PeerOf(conn net.Conn) Peer {
	local, remote := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	if !local.IsValid() || !remote.IsValid() {
		return Peer{Err: errNoAnswer}
	}
	uid, err := socketOwner(remote, local)
	if err == nil {
		err = checkOpen(conn)
	}
	return Peer{UID: uid, Err: err}
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// CheckPeers tests with a connection to itself whether PeerOf works on this system.
func CheckPeers() (err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("ask which user a connection belongs to: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return fmt.Errorf("ask which user a connection belongs to: %w", err)
	}
	defer near.Close() //nolint:errcheck // nothing was written
	uid, err := socketOwner(addrPort(near.LocalAddr()), addrPort(near.RemoteAddr()))
	if err == nil && uid != os.Geteuid() {
		err = fmt.Errorf("the system says that a connection of uid %d belongs to uid %d", os.Geteuid(), uid)
	}
	return err
}
