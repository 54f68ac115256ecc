package segment

import (
	"hash/crc32"
	"io"
)

// Walk calls fn for every frame of a segment that can be read, also after damage: after bad bytes of a frame it
// continues with the next frame, after a bad header with the next page. It calls bad for each range that is
// not a whole frame, including a torn end. The data is valid only during the call.
func Walk(r io.ReaderAt, size int64, fn func(f Frame, offset int64, data []byte) error, bad func(from, to int64)) error {
	var header [FrameSize]byte
	var data []byte
	for at := int64(0); at+FrameSize <= size; {
		if _, err := r.ReadAt(header[:], at); err != nil {
			return endOf(err)
		}
		f, err := parseFrame(header[:])
		if err != nil {
			next := min(alignUp(at+1), size)
			if header[0] != 0 {
				bad(at, next)
			}
			at = next
			continue
		}
		end := at + FrameSize + f.Size
		if end > size {
			bad(at, size)
			return nil
		}
		if f.Kind == erased {
			at = end
			continue
		}
		if data, err = readN(io.NewSectionReader(r, at+FrameSize, f.Size), data[:0], f.Size); err != nil {
			return endOf(err)
		}
		if crc32.Checksum(data, castagnoli) != f.sum {
			bad(at, end)
		} else if err := fn(f, at+FrameSize, data); err != nil {
			return err
		}
		at = end
	}
	return nil
}
