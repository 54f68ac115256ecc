package stdio

import "golang.org/x/sys/unix"

// bytesWaiting is the ioctl that returns how many bytes can be read.
const bytesWaiting = unix.TIOCINQ

// dupTo makes the descriptor to a copy of from.
func dupTo(from, to int) error { return unix.Dup3(from, to, 0) }
