package transport

import "net/http"

// Redirects is a transport that returns a redirect without a valid target as the reply, which
// net/http would return as an error.
type Redirects struct{ RoundTripper }

// RoundTripper is a *http.Transport with layers over it.
type RoundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t Redirects) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil && resp.Header.Get("Location") != "" {
		if _, bad := resp.Location(); bad != nil {
			resp.Header.Del("Location")
		}
	}
	return resp, err
}
