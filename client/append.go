package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"stint.dev/stint/job"
)

func appendPath(run string, attempt int, offset int64) string {
	return fmt.Sprintf("/api/v1/runs/%s/attempts/%d/journal?offset=%d", url.PathEscape(run), attempt, offset)
}

// AppendFrom is Append of size bytes that stand in src at offset, as they do in the journal.
// They are read while they are sent, so that they take no memory. An error of src breaks
// the request off, as *UnreachableError. src may be read for a moment after an error.
func (c *Client) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	body := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(src, offset, size)), nil }
	first, _ := body() // it has no way to fail
	var reply job.AppendReply
	req, err := c.request(ctx, http.MethodPost, appendPath(run, attempt, offset), first)
	if err != nil {
		return reply, err
	}
	req.ContentLength, req.GetBody = size, body
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Accept", "application/json")
	resp, err := c.calls.Do(req)
	if err != nil {
		return reply, c.transportError(err)
	}
	defer drain(resp)
	if err := c.check(resp); err != nil {
		return reply, err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&reply); err != nil {
		return reply, fmt.Errorf("the answer of %s to an append: %w", c.base, err)
	}
	return reply, nil
}
