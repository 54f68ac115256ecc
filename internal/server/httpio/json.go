package httpio

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"time"
)

// ReadJSON reads a small JSON body into v. what names it in the error. Keys that v does not
// have are refused when strict, else ignored: agents, and clients of the compat wire, may be
// newer than the server.
func ReadJSON(r *http.Request, what string, strict bool, v any) error {
	data, err := readSmall(r, what)
	if err == nil {
		err = checkKeys(data, reflect.TypeOf(v), strict)
	}
	if err != nil {
		return err
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(data, v); {
	case errors.As(err, &wrong):
		return NewProblem(http.StatusBadRequest, "the body is not %s: %s cannot be a JSON %s", what, wrong.Field, wrong.Value)
	case err != nil:
		return NewProblem(http.StatusBadRequest, "the body is not %s as JSON: %s", what, err)
	}
	return nil
}

// readSmall reads a body that the guard has bounded.
func readSmall(r *http.Request, what string) ([]byte, error) {
	// Memory is taken once, not in steps that each copy what came before.
	memory := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), SmallBody)+bytes.MinRead))
	_, err := memory.ReadFrom(r.Body)
	data := memory.Bytes()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, NewProblem(http.StatusRequestEntityTooLarge, "%s has at most %d bytes", what, large.Limit)
	case err != nil:
		return nil, NewProblem(http.StatusRequestTimeout, "the body of %s did not arrive", what)
	}
	return data, nil
}

// CheckBody checks the keys of the JSON body of a typed handler, which reads it again.
func CheckBody(r *http.Request, t reflect.Type) error {
	data, err := readSmall(r, "the body")
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return checkKeys(data, t, true)
}

// Limits of an answer that is no stream, and of a JSON body.
const (
	AnswerTime = time.Minute // to write the answer
	SmallBody  = 64 << 10
)

// AnswerBy is the write deadline of an answer that begins now.
func AnswerBy() time.Time { return time.Now().Add(AnswerTime) }
