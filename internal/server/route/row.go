package route

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"stint.dev/stint/internal/access"
)

// Row is a route: its path, access, limits, handler and documentation.
type Row struct {
	Method  string
	Pattern string
	Scope   access.Scope
	Summary string
	// Exactly one of Handle and Typed is set. A typed handler is documented by its types, and a plain
	// handler by Doc.
	Handle http.HandlerFunc
	Typed  *TypedHandler
	Doc    Doc
	// Body is the most bytes of a request's body; 0 for httpio.MaxJSONBody.
	Body int64
	// Stream reports whether the response may take any time. Its handler sets the write deadlines.
	Stream bool
}

// TypedHandler is a handler whose parameters and response have types.
type TypedHandler struct {
	register func(api huma.API, op huma.Operation)
	BodyType reflect.Type // of the JSON body; nil for none
}

// Typed returns a TypedHandler.
func Typed[I, O any](h Handler[I, O]) *TypedHandler {
	t := &TypedHandler{register: func(api huma.API, op huma.Operation) { huma.Register(api, op, h) }}
	if in := reflect.TypeFor[I](); in.Kind() == reflect.Struct {
		if f, ok := in.FieldByName("Body"); ok {
			t.BodyType = f.Type
		}
	}
	return t
}

// Audited reports whether requests for a route are written to the audit log: those by which people, and not
// agents, change something.
func (rt Row) Audited() bool {
	return !Safe(rt.Method) && (rt.Scope == access.Write || rt.Scope == access.Author || rt.Scope == access.Admin)
}

// Safe reports whether requests with a method change nothing.
func Safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// Key returns the pattern of the route for http.ServeMux.
func (rt Row) Key() string { return rt.Method + " " + rt.Pattern }
