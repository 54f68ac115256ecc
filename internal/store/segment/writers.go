package segment

import "os"

const (
	// pageSize is the alignment of batches: a page is written either through the page cache or past
	// it, never in both ways.
	pageSize = 4096
	// directBytes is the size from which a batch is written past the page cache.
	directBytes  = 256 << 10
	directBuffer = 1 << 20
	// gatherBytes is the number of bytes that are copied together into one write; larger parts are
	// written without a copy.
	gatherBytes = 256 << 10
)

func alignUp(n int64) int64 { return (n + pageSize - 1) / pageSize * pageSize }

// gatherWriter writes through the page cache with few calls and few copies.
type gatherWriter struct {
	file *os.File
	at   int64
	out  []byte
}

func (w *gatherWriter) write(data []byte) error {
	if len(data) <= gatherBytes/4 {
		if w.out = append(w.out, data...); len(w.out) < gatherBytes {
			return nil
		}
		return w.flush()
	}
	if err := w.flush(); err != nil {
		return err
	}
	n, err := w.file.WriteAt(data, w.at)
	w.at += int64(n)
	return err
}

func (w *gatherWriter) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	n, err := w.file.WriteAt(w.out, w.at)
	w.at += int64(n)
	w.out = w.out[:0]
	return err
}

// pageWriter writes whole pages past the page cache. The end of the last is zeros.
type pageWriter struct {
	d    *direct
	at   int64
	used int
}

func (w *pageWriter) write(data []byte) error {
	for len(data) > 0 {
		n := copy(w.d.buf[w.used:], data)
		w.used, data = w.used+n, data[n:]
		if w.used == len(w.d.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *pageWriter) finish() error {
	if w.used == 0 {
		return nil
	}
	end := int(alignUp(int64(w.used)))
	clear(w.d.buf[w.used:end])
	w.used = end
	return w.flush()
}

func (w *pageWriter) flush() error {
	n, err := w.d.file.WriteAt(w.d.buf[:w.used], w.at)
	w.at += int64(n)
	w.used = 0
	return err
}
