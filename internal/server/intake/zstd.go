package intake

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/internal/server/httpio"
)

const (
	// zstdBuffers is the memory of a decoder besides its window: the input, a block and its literals.
	zstdBuffers = 512 << 10
	zstdPeek    = 4 << 10
	// minWindow is the smallest window that a decoder accepts.
	minWindow = zstd.MinWindowSize
)

// decodeZstd returns a reader of the decoded bytes of a zstd body, and a function that must be called
// after reading. The memory for the decoder is taken once the header of the first frame has arrived,
// which has the size of the window; later frames may not have a larger one.
func (b *body) decodeZstd(paced *httpio.PacedReader) (io.Reader, func(), error) {
	if err := b.take(zstdPeek); err != nil {
		return nil, nil, err
	}
	src := bufio.NewReaderSize(paced, zstdPeek)
	head, err := src.Peek(zstd.HeaderMaxSize)
	if len(head) == 0 || paced.Err != nil { // empty, or cut off before the first decoded byte
		b.cut = paced.Err
		return emptyBody{err: paced.Err}, func() {}, nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	window, err := zstdWindow(head)
	if err != nil {
		return nil, nil, err
	}
	if err := b.take(window + zstdBuffers); err != nil {
		return nil, nil, err
	}
	z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxAppend+1), zstd.WithDecoderMaxWindow(uint64(window)))
	if err != nil {
		return nil, nil, fmt.Errorf("make zstd reader: %w", err)
	}
	return &zstdBody{z, paced}, func() { z.Close(); b.place.Shrink(window + zstdBuffers + zstdPeek) }, nil
}

// zstdWindow returns the size of the window in the header of a frame.
func zstdWindow(head []byte) (int64, error) {
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return 0, errNotZstd(err)
	}
	if h.Skippable {
		return 0, errNotZstd(errors.New("it begins with a skippable frame"))
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if window > MaxAppend {
		return 0, errTooLarge()
	}
	return int64(max(window, minWindow)), nil
}

// errNotZstd returns the error for a body that cannot be decoded.
func errNotZstd(err error) error {
	return httpio.NewProblem(http.StatusBadRequest, "the body has Content-Encoding zstd and is not complete zstd: %s", err)
}

// emptyBody is a body that ended before its first byte.
type emptyBody struct{ err error }

func (e emptyBody) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}

// zstdBody reads the decoded bytes. It distinguishes invalid zstd, which is an error of the client, from
// a body that was cut off.
type zstdBody struct {
	z      *zstd.Decoder
	source *httpio.PacedReader
}

func (z *zstdBody) Read(b []byte) (int, error) {
	n, err := z.z.Read(b)
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return n, err
	case z.source.Err != nil:
		return n, z.source.Err
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return n, errTooLarge()
	}
	return n, errNotZstd(err)
}
