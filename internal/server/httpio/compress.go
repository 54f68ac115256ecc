package httpio

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// leastCompressed is from how many bytes on an answer is compressed: fewer fit into two packets.
const leastCompressed = 2 << 10

// Compressed makes a handler of JSON compress its answers for clients that WantsGzip.
func Compressed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !WantsGzip(r) {
			h(w, r)
			return
		}
		a := &wholeAnswer{ResponseWriter: w, status: http.StatusOK}
		h(a, r)
		a.send()
	}
}

// wholeAnswer holds an answer back until it is whole.
type wholeAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *wholeAnswer) WriteHeader(status int) { a.status = status }

func (a *wholeAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

// Unwrap lets an http.ResponseController reach the connection.
func (a *wholeAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// send sends the answer, compressed if that is worth it. An error means that the client has gone.
func (a *wholeAnswer) send() {
	body := a.body.Bytes()
	if len(body) >= leastCompressed && a.status == http.StatusOK {
		var small bytes.Buffer
		z := GzipWriter(&small)
		_, _ = z.Write(body) // a buffer takes everything
		_ = z.Close()
		body = small.Bytes()
		a.Header().Set("Content-Encoding", "gzip")
	}
	a.Header().Set("Content-Length", strconv.Itoa(len(body)))
	a.ResponseWriter.WriteHeader(a.status)
	_, _ = a.ResponseWriter.Write(body)
}

// WantsGzip reports whether to compress the answer because the client can read that. On
// the same machine it would only cost time.
func WantsGzip(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsLoopback() {
		return false
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" && strings.ReplaceAll(quality, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// GzipWriter compresses quickly: the link is what it is for.
func GzipWriter(w io.Writer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil { // the level is a constant
		return gzip.NewWriter(w)
	}
	return z
}
