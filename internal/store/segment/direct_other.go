//go:build !linux

package segment

import "os"

// direct would write past the page cache; this system has no portable way.
type direct struct {
	file *os.File
	buf  []byte
}

func openDirect(string) *direct { return nil }

func (d *direct) close() error { return nil }
