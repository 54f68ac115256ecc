// Package compress compresses what is sent over slow links.
package compress

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Compressor compresses one text at a time: its owner holds the lock. Its memory is taken when it is
// first needed, because most agents never are on a link that is slower than their disk.
type Compressor struct {
	sync.Mutex
	enc *zstd.Encoder
	buf []byte
}

// Bytes compresses data, quickly rather than well. The result is valid until the next call.
func (z *Compressor) Bytes(data []byte) ([]byte, error) {
	if z.enc == nil {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("make zstd writer: %w", err)
		}
		z.enc = enc
	}
	z.buf = z.enc.EncodeAll(data, z.buf[:0])
	return z.buf, nil
}

// Forget gives up the memory of the last result, which somebody may still read.
func (z *Compressor) Forget() { z.buf = nil }
