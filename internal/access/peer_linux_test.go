package access

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// accepted is the server's end of a connection that was made to l.
func accepted(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestPeerOfOwnConnection(t *testing.T) {
	if err := CheckPeers(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1:0", "127.9.9.9:0", "[::1]:0"} {
		l := listen(t, "tcp", address)
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if p := PeerOf(accepted(t, l)); p.Err != nil || p.UID != os.Geteuid() {
			t.Errorf("%s: %+v", address, p)
		}
	}
}

// Some programs reach an IPv4 address through a socket of IPv6.
func TestPeerOfMappedAddress(t *testing.T) {
	l := listen(t, "tcp4", "127.0.0.1:0")
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	to := &syscall.SockaddrInet6{Port: l.Addr().(*net.TCPAddr).Port, Addr: [16]byte(net.IPv4(127, 0, 0, 1).To16())}
	if err := syscall.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	if p := PeerOf(accepted(t, l)); p.Err != nil || p.UID != os.Geteuid() {
		t.Errorf("%+v", p)
	}
}

// otherUser runs a bash script as the user nobody.
func otherUser(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	cmd := exec.Command("bash", append([]string{"-c", script, "bash"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func TestPeerOfOtherUser(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := otherUser(t, `exec 3<>/dev/tcp/127.0.0.1/$1; read -r; exec 3>&-; echo closed; read -r`, port)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "exit status 1") {
			t.Error(err)
		}
	}()
	conn := accepted(t, l)
	if p := PeerOf(conn); p.Err != nil || p.UID != 65534 {
		t.Errorf("while it is open: %+v", p)
	}
	// What nobody holds any more looks like root's.
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if p := PeerOf(conn); p.Err == nil {
		t.Errorf("after the other end closed it: %+v", p)
	}
}

func TestParseOwnerRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": nil, "short": make([]byte, 17), "another kind": make([]byte, 200),
	} {
		if uid, err := parseOwner(b, true); err == nil {
			t.Errorf("%s: uid %d", name, uid)
		}
	}
}

// Only a socket that is open, and held by a process, says whose a connection is.
func TestParseOwnerLooksAtTheState(t *testing.T) {
	const last = 12 // TCP_NEW_SYN_RECV
	open := []byte{tcpEstablished, tcpFinWait1, tcpFinWait2, tcpCloseWait}
	for state := range byte(last + 1) {
		b := make([]byte, netlinkHeader+diagAnswer)
		binary.NativeEndian.PutUint16(b[4:], diagByFamily)
		binary.NativeEndian.PutUint32(b[answerInode:], 1)
		b[answerState] = state
		if _, err := parseOwner(b, true); (err == nil) != bytes.ContainsRune(open, rune(state)) {
			t.Errorf("state %d: %v", state, err)
		}
		binary.NativeEndian.PutUint32(b[answerInode:], 0)
		if _, err := parseOwner(b, true); err == nil {
			t.Errorf("state %d, held by no process: trusted", state)
		}
	}
}

func TestOthersOfAUserNamespace(t *testing.T) {
	b := make([]byte, netlinkHeader+diagAnswer)
	binary.NativeEndian.PutUint16(b[4:], diagByFamily)
	binary.NativeEndian.PutUint32(b[answerInode:], 1)
	binary.NativeEndian.PutUint32(b[answerUID:], kernelOverflow)
	b[answerState] = tcpEstablished
	if uid, err := parseOwner(b, true); err != nil || uid != kernelOverflow {
		t.Errorf("uid %d, %v", uid, err)
	}
	if uid, err := parseOwner(b, false); err == nil {
		t.Errorf("a user of another namespace counts as uid %d", uid)
	}
	for text, whole := range map[string]bool{
		"         0          0 4294967295\n": true,
		"0 1000 1\n":                         false,
		"0 1000 1\n1 100000 65536\n":         false,
		"":                                   false,
	} {
		if wholeMap(text) != whole {
			t.Errorf("map %q: whole should be %t", text, whole)
		}
	}
}
