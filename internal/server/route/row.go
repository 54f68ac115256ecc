package route

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"stint.dev/stint/internal/access"
)

// Row is one row of the table: all that routing, access, limits and documentation need.
type Row struct {
	Method  string
	Pattern string
	Scope   access.Scope
	Summary string
	// Exactly one of Handle and Typed is set. Typed registers an operation with huma, which
	// documents itself; a plain handler brings its documentation in Doc.
	Handle http.HandlerFunc
	Typed  *TypedHandler
	Doc    Doc
	// Body is the most bytes of a request's body; 0 for a small JSON body's limit.
	Body int64
	// Stream marks answers that may take as long as they like; they set their own
	// write deadlines.
	Stream bool
}

// TypedHandler is a handler whose parameters and answer have types.
type TypedHandler struct {
	register func(api huma.API, op huma.Operation)
	BodyType reflect.Type // of the JSON body; nil for none
}

// Typed makes a typed handler.
func Typed[I, O any](h Handler[I, O]) *TypedHandler {
	t := &TypedHandler{register: func(api huma.API, op huma.Operation) { huma.Register(api, op, h) }}
	if in := reflect.TypeFor[I](); in.Kind() == reflect.Struct {
		if f, ok := in.FieldByName("Body"); ok {
			t.BodyType = f.Type
		}
	}
	return t
}

// Audited reports whether a route is a write by a person: what agents send belongs to
// their runs.
func (rt Row) Audited() bool {
	return !Safe(rt.Method) && (rt.Scope == access.Write || rt.Scope == access.Admin)
}

// Safe reports whether a method changes nothing.
func Safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// Key is the route as ServeMux writes it.
func (rt Row) Key() string { return rt.Method + " " + rt.Pattern }
