package segment

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// direct writes past the page cache: large batches are read rarely, and copying them to the cache costs more
// CPU than everything else.
type direct struct {
	file *os.File
	buf  []byte // whole pages, as the kernel requires
}

// openDirect opens a segment a second time, to write past the page cache. It returns nil if the file system
// does not support that.
func openDirect(path string) *direct {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	buf, err := unix.Mmap(-1, 0, directBuffer, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		_ = f.Close() // nothing was written to it
		return nil
	}
	return &direct{file: f, buf: buf}
}

func (d *direct) close() error {
	if d == nil {
		return nil
	}
	err := errors.Join(unix.Munmap(d.buf), d.file.Close())
	if err != nil {
		return fmt.Errorf("close a segment: %w", err)
	}
	return nil
}
