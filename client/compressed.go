package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"stint.dev/stint/job"
)

// AppendCompressed is Append over a link that is slower than compressing. Where compressed
// bytes are not taken, by the server or by something before it, this and every later call
// sends them as they are.
func (c *Client) AppendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	return c.appendCompressed(ctx, run, attempt, offset, data, 0)
}

func (c *Client) appendCompressed(ctx context.Context, run string, attempt int, offset int64, data []byte, writer int) (job.AppendReply, error) {
	if c.plainOnly.Load() {
		return c.appendData(ctx, run, attempt, offset, data, writer)
	}
	reply, err := c.appendZstd(ctx, run, attempt, offset, data, writer)
	if refusesType(err) {
		c.plainOnly.Store(true)
		return c.appendData(ctx, run, attempt, offset, data, writer)
	}
	return reply, err
}

// refusesType reports whether an answer is 415, from the server or a proxy.
func refusesType(err error) bool {
	var p *job.Problem
	var foreign *ForeignReplyError
	return errors.As(err, &p) && p.Status == http.StatusUnsupportedMediaType ||
		errors.As(err, &foreign) && foreign.Status == http.StatusUnsupportedMediaType
}

func (c *Client) appendZstd(ctx context.Context, run string, attempt int, offset int64, data []byte, writer int) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	c.zstd.Lock()
	defer c.zstd.Unlock()
	body, err := c.zstd.Bytes(data)
	if err != nil {
		return job.AppendReply{}, err
	}
	req, err := c.request(ctx, http.MethodPost, appendPath(run, attempt, offset, writer), bytes.NewReader(body))
	if err != nil {
		return job.AppendReply{}, err
	}
	req.Header.Set("Content-Encoding", "zstd")
	reply, err := c.append(false, req, run, attempt)
	if err != nil {
		c.zstd.Forget() // the transport may not be done with it
	}
	return reply, err
}

// Journal reads the stored bytes of an attempt's journal from an offset on, up to its last
// whole record. An agent's token may read what the same token wrote. The caller closes it.
func (c *Client) Journal(ctx context.Context, run string, attempt int, offset int64) (io.ReadCloser, error) {
	path := fmt.Sprintf("/api/v1/runs/%s/attempts/%d/journal/rest?offset=%d", url.PathEscape(run), attempt, offset)
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.servers.Do(req, false)
	if err != nil {
		return nil, c.transportError(err)
	}
	err = c.check(resp)
	if err == nil && (resp.StatusCode != http.StatusOK || resp.Header.Get("Stint-Journal-Size") == "") {
		err = c.foreign(resp, nil, "has no Stint-Journal-Size")
	}
	if err != nil {
		drain(resp)
		return nil, err
	}
	c.servers.Answered(resp)
	return resp.Body, nil
}
