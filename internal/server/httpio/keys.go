package httpio

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
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
	fields map[string]field // of a struct; nil if any key is allowed
	elem   reflect.Type     // of an array or map; nil if any type is allowed
	keys   keySet           // in lower case
	inKey  bool             // the next text is a key
}

// keySet is a set of keys: a list while it is short.
type keySet struct {
	few  []string
	many map[string]bool
}

// maxFew is how many keys a keySet compares one by one.
const maxFew = 24

// add adds a key, and reports whether it was there.
func (s *keySet) add(key string) (was bool) {
	switch {
	case s.many != nil:
		was = s.many[key]
		s.many[key] = true
	case slices.Contains(s.few, key):
		return true
	case len(s.few) == maxFew:
		s.many = map[string]bool{key: true}
		for _, k := range s.few {
			s.many[k] = true
		}
	default:
		s.few = append(s.few, key)
	}
	return was
}

// checkKeys returns an error for a JSON body with a duplicate key in one object, because readers differ
// in which of the values they use. If strict, it also returns an error for a key that a struct of type t
// does not have, or has in another case. It ignores what is not JSON, for which the reader of the body
// returns an error. It looks at keys and brackets only, because each heartbeat has a body.
func checkKeys(data []byte, t reflect.Type, strict bool, most int) error {
	if !utf8.Valid(data) {
		return NewProblem(http.StatusBadRequest, "the body is not UTF-8")
	}
	if n := countValues(data); n > most {
		return NewProblem(http.StatusBadRequest, "the body has %d values; the limit is %d", n, most)
	}
	stack := make([]jsonFrame, 0, 4)
	next := t
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"':
			end := textEnd(data, i)
			if end == 0 {
				return nil
			}
			if n := len(stack); n > 0 && stack[n-1].inKey {
				var err error
				if next, err = stack[n-1].enter(data[i:end], strict); err != nil {
					return err
				}
			}
			i = end - 1
		case '{', '[':
			if len(stack) == maxDepth {
				return NewProblem(http.StatusBadRequest, "the body has objects and arrays that are nested deeper than %d", maxDepth)
			}
			stack = append(stack, newFrame(c == '{', next))
			next = stack[len(stack)-1].elem
		case '}', ']':
			if len(stack) == 0 {
				return nil
			}
			stack = stack[:len(stack)-1]
		case ',':
			if n := len(stack); n > 0 {
				stack[n-1].inKey, next = stack[n-1].object, stack[n-1].elem
			}
		}
	}
	return nil
}

// textEnd returns where the text ends that begins at i; 0 if it does not end.
func textEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

func newFrame(object bool, t reflect.Type) jsonFrame {
	f := jsonFrame{object: object, inKey: object}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == nil, t == reflect.TypeFor[time.Time](), reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()):
	case t.Kind() == reflect.Struct && object:
		f.fields = fieldsOf(t)
	case t.Kind() == reflect.Map && object, t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		f.elem = t.Elem()
	}
	return f
}

// enter records a key, which is quoted, and returns the type of its value.
func (f *jsonFrame) enter(quoted []byte, strict bool) (reflect.Type, error) {
	f.inKey = false
	raw := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(raw, '\\') >= 0 {
		var text string
		if json.Unmarshal(quoted, &text) != nil {
			return nil, nil // it is not JSON
		}
		raw = []byte(text)
	}
	known, isKnown := f.fields[string(raw)]
	folded := known.folded
	if !isKnown {
		folded = strings.ToLower(string(raw))
	}
	switch {
	case f.keys.add(folded):
		return nil, NewProblem(http.StatusBadRequest, "the body has the key %s twice", job.Quote(string(raw)))
	case f.fields == nil:
		return f.elem, nil
	case !isKnown && strict:
		return nil, NewProblem(http.StatusBadRequest, "the body has the key %s, which this request does not have", job.Quote(string(raw)))
	}
	return known.of, nil
}

// field is a field of a struct, by the key that encoding/json writes.
type field struct {
	folded string // the key in lower case
	of     reflect.Type
}

// structs has the fields of the structs that bodies are read into, by their types.
var structs sync.Map

// fieldsOf returns the fields of a struct.
func fieldsOf(t reflect.Type) map[string]field {
	if known, ok := structs.Load(t); ok {
		return known.(map[string]field)
	}
	fields := map[string]field{}
	addFields(fields, t)
	structs.Store(t, fields)
	return fields
}

// addFields adds the fields of a struct to fields.
func addFields(fields map[string]field, t reflect.Type) {
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
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		fields[name] = field{strings.ToLower(name), f.Type}
	}
}
