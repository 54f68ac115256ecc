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

// ReadJSON reads a small JSON body into v. what describes it in errors. Keys that v does not have are an
// error if strict, and are ignored otherwise, because agents and clients of the compat API may be newer
// than the server.
func ReadJSON(r *http.Request, what string, strict bool, v any) error {
	return readJSON(r, what, strict, maxValues, v)
}

// ReadManyJSON is ReadJSON for a body of at most so many values.
func ReadManyJSON(r *http.Request, what string, strict bool, most int, v any) error {
	return readJSON(r, what, strict, most, v)
}

func readJSON(r *http.Request, what string, strict bool, most int, v any) error {
	data, err := readSmall(r, what)
	if err == nil {
		err = checkKeys(data, reflect.TypeOf(v), strict, most)
	}
	if err != nil {
		return err
	}
	var mismatch *json.UnmarshalTypeError
	switch err := json.Unmarshal(data, v); {
	case errors.As(err, &mismatch):
		return NewProblem(http.StatusBadRequest, "the body is not %s: %s cannot be a JSON %s", what, mismatch.Field, mismatch.Value)
	case err != nil:
		return NewProblem(http.StatusBadRequest, "the body is not %s as JSON: %s", what, err)
	}
	return nil
}

// readSmall reads a body whose size the server has limited with http.MaxBytesReader.
func readSmall(r *http.Request, what string) ([]byte, error) {
	// One allocation of the right size avoids the copies of a growing buffer.
	memory := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), MaxJSONBody)+bytes.MinRead))
	_, err := memory.ReadFrom(r.Body)
	data := memory.Bytes()
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, NewProblem(http.StatusRequestEntityTooLarge, "%s has at most %d bytes", what, large.Limit)
	case err != nil:
		return nil, NewProblem(http.StatusRequestTimeout, "%s did not arrive completely", what)
	}
	return data, nil
}

// CheckBody checks the keys of the JSON body of a typed handler, whose type is t. The handler can read
// the body afterwards.
func CheckBody(r *http.Request, t reflect.Type) error {
	data, err := readSmall(r, "the body")
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return checkKeys(data, t, true, maxValues)
}

const (
	// ResponseTimeout is how long the server may take to write a response that is not a stream.
	ResponseTimeout = time.Minute
	// MaxJSONBody is the most bytes of a JSON body.
	MaxJSONBody = 64 << 10
)

// ResponseDeadline returns the write deadline of a response that begins now.
func ResponseDeadline() time.Time { return time.Now().Add(ResponseTimeout) }
