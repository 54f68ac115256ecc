package httpio

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"stint.dev/stint/job"
)

const (
	// maxDepth is how deep the objects and arrays of a body may be nested.
	maxDepth = 32
	// maxValues is how many values a body may have, because each needs much more memory than its text.
	// It is somewhat more than the ids of the runs that one request may cancel.
	maxValues = 1100
)

// countValues returns the number of values of a JSON text. For a text that is not JSON the result has
// no meaning.
func countValues(data []byte) (n int) {
	inText := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case !inText && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n + 1
}

// jsonFrame is an object or array that is being read.
type jsonFrame struct {
	object bool
	fields map[string]reflect.Type // of a struct; nil if any key is allowed
	elem   reflect.Type            // of an array or map; nil if any type is allowed
	seen   map[string]bool         // keys, in lower case
	inKey  bool                    // the next token is a key
}

// checkKeys returns an error for a JSON body with a duplicate key in one object, because readers differ
// in which of the values they use. If strict, it also returns an error for a key that a struct of type t
// does not have, or has in another case. It ignores what is not JSON, for which the reader of the body
// returns an error.
func checkKeys(data []byte, t reflect.Type, strict bool, most int) error {
	if !utf8.Valid(data) {
		return NewProblem(http.StatusBadRequest, "the body is not UTF-8")
	}
	if n := countValues(data); n > most {
		return NewProblem(http.StatusBadRequest, "the body has %d values; the limit is %d", n, most)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var stack []jsonFrame
	next := t
	for {
		token, err := dec.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or invalid JSON
		}
		if len(stack) > 0 && stack[len(stack)-1].inKey {
			if key, ok := token.(string); ok {
				if next, err = stack[len(stack)-1].enter(key, strict); err != nil {
					return err
				}
				continue
			}
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == maxDepth {
				return NewProblem(http.StatusBadRequest, "the body has objects and arrays that are nested deeper than %d", maxDepth)
			}
			stack = append(stack, newFrame(token == json.Delim('{'), next))
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) > 0 {
			top := &stack[len(stack)-1]
			top.inKey, next = top.object, top.elem
		}
	}
}

func newFrame(object bool, t reflect.Type) jsonFrame {
	f := jsonFrame{object: object}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil, t == reflect.TypeFor[time.Time](), reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
	case t.Kind() == reflect.Struct && object:
		f.fields = map[string]reflect.Type{}
		addFields(f.fields, t)
	case t.Kind() == reflect.Map && object, t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		f.elem = t.Elem()
	}
	if object {
		f.seen = map[string]bool{}
	}
	return f
}

// enter records a key and returns the type of its value.
func (f *jsonFrame) enter(key string, strict bool) (reflect.Type, error) {
	f.inKey = false
	if folded := strings.ToLower(key); f.seen[folded] {
		return nil, NewProblem(http.StatusBadRequest, "the body has the key %s twice", job.Quote(key))
	} else {
		f.seen[folded] = true
	}
	if f.fields == nil {
		return f.elem, nil
	}
	t, known := f.fields[key]
	if !known && strict {
		return nil, NewProblem(http.StatusBadRequest, "the body has the key %s, which this request does not have", job.Quote(key))
	}
	return t, nil
}

// addFields adds the keys of a struct, as encoding/json writes them, to fields.
func addFields(fields map[string]reflect.Type, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			addFields(fields, inner)
		case !f.IsExported() || name == "-":
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
}
