package client

import (
	"net/http"
	"strings"
)

// maxRedirects is how many redirects of one call are followed.
const maxRedirects = 3

// FollowRedirect is the http.Client.CheckRedirect of every call. A redirect is followed if it keeps
// method and body (307, 308) and leads to the same host name, because a token and a job's
// output must not go to any address that an answer names. It may lead from http to https and not
// back. Any other is the answer: *ForeignReplyError, which names the target.
func FollowRedirect(req *http.Request, via []*http.Request) error {
	first, last := via[0].URL, via[len(via)-1].URL
	status := req.Response.StatusCode
	switch {
	case status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect,
		len(via) > maxRedirects,
		!strings.EqualFold(req.URL.Hostname(), first.Hostname()),
		req.URL.User != nil,
		req.URL.Scheme != "https" && (req.URL.Scheme != "http" || last.Scheme == "https"):
		return http.ErrUseLastResponse
	}
	return nil
}
