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

// Most is the size of the largest configuration file, and of the largest file with a token, in bytes.
const Most = 64 << 10

// ReadFile reads a regular file of at most so many bytes, and waits no longer than limit for a file system that does not answer.
// What is no regular file is refused unread, because opening or reading it may never end; the null device is empty.
func ReadFile(path string, most int64, limit time.Duration) ([]byte, error) {
	text, err := bounded.Call(limit, func() ([]byte, error) { return read(path, most) })
	if late := (*bounded.NoAnswerError)(nil); errors.As(err, &late) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, err
}

func read(path string, most int64) ([]byte, error) {
	if path == os.DevNull {
		return nil, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(path, info, most); err != nil {
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
	if err := regular(path, info, most); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = tooLarge(path, most)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// regular refuses what is not a regular file, or too large.
func regular(path string, info fs.FileInfo, most int64) error {
	switch {
	case info.IsDir():
		return fmt.Errorf("read %s: it is a directory", path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("read %s: it is not a regular file", path)
	case info.Size() > most:
		return tooLarge(path, most)
	}
	return nil
}

func tooLarge(path string, most int64) error {
	return fmt.Errorf("read %s: it is larger than %d KiB", path, most>>10)
}
