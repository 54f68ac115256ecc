package client

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"stint.dev/stint/client/internal/reply"
)

// ForeignReplyError is the error of an answer that is not one of a Stint
// server: a proxy, a login page, another service, or an address that redirects elsewhere.
// It says nothing about the request, which may succeed later or at another address.
type ForeignReplyError struct {
	URL    string // the server's address as given
	Status int
	// Location is where a redirect that was not followed leads, as the address of a server:
	// without the path of the call. Empty if the answer was no redirect.
	Location string
	Why      string // what is wrong with an answer of status 200
	// Excerpt is the beginning of the body as one line of printable text; it may be empty.
	Excerpt string
	// RetryAfter is the header of the same name, at most a minute; 0 when there was none.
	RetryAfter time.Duration
}

func (e *ForeignReplyError) Error() string {
	status := strings.TrimSpace(fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	excerpt := ""
	if e.Excerpt != "" {
		excerpt = fmt.Sprintf(" (%q)", e.Excerpt)
	}
	switch {
	case e.Location != "":
		return fmt.Sprintf("%s answers with a redirect to %s (%s): if the server is there, use that address", e.URL, e.Location, status)
	case e.Status >= 500:
		return fmt.Sprintf("%s answered %s%s", e.URL, status, excerpt)
	case e.Why != "":
		return fmt.Sprintf("%s answered %s, but the reply %s, so that it is not one of a Stint server%s: check the address, and what is between it and this host",
			e.URL, status, e.Why, excerpt)
	}
	return fmt.Sprintf("%s answered %s, not in the way of a Stint server%s: check the address, whether it begins with http:// or https://, and what is between it and this host",
		e.URL, status, excerpt)
}

// foreign describes an answer that is not one of a Stint server.
func (c *Client) foreign(resp *http.Response, body []byte, why string) *ForeignReplyError {
	c.servers.NotOfServer(resp)
	base := c.servers.BaseOf(resp)
	e := &ForeignReplyError{
		URL: base.String(), Status: resp.StatusCode, Why: why, Excerpt: reply.Excerpt(body),
		RetryAfter: reply.RetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		e.Location = reply.Location(resp, base)
	}
	return e
}
