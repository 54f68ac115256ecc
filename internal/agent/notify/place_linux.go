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

// bindWithoutDirectory uses the abstract namespace. Every user of the host can send there:
// the kernel says who sent a message.
func bindWithoutDirectory() (*net.UnixConn, error) { return listenAt("@stint-" + rand.Text()) }

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
	return sender{uid: c.Uid, known: true}
}
