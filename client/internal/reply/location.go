package reply

import (
	"net/http"
	"net/url"
	"strings"
)

// Location returns the server's address to which a redirect leads: its target without the path of the
// call, and without what could contain a secret. base is the address that the call was sent to. It is
// empty for a reply without a target.
func Location(resp *http.Response, base *url.URL) string {
	to, err := resp.Location()
	if err != nil || to.Host == "" {
		return ""
	}
	call := strings.TrimPrefix(resp.Request.URL.EscapedPath(), base.EscapedPath())
	path := strings.TrimSuffix(to.EscapedPath(), call)
	return Line((&url.URL{Scheme: to.Scheme, Host: to.Host}).String()+strings.TrimRight(path, "/"), 200)
}
