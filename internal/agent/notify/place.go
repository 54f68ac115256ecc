//go:build linux || darwin

package notify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"stint.dev/stint/internal/agent/bounded"
)

// socketName is the socket's file in its directory.
const socketName = "notify"

// placeLimit bounds the wait for the file system of a directory.
const placeLimit = time.Second

// bind makes the socket where no other user can send to it: in dir, which only this user may
// enter, else in a fresh directory. Where no directory can be used, or their paths are too
// long for a socket, the system may have a place without one. remove deletes what was made;
// dir belongs to the caller.
func bind(dir string) (conn *net.UnixConn, remove func(), err error) {
	if dir != "" {
		path := filepath.Join(dir, socketName)
		if conn, err = listenAt(path); err == nil {
			return conn, func() { bounded.Do(placeLimit, func() { _ = os.Remove(path) }) }, nil
		}
	}
	for _, in := range []string{"", "/tmp", "/dev/shm"} {
		fresh, mkErr := bounded.Call(placeLimit, func() (string, error) { return os.MkdirTemp(in, "stint-") }) // with the mode 0700
		if mkErr != nil {
			err = errors.Join(err, mkErr)
			continue
		}
		conn, listenErr := listenAt(filepath.Join(fresh, socketName))
		if listenErr == nil {
			return conn, func() { bounded.Do(placeLimit, func() { _ = os.RemoveAll(fresh) }) }, nil
		}
		err = errors.Join(err, listenErr)
		bounded.Do(placeLimit, func() { _ = os.Remove(fresh) })
	}
	conn, lastErr := bindWithoutDirectory()
	if lastErr != nil {
		return nil, nil, errors.Join(err, lastErr)
	}
	return conn, func() {}, nil
}

func listenAt(address string) (*net.UnixConn, error) {
	if len(address) > maxName {
		return nil, fmt.Errorf("%s is longer than the %d bytes that the address of a socket may have", address, maxName)
	}
	conn, err := bounded.Call(placeLimit, func() (*net.UnixConn, error) {
		return net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	})
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", address, err)
	}
	return conn, nil
}
