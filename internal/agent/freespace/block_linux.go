package freespace

import "golang.org/x/sys/unix"

// blockSize returns the unit in which blocks are counted. Bsize is the best size of a transfer,
// which is larger over a network.
func blockSize(st *unix.Statfs_t) int64 { return int64(st.Frsize) }
