package client

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestAppendCompressed(t *testing.T) {
	data := bytes.Repeat([]byte("a line that compresses well\n"), 40_000)
	var sent int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent = len(body)
		z, err := zstd.NewReader(nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer z.Close()
		got, err := z.DecodeAll(body, nil)
		if err != nil || !bytes.Equal(got, data) || r.Header.Get("Content-Encoding") != "zstd" || r.URL.Query().Get("offset") != "7" {
			t.Errorf("got %d bytes, error %v, %v %v", len(got), err, r.URL, r.Header)
		}
		writeJSON(w, `{"run":"`+someRun+`","attempt":1,"size":9,"watched":true}`)
	}))
	defer srv.Close()
	c, err := New(Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 { // the second time with what the first has made
		reply, err := c.AppendCompressed(t.Context(), someRun, 1, 7, data)
		if err != nil || reply.Size != 9 || !reply.Watched || sent > len(data)/10 {
			t.Errorf("reply %+v, error %v, %d bytes sent", reply, err, sent)
		}
	}
}
