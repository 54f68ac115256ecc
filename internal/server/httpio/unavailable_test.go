package httpio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
)

type withState string

func (w withState) Error() string    { return "ERROR: " + string(w) }
func (w withState) SQLState() string { return string(w) }

type withCode int

func (w withCode) Error() string { return fmt.Sprint("sqlite: ", int(w)) }
func (w withCode) Code() int     { return int(w) }

// What passes is 503 with Retry-After, so that agents try again; the rest is our mistake.
func TestErrorsOfTheDatabase(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, http.StatusServiceUnavailable},
		{withState("57P01"), http.StatusServiceUnavailable}, // admin shutdown
		{withState("53100"), http.StatusServiceUnavailable}, // disk full
		{withState("40001"), http.StatusServiceUnavailable},
		{withState("25006"), http.StatusServiceUnavailable},
		{withState("23505"), http.StatusInternalServerError}, // unique violation
		{withState(""), http.StatusInternalServerError},
		{withCode(13), http.StatusServiceUnavailable},          // full
		{withCode(10 | 3<<8), http.StatusServiceUnavailable},   // short write
		{withCode(19 | 8<<8), http.StatusInternalServerError},  // constraint
		{syscall.ENOSPC, http.StatusServiceUnavailable},        // a segment
		{io.ErrUnexpectedEOF, http.StatusInternalServerError},  // a block is cut off
		{errors.New("encode"), http.StatusInternalServerError}, // ours
	} {
		p := AsProblem(fmt.Errorf("store 3 appends: %w", tt.err))
		if p.Status != tt.want || (p.RetryAfter > 0) != (tt.want == http.StatusServiceUnavailable) {
			t.Errorf("%v: %d, again after %s", tt.err, p.Status, p.RetryAfter)
		}
	}
}
