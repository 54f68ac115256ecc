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
	// deepestJSON is how many objects and arrays of a body may lie in each other.
	deepestJSON = 32
	// mostValues is how many values a body may have, somewhat more than the ids of the runs
	// that one call cancels: each takes much more memory than its text.
	mostValues = 1100
)

// valuesOf counts the values of a JSON text. Of a text that is no JSON it counts something.
func valuesOf(data []byte) (n int) {
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
	fields map[string]reflect.Type // of a struct; nil when any key will do
	elem   reflect.Type            // of an array or map; nil for anything
	seen   map[string]bool         // keys, in small letters
	inKey  bool                    // a key comes next
}

// checkKeys refuses a JSON body with a duplicate key in one object: readers differ
// in which of them they take. When strict, it refuses also a key that a struct of type t
// does not have, or has in other letters. A body that is no JSON is for its reader to refuse.
func checkKeys(data []byte, t reflect.Type, strict bool) error {
	if !utf8.Valid(data) {
		return NewProblem(http.StatusBadRequest, "the body is not UTF-8")
	}
	if n := valuesOf(data); n > mostValues {
		return NewProblem(http.StatusBadRequest, "the body has %d values; the most is %d", n, mostValues)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var stack []jsonFrame
	next := t
	for {
		token, err := dec.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or what its reader refuses
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
			if len(stack) == deepestJSON {
				return NewProblem(http.StatusBadRequest, "the body has more than %d objects and arrays in each other", deepestJSON)
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

// enter notes a key and returns the type of its value.
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
		return nil, NewProblem(http.StatusBadRequest, "the body has the key %s, which this call does not know", job.Quote(key))
	}
	return t, nil
}

// addFields collects the keys of a struct as encoding/json writes them.
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
