package segment

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Scan calls fn for each whole frame of a segment, with the offset of its bytes, and returns the end of the last
// one. A torn end, as a crash leaves it, is not an error. The data is valid only during the call.
func Scan(r io.Reader, fn func(f Frame, offset int64, data []byte) error) (good int64, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var data []byte
	for at := int64(0); ; {
		header, err := in.Peek(FrameSize)
		if err != nil && len(header) < 4 {
			return good, endOf(err)
		}
		if header[0] == 0 && at%pageSize != 0 { // the rest of a page that a batch left
			skipped, err := in.Discard(int(alignUp(at) - at))
			if err != nil {
				return good, endOf(err)
			}
			at += int64(skipped)
			continue
		}
		f, err := parseFrame(header)
		if err != nil {
			return good, nil //nolint:nilerr // a torn end
		}
		if _, err := in.Discard(FrameSize); err != nil {
			return good, endOf(err)
		}
		if data, err = readN(in, data[:0], f.Size); err != nil {
			return good, endOf(err)
		}
		if crc32.Checksum(data, castagnoli) != f.sum {
			return good, nil
		}
		if f.Kind != erased {
			if err := fn(f, at+FrameSize, data); err != nil {
				return good, err
			}
		}
		at += FrameSize + f.Size
		good = at
	}
}

// readN reads n bytes in steps, so that a wrong header does not allocate memory.
func readN(r io.Reader, to []byte, n int64) ([]byte, error) {
	const step = 1 << 20
	for int64(len(to)) < n {
		from := len(to)
		more := min(n-int64(from), step)
		to = append(to, make([]byte, more)...)
		if _, err := io.ReadFull(r, to[from:]); err != nil {
			return to, err
		}
	}
	return to, nil
}

func endOf(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("read a segment: %w", err)
}
