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
	// zstdBuffers is what a decoder holds beside its window: the input, one block, its literals.
	zstdBuffers = 512 << 10
	zstdPeek    = 4 << 10
	// leastWindow is the smallest that a decoder accepts.
	leastWindow = zstd.MinWindowSize
)

// decodeZstd is the reader of plain bytes of a body that says that it is zstd. The memory of
// the decoder is taken when the head of the frame has come and says how much that is; no later
// frame may want more.
func (b *body) decodeZstd(paced *httpio.PacedReader) (io.Reader, func(), error) {
	if err := b.take(zstdPeek); err != nil {
		return nil, nil, err
	}
	src := bufio.NewReaderSize(paced, zstdPeek)
	head, err := src.Peek(zstd.HeaderMaxSize)
	if len(head) == 0 || paced.Err != nil { // nothing, or cut off: there are no plain bytes yet
		b.cut = paced.Err
		return nothing{err: paced.Err}, func() {}, nil
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

// zstdWindow is how much a decoder must remember, as the head of a frame says.
func zstdWindow(head []byte) (int64, error) {
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return 0, notZstd(err)
	}
	if h.Skippable {
		return 0, notZstd(errors.New("it begins with a frame to be skipped"))
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if window > MaxAppend {
		return 0, tooLarge()
	}
	return int64(max(window, leastWindow)), nil
}

func notZstd(err error) error {
	return httpio.NewProblem(http.StatusBadRequest, "the body says zstd and is not whole zstd: %s", err)
}

// nothing is a body that ended before its first byte.
type nothing struct{ err error }

func (n nothing) Read([]byte) (int, error) {
	if n.err == nil {
		return 0, io.EOF
	}
	return 0, n.err
}

// zstdBody tells bytes that are not zstd, the client's mistake, from a body cut short.
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
		return n, tooLarge()
	}
	return n, notZstd(err)
}
