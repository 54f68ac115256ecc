package notify

import (
	"crypto/rand"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

const receiveFlags = unix.MSG_CMSG_CLOEXEC

// maxName bounds an address: sun_path holds 108 bytes.
const maxName = 107

// place is in the abstract namespace: there is no file to be left behind, and no path that
// could be too long. Whoever may connect is told apart by what the kernel says of senders.
func place(name string) (address string, remove func(), err error) {
	tail := "." + rand.Text()[:8]
	address = "@stint-" + name
	if len(address)+len(tail) > maxName {
		address = address[:maxName-len(tail)]
	}
	return address + tail, func() {}, nil
}

// identifySenders asks the kernel to say who sent each message.
func identifySenders(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	if err := raw.Control(func(fd uintptr) {
		opErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}); err != nil {
		return err
	}
	if opErr != nil {
		return fmt.Errorf("ask for the senders of messages: %w", opErr)
	}
	return nil
}

func credentials(m *unix.SocketControlMessage) sender {
	c, err := unix.ParseUnixCredentials(m)
	if err != nil {
		return sender{}
	}
	return sender{pid: int(c.Pid), uid: c.Uid, known: true}
}
