package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/job"
)

// compressor is made when it is first needed: most agents never are on a link that is
// slower than their disk.
type compressor struct {
	mu  sync.Mutex
	enc *zstd.Encoder
	buf []byte
}

// bytes compresses data, quickly rather than well. The result is valid until the next call.
func (z *compressor) bytes(data []byte) ([]byte, error) {
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

// AppendCompressed is Append over a link that is slower than compressing.
func (c *Client) AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	c.zstd.mu.Lock()
	defer c.zstd.mu.Unlock()
	var reply job.AppendReply
	body, err := c.zstd.bytes(data)
	if err != nil {
		return reply, err
	}
	req, err := c.request(ctx, http.MethodPost, appendPath(run, attempt, offset), bytes.NewReader(body))
	if err != nil {
		return reply, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Content-Encoding", "zstd")
	req.Header.Set("Accept", "application/json")
	resp, err := c.calls.Do(req)
	if err != nil {
		c.zstd.buf = nil // the transport may not be done with it
		return reply, c.transportError(err)
	}
	defer drain(resp)
	if err := c.check(resp); err != nil {
		c.zstd.buf = nil
		return reply, err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&reply); err != nil {
		return reply, fmt.Errorf("the answer of %s to an append: %w", c.base, err)
	}
	return reply, nil
}

// Journal reads the stored bytes of an attempt's journal from an offset on, up to its last
// whole record. An agent's token may read what the same token wrote. The caller closes it.
func (c *Client) Journal(ctx context.Context, run string, attempt int, offset int64) (io.ReadCloser, error) {
	path := fmt.Sprintf("/api/v1/runs/%s/attempts/%d/journal/rest?offset=%d", url.PathEscape(run), attempt, offset)
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.calls.Do(req)
	if err != nil {
		return nil, c.transportError(err)
	}
	if err := c.check(resp); err != nil {
		drain(resp)
		return nil, err
	}
	return resp.Body, nil
}
