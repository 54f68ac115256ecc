package httpio

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Printable returns text on one line, with spaces in place of characters that are not printable.
func Printable(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return strings.TrimSpace(text)
}

// RemoteHost returns the address of the client without its port.
func RemoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
