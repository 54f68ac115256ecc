package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"stint.dev/stint/internal/store/durable"
)

// eraseChunk is the size of the writes that overwrite a frame.
const eraseChunk = 1 << 20

// Erase overwrites the frames of some runs in a segment with zeros, durably. It also finds frames that nothing refers to, as
// a transaction leaves them that was rolled back. What it has erased stays erased if it fails.
func (l *Log) Erase(ctx context.Context, id int64, runs map[string]bool) (err error) {
	f, err := os.OpenFile(l.Path(id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return fmt.Errorf("erase runs from segment %d: %w", id, err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("erase runs from segment %d: %w", id, err)
		}
	}()
	found, err := l.framesOf(ctx, f, id, runs)
	for _, at := range found {
		if err == nil {
			err = l.overwrite(f, at)
		}
	}
	if err != nil || len(found) == 0 {
		return err
	}
	return durable.Data(f)
}

// eraseFrame is a frame to overwrite; to is the end of its bytes in the file.
type eraseFrame struct{ at, to int64 }

// framesOf returns the frames of some runs, by their headers.
func (l *Log) framesOf(ctx context.Context, f *os.File, id int64, runs map[string]bool) (found []eraseFrame, err error) {
	size, err := l.writtenSize(f, id)
	if err != nil {
		return nil, err
	}
	var header [FrameSize]byte
	for at := int64(0); at+FrameSize <= size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := f.ReadAt(header[:], at); err != nil {
			return found, endOf(err)
		}
		one, err := parseFrame(header[:])
		if err != nil {
			at = alignUp(at + 1)
			continue
		}
		end := min(at+FrameSize+one.Size, size) // the end may be torn
		if one.Kind != erased && runs[one.Run] {
			found = append(found, eraseFrame{at, end})
		}
		at = end
	}
	return found, nil
}

// writtenSize returns the size of a segment without what a batch is writing.
func (l *Log) writtenSize(f *os.File, id int64) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.id == id {
		return l.end, nil
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// overwrite overwrites the bytes of a frame, and then its header. It locks the log, because a batch may write to the same
// segment past the page cache.
func (l *Log) overwrite(f io.WriterAt, one eraseFrame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	zeros := make([]byte, min(one.to-one.at, eraseChunk))
	for at := one.at + FrameSize; at < one.to; at += eraseChunk {
		if _, err := f.WriteAt(zeros[:min(one.to-at, eraseChunk)], at); err != nil {
			return err
		}
	}
	_, err := f.WriteAt(appendFrame(nil, erased, "", 0, 0, make([]byte, one.to-one.at-FrameSize)), one.at)
	return err
}
