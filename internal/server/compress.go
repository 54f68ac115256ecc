package server

import (
	"bytes"
	"net/http"
	"strconv"
)

// leastCompressed is from how many bytes on an answer is compressed: fewer fit into two packets.
const leastCompressed = 2 << 10

// compressed makes a handler of JSON compress its answers for clients that wantsGzip.
func compressed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !wantsGzip(r) {
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
		z := gzipWriter(&small)
		_, _ = z.Write(body) // a buffer takes everything
		_ = z.Close()
		body = small.Bytes()
		a.Header().Set("Content-Encoding", "gzip")
	}
	a.Header().Set("Content-Length", strconv.Itoa(len(body)))
	a.ResponseWriter.WriteHeader(a.status)
	_, _ = a.ResponseWriter.Write(body)
}
