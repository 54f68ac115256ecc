// Package freespace returns how much room a file system has.
package freespace

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is the room of a file system, in bytes.
type Space struct {
	Free  int64 // what an ordinary user may still write
	Total int64
}

// Of returns the room of the file system that holds a path.
func Of(path string) (Space, error) {
	var st unix.Statfs_t
	for {
		switch err := unix.Statfs(path, &st); err {
		case nil:
			return spaceOf(&st), nil
		case unix.EINTR: // file systems over a network may be interrupted
		default:
			return Space{}, fmt.Errorf("free space of %s: %w", path, err)
		}
	}
}

func spaceOf(st *unix.Statfs_t) Space {
	size := blockSize(st)
	return Space{Free: int64(st.Bavail) * size, Total: int64(st.Blocks) * size}
}
