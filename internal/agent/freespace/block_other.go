//go:build !linux

package freespace

import "golang.org/x/sys/unix"

// blockSize returns the unit in which blocks are counted.
func blockSize(st *unix.Statfs_t) int64 { return int64(st.Bsize) }
