package configfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/bounded"
)

// most is the size of the largest file that is read.
const most = 64 << 10

// ReadSmall reads a regular file of at most 64 KiB, and waits no longer than limit for a file system that does not answer. What
// is no regular file is refused unread, because opening or reading it may never end; the null device is empty.
func ReadSmall(path string, limit time.Duration) ([]byte, error) {
	text, err := bounded.Call(limit, func() ([]byte, error) { return readSmall(path) })
	if late := (*bounded.NoAnswerError)(nil); errors.As(err, &late) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, err
}

func readSmall(path string) ([]byte, error) {
	if path == os.DevNull {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a FIFO by now
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("read %s: it is larger than 64 KiB", path)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// regular refuses what is not a regular file, or too large.
func regular(path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return fmt.Errorf("read %s: it is a directory", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("read %s: it is not a regular file", path)
	case info.Size() > most:
		return fmt.Errorf("read %s: it is larger than 64 KiB", path)
	}
	return nil
}
