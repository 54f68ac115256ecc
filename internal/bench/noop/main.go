// Noop is the yardstick of the server under load: the least that a Go program does which
// reads a request and answers it with a few bytes of JSON.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	answer := []byte(`{"lease_ms":15000,"next_ms":5000,"owner":true,"watched":false,"commands":[]}`)
	handle := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // an error is the client's
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}
	if err := http.ListenAndServe(os.Args[1], http.HandlerFunc(handle)); err != nil {
		fmt.Fprintln(os.Stderr, "noop:", err)
		os.Exit(1)
	}
}
