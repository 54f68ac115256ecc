package job

import (
	"fmt"
	"net/http"
	"time"
)

// Problem is an error answer of the API, as RFC 9457 writes it. Server, client and agent
// share it, so that what the server meant is what the agent decides on.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // what, on what, and what to do
	// Size is set in the answer to an append at the wrong offset: go on from here.
	Size *int64 `json:"size,omitempty"`
	// Line and Column are the place of a mistake in a text that was sent; 0 for none.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// RetryAfter is the header of the same name; 0 when there was none.
	RetryAfter time.Duration `json:"-"`
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return fmt.Sprintf("%s (HTTP %d)", p.Detail, p.Status)
	}
	return fmt.Sprintf("%s (HTTP %d)", p.Title, p.Status)
}

// Temporary reports whether the same request may succeed later. A request that was
// refused for what it is cannot.
func (p *Problem) Temporary() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return p.Status >= 500 && p.Status != http.StatusNotImplemented
}
