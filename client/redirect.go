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

// redirects is a transport that returns a redirect without a valid target as the reply, which
// net/http would return as an error.
type redirects struct{ roundTripper }

// roundTripper is a *http.Transport with layers over it.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

func (t redirects) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.roundTripper.RoundTrip(req)
	if err == nil && resp.Header.Get("Location") != "" {
		if _, bad := resp.Location(); bad != nil {
			resp.Header.Del("Location")
		}
	}
	return resp, err
}
