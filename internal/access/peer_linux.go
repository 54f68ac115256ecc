package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sizes and offsets in the messages of sock_diag(7).
const (
	netlinkHeader  = 16
	diagRequest    = 56                     // struct inet_diag_req_v2
	diagAnswer     = 72                     // struct inet_diag_msg
	answerState    = netlinkHeader + 1      // idiag_state
	answerUID      = netlinkHeader + 64     // idiag_uid
	answerInode    = netlinkHeader + 68     // idiag_inode
	diagByFamily   = 20                     // SOCK_DIAG_BY_FAMILY
	anyCookie      = ^uint32(0)             // INET_DIAG_NOCOOKIE
	tcpEstablished = 1                      // TCP_ESTABLISHED
	tcpFinWait1    = 4                      // TCP_FIN_WAIT1
	tcpFinWait2    = 5                      // TCP_FIN_WAIT2
	tcpCloseWait   = 8                      // TCP_CLOSE_WAIT
	kernelOverflow = 65534                  // user ID that is shown for users of other user namespaces
	wholeUIDRange  = uint64(1)<<32 - 1      // number of IDs in a user namespace that maps all
	answerSize     = netlinkHeader + 4*1024 // larger than one answer with its attributes
)

// socketOwner returns the user ID of the TCP socket on this machine whose own
// address is local and whose other end is remote.
func socketOwner(local, remote netip.AddrPort) (uid int, err error) {
	answer, err := queryDiag(local, remote)
	if err != nil {
		return 0, fmt.Errorf("ask the kernel whose the connection from %s is: %w", local, err)
	}
	return parseOwner(answer, mapsAllUIDs())
}

// checkOpen returns an error unless a connection is still open on this side. The data of a connection that
// was reset can still be read, and meanwhile the port of the other end may belong to another
// user: the user of the two addresses is valid only if they belonged to this
// connection all the time.
func checkOpen(conn net.Conn) error {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return errNoAnswer
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return fmt.Errorf("ask the kernel whether a connection is open: %w", err)
	}
	var info *unix.TCPInfo
	cerr := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("ask the kernel whether a connection is open: %w", err)
	}
	if info.State != tcpEstablished && info.State != tcpCloseWait {
		return errors.New("the connection was reset")
	}
	return nil
}

// queryDiag sends one request to sock_diag and returns the answer.
func queryDiag(local, remote netip.AddrPort) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written to a disk
	if err := unix.Sendto(fd, diagQuery(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buf := make([]byte, answerSize)
	// The kernel sends its answer before Sendto returns.
	n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// diagQuery returns a request for exactly one socket.
func diagQuery(local, remote netip.AddrPort) []byte {
	q := make([]byte, netlinkHeader+diagRequest)
	binary.NativeEndian.PutUint32(q[0:], uint32(len(q)))
	binary.NativeEndian.PutUint16(q[4:], diagByFamily)
	binary.NativeEndian.PutUint16(q[6:], unix.NLM_F_REQUEST)
	r := q[netlinkHeader:]
	r[0], r[1] = unix.AF_INET, unix.IPPROTO_TCP
	if local.Addr().Is6() {
		r[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(r[4:], ^uint32(0)) // sockets of every state
	binary.BigEndian.PutUint16(r[8:], local.Port())
	binary.BigEndian.PutUint16(r[10:], remote.Port())
	copy(r[12:28], local.Addr().AsSlice())
	copy(r[28:44], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(r[48:], anyCookie)
	binary.NativeEndian.PutUint32(r[52:], anyCookie)
	return q
}

// parseOwner reads the user ID from an answer. allUIDs is set if this process knows the IDs of all users on
// the machine.
func parseOwner(b []byte, allUIDs bool) (uid int, err error) {
	if len(b) < netlinkHeader+4 {
		return 0, errors.New("the kernel's answer about a connection is too short")
	}
	if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
		code := int32(binary.NativeEndian.Uint32(b[netlinkHeader:]))
		return 0, fmt.Errorf("ask the kernel whose a connection is: %w", unix.Errno(-code))
	}
	if binary.NativeEndian.Uint16(b[4:]) != diagByFamily || len(b) < netlinkHeader+diagAnswer {
		return 0, errors.New("the kernel's answer about a connection is of another kind")
	}
	// A socket that no process holds any more is shown with root's ID: its user is not known.
	if binary.NativeEndian.Uint32(b[answerInode:]) == 0 {
		return 0, errors.New("no process holds the other end of the connection any more")
	}
	// A socket that is not connected yet cannot be the one that was accepted.
	switch b[answerState] {
	case tcpEstablished, tcpFinWait1, tcpFinWait2, tcpCloseWait:
	default:
		return 0, errors.New("the other end of the connection is not open any more")
	}
	uid = int(binary.NativeEndian.Uint32(b[answerUID:]))
	if uid == kernelOverflow && !allUIDs {
		return 0, errors.New("the connection belongs to a user of another user namespace")
	}
	return uid, nil
}

// mapsAllUIDs reports whether this process sees every user of the machine with an
// ID of its own: in other user namespaces, unmapped users are shown as "nobody".
var mapsAllUIDs = sync.OnceValue(func() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && wholeMap(string(text))
})

func wholeMap(text string) bool {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return false
	}
	count, err := strconv.ParseUint(fields[2], 10, 64)
	return err == nil && count >= wholeUIDRange
}
