package blocks

import (
	"container/list"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/internal/store/tables"
)

// MaxFrame limits the size of a decompressed frame: a block that arrived is never larger.
const MaxFrame = 64 << 20

// frameKey identifies a packed block, whose bytes never change.
type frameKey struct {
	key   tables.AttemptKey
	start int64
}

// frameCache caches the decompressed bytes of the packed blocks that were read last, so that paging
// through a log fetches and decompresses each block once.
type frameCache struct {
	limit int64

	mu    sync.Mutex
	used  int64
	order *list.List // of *cachedFrame, the last used first
	byKey map[frameKey]*list.Element
}

type cachedFrame struct {
	key  frameKey
	data []byte
}

func newFrameCache(limit int64) *frameCache {
	return &frameCache{limit: limit, order: list.New(), byKey: map[frameKey]*list.Element{}}
}

func (c *frameCache) get(key frameKey) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedFrame).data
}

func (c *frameCache) put(key frameKey, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil || int64(len(data)) > c.limit/4 {
		return
	}
	c.byKey[key] = c.order.PushFront(&cachedFrame{key, data})
	c.used += int64(len(data))
	for c.used > c.limit {
		last := c.order.Remove(c.order.Back()).(*cachedFrame)
		delete(c.byKey, last.key)
		c.used -= int64(len(last.data))
	}
}

// unpacker returns the decoder of frames, which decodes as many at once as there are cores. Making a
// decoder costs as much as decoding a small frame.
var unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxFrame))
})

// Unpack decompresses a frame whose plain size is known.
func Unpack(data []byte, size int64) ([]byte, error) {
	if size < 0 || size > MaxFrame {
		return nil, fmt.Errorf("a packed block has %d bytes by its head", size)
	}
	z, err := unpacker()
	if err != nil {
		return nil, fmt.Errorf("make a decompressor: %w", err)
	}
	plain, err := z.DecodeAll(data, make([]byte, 0, size))
	if err != nil {
		return nil, &damagedError{"decompress a packed block: " + err.Error()}
	}
	if int64(len(plain)) != size {
		return nil, &damagedError{"a packed block has another size than its head says"}
	}
	return plain, nil
}

// FrameBytes is the size to which blocks are joined when they are packed, and in which appends are split.
const FrameBytes = 1 << 20
