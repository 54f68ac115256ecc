//go:build !linux

package stdio

import "golang.org/x/sys/unix"

// bytesWaiting is the ioctl that returns how many bytes can be read (FIONREAD).
const bytesWaiting = 0x4004667f

// dupTo makes the descriptor to a copy of from.
func dupTo(from, to int) error { return unix.Dup2(from, to) }
