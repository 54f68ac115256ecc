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

// minCompressed is the size, in bytes, from which a response is compressed. A smaller one fits into two
// packets.
const minCompressed = 2 << 10

// Compressed returns a handler that compresses the responses of h for requests that WantsGzip.
func Compressed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !WantsGzip(r) {
			h(w, r)
			return
		}
		b := &bufferedWriter{ResponseWriter: w, status: http.StatusOK}
		h(b, r)
		b.send()
	}
}

// bufferedWriter buffers a response until send is called.
type bufferedWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (b *bufferedWriter) WriteHeader(status int) { b.status = status }

func (b *bufferedWriter) Write(p []byte) (int, error) { return b.body.Write(p) }

// Unwrap returns the wrapped writer for http.ResponseController.
func (b *bufferedWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// send sends the response, compressed if it is large enough. Errors are ignored: the client has gone.
func (b *bufferedWriter) send() {
	body := b.body.Bytes()
	if len(body) >= minCompressed && b.status == http.StatusOK {
		var compressed bytes.Buffer
		z := GzipWriter(&compressed)
		_, _ = z.Write(body) // a bytes.Buffer returns no error
		_ = z.Close()
		body = compressed.Bytes()
		b.Header().Set("Content-Encoding", "gzip")
	}
	b.Header().Set("Content-Length", strconv.Itoa(len(body)))
	b.ResponseWriter.WriteHeader(b.status)
	_, _ = b.ResponseWriter.Write(body)
}

// WantsGzip reports whether the response to a request should be compressed: the client accepts gzip, and
// is not on the same machine, where compression would only take time.
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

// GzipWriter returns a writer that compresses with the fastest level.
func GzipWriter(w io.Writer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil { // the level is a constant
		return gzip.NewWriter(w)
	}
	return z
}
