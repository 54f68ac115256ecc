package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"stint.dev/stint/client/internal/transport"
	"stint.dev/stint/job"
)

// appendPath is the address of an append, by a writer of the journal (see TakeOver).
func appendPath(run string, attempt int, offset int64, writer int) string {
	path := fmt.Sprintf("/api/v1/runs/%s/attempts/%d/journal?offset=%d", url.PathEscape(run), attempt, offset)
	if writer > 0 {
		path += "&writer=" + strconv.Itoa(writer)
	}
	return path
}

// AppendFrom is Append of size bytes at offset in src, which is their offset in the journal too.
// They are read while they are sent, so that they take no memory. An error of src breaks
// the request off, as *UnreachableError. src may be read for a moment after an error.
func (c *Client) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	return c.appendFrom(ctx, run, attempt, offset, size, src, 0)
}

func (c *Client) appendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt, writer int) (job.AppendReply, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	body := func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(src, offset, size)), nil }
	first, _ := body() // it has no way to fail
	req, err := c.request(ctx, http.MethodPost, appendPath(run, attempt, offset, writer), first)
	if err != nil {
		return job.AppendReply{}, err
	}
	req.ContentLength, req.GetBody = size, body
	return c.append(false, req, run, attempt)
}

// append sends a request with journal bytes and reads its reply.
func (c *Client) append(held bool, req *http.Request, run string, attempt int) (job.AppendReply, error) {
	req.Header.Set(job.HeaderClock, transport.ClockText())
	resp, err := c.ask(held, req, "application/octet-stream")
	if err != nil {
		return job.AppendReply{}, err
	}
	defer drain(resp)
	return c.readAppendReply(resp, run, attempt)
}

// ask sends an agent's request. Its reply is small, and not compressed: what a few bytes
// unpack to must not be held in the job's memory.
func (c *Client) ask(held bool, req *http.Request, contentType string) (*http.Response, error) {
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.servers.Do(req, held)
	if err != nil {
		return nil, c.transportError(err)
	}
	return resp, nil
}
