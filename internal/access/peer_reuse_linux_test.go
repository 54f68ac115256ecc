package access

import (
	"context"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// dialAs connects from a port as a user, with the options that a port takes to be used again.
func dialAs(t *testing.T, uid int, from, to string) *net.TCPConn {
	t.Helper()
	laddr, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: laddr, Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
				err = unix.Fchown(int(fd), uid, -1) // the owner of a socket is that of its inode
			}
		})
		if err != nil {
			return err
		}
		return cerr
	}}
	conn, err := d.DialContext(context.Background(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// Another user sends a request and resets the connection; a process of root then connects
// from the same port before the server has asked. The request is not root's.
func TestPeerOfReusedPort(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a socket of another user")
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	first := dialAs(t, kernelOverflow, "127.0.0.1:0", l.Addr().String())
	stale := accepted(t, l)
	if p := PeerOf(stale); p.Err != nil || p.UID != kernelOverflow {
		t.Fatalf("while it is open: %+v", p)
	}
	if _, err := first.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	if err := first.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	from := first.LocalAddr().String()
	if err := first.Close(); err != nil { // resets it
		t.Fatal(err)
	}
	second := dialAs(t, 0, from, l.Addr().String())
	if p := PeerOf(accepted(t, l)); p.Err != nil || p.UID != 0 {
		t.Errorf("the connection of root: %+v", p)
	}
	got := make([]byte, 3)
	if n, err := stale.Read(got); err != nil || n != 3 {
		t.Fatalf("what the other user sent cannot be read any more (%q, %v): this test shows nothing", got[:n], err)
	}
	if p := PeerOf(stale); p.Err == nil {
		t.Errorf("the connection that another user reset counts as that of uid %d", p.UID)
	}
	runtime.KeepAlive(second)
}
