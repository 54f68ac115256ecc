package job

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The types of the problems that a server answers. A program decides on the type, because
// a status alone may come from anything between it and the server.
const (
	// ProblemWrongOffset is an append that does not begin where the stored journal ends;
	// Size says where to go on.
	ProblemWrongOffset = problemPrefix + "wrong-offset"
	// ProblemJournalTaken is an append by a process that is not the writer of the journal any more,
	// because another one has taken it over; Writer is the number of that one.
	ProblemJournalTaken = problemPrefix + "journal-taken"
	// ProblemJournalWhole is a request of an attempt whose journal the server has whole, in Size bytes: its token is not valid
	// any more.
	ProblemJournalWhole = problemPrefix + "journal-whole"
	// ProblemRunIDUsed is an append of another journal under the id of a stored run.
	ProblemRunIDUsed = problemPrefix + "run-id-used"
	// ProblemRunSubmitted is an append, by somebody to whom it was not given, to a run that was submitted.
	ProblemRunSubmitted = problemPrefix + "run-submitted"
	// ProblemJournalRefused is an append that the server can never take.
	ProblemJournalRefused = problemPrefix + "journal-refused"
	// ProblemRunDeleted is a call for a run that was deleted: its journal is not needed.
	ProblemRunDeleted = problemPrefix + "run-deleted"

	ProblemInvalid          = problemPrefix + "invalid"
	ProblemUnauthorized     = problemPrefix + "unauthorized"
	ProblemForbidden        = problemPrefix + "forbidden"
	ProblemNotFound         = problemPrefix + "not-found"
	ProblemMethodNotAllowed = problemPrefix + "method-not-allowed"
	ProblemTimeout          = problemPrefix + "request-timeout"
	ProblemConflict         = problemPrefix + "conflict"
	ProblemTooLarge         = problemPrefix + "too-large"
	ProblemUnsupportedType  = problemPrefix + "unsupported-type"
	ProblemRange            = problemPrefix + "range"
	ProblemUnknownHost      = problemPrefix + "unknown-host"
	ProblemTooManyRequests  = problemPrefix + "too-many-requests"
	ProblemInternal         = problemPrefix + "internal"
	ProblemNotImplemented   = problemPrefix + "not-implemented"
	ProblemUnavailable      = problemPrefix + "unavailable"
)

const problemPrefix = "urn:stint:"

// problemTypes are the types of problems that have no type of their own, by status.
var problemTypes = map[int]string{
	http.StatusBadRequest:                   ProblemInvalid,
	http.StatusUnauthorized:                 ProblemUnauthorized,
	http.StatusForbidden:                    ProblemForbidden,
	http.StatusNotFound:                     ProblemNotFound,
	http.StatusMethodNotAllowed:             ProblemMethodNotAllowed,
	http.StatusRequestTimeout:               ProblemTimeout,
	http.StatusConflict:                     ProblemConflict,
	http.StatusRequestEntityTooLarge:        ProblemTooLarge,
	http.StatusUnsupportedMediaType:         ProblemUnsupportedType,
	http.StatusRequestedRangeNotSatisfiable: ProblemRange,
	http.StatusMisdirectedRequest:           ProblemUnknownHost,
	http.StatusUnprocessableEntity:          ProblemInvalid,
	http.StatusTooManyRequests:              ProblemTooManyRequests,
	http.StatusNotImplemented:               ProblemNotImplemented,
	http.StatusServiceUnavailable:           ProblemUnavailable,
}

// ProblemType returns the type of a problem that its status describes well enough.
func ProblemType(status int) string {
	if t := problemTypes[status]; t != "" {
		return t
	}
	if status >= 500 {
		return ProblemInternal
	}
	return ProblemInvalid
}

// Problem is an error answer of the API, as RFC 9457 writes it. Server, client and agent
// share it, so that what the server meant is what the agent decides on.
type Problem struct {
	Type   string `json:"type" example:"urn:stint:wrong-offset"` // one of the Problem constants
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"` // what, on what, and what to do
	// Size is set in the answer to an append at the wrong offset: go on from here.
	Size *int64 `json:"size,omitempty"`
	// Writer is set in the answer to an append of a journal that another process has taken over.
	Writer *int `json:"writer,omitempty"`
	// Line and Column are the place of a mistake in a text that was sent; 0 for none.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Mistakes are all mistakes of texts that were sent, where there may be several.
	Mistakes []TextMistake `json:"mistakes,omitempty"`
	// Parameters are all mistakes in the values of a job's parameters.
	Parameters []ParameterMistake `json:"parameters,omitempty"`
	// Candidates are some of the runs that the request may mean, if it names several.
	Candidates []Candidate `json:"candidates,omitempty"`
	// Server is the id of the installation that answers; empty where the reply does not have it.
	Server string `json:"server,omitempty"`
	// RetryAfter is the header of the same name; 0 when there was none.
	RetryAfter time.Duration `json:"-"`
}

func (p *Problem) Error() string {
	if p.Detail != "" {
		return fmt.Sprintf("%s (HTTP %d)", p.Detail, p.Status)
	}
	return fmt.Sprintf("%s (HTTP %d)", p.Title, p.Status)
}

// FromStint reports whether a Stint server sent the problem, by its type.
func (p *Problem) FromStint() bool { return strings.HasPrefix(p.Type, problemPrefix) }

// Temporary reports whether the same request may succeed later. A request that was
// refused for what it is cannot.
func (p *Problem) Temporary() bool {
	switch p.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return p.Status >= 500 && p.Status != http.StatusNotImplemented
}

// Candidate is one of several runs that a request may mean.
type Candidate struct {
	ID      string    `json:"id"`
	Job     string    `json:"job"`
	Number  int64     `json:"number"`
	State   State     `json:"state"`
	StartAt time.Time `json:"start_at"`
}

// TextMistake is a mistake in a text that was sent.
type TextMistake struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Detail string `json:"detail"`
}

// ParameterMistake is what is wrong with the value of a parameter, or with the name of one that a job does not have.
type ParameterMistake struct {
	Name   string `json:"name"`
	Detail string `json:"detail"`
}
