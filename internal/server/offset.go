package server

import (
	"math"
	"net/http"

	"stint.dev/stint/internal/server/httpio"
)

// offsetOf reads ?offset=, the only parameter of the call, which is 0 when it is left out.
func offsetOf(r *http.Request) (int64, error) {
	p := httpio.NewParams(r, "offset")
	return p.Number("offset", 0, math.MaxInt64, 0), p.Err
}
