package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
)

// doc is what a plain handler says of itself. Typed handlers are described by their
// types.
type doc struct {
	text    string  // a paragraph
	params  []param // besides those in the path
	request string  // media type of the body; empty for none
	body    any     // a value of the body's type, when it is JSON
	answers []content
	status  int   // of success; 0 for 200
	errors  []int // beyond those every route can answer
}

type param struct {
	name, in, text string
	kind           string // "string", "integer" or "boolean"
}

// content is one form of an answer.
type content struct {
	mediaType string
	value     any // a value of its type, when it is JSON
}

// collector is huma's router: it hands the handlers to the table.
type collector map[string]http.HandlerFunc

func (c collector) Handle(op *huma.Operation, handler func(huma.Context)) {
	c[op.Method+" "+op.Path] = func(w http.ResponseWriter, r *http.Request) {
		handler(humago.NewContext(op, r, w))
	}
}

func (c collector) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "", http.StatusNotFound)
}

// describe registers the typed handlers and writes the OpenAPI document of all routes.
func (s *Server) describe() (map[string]http.HandlerFunc, []byte, error) {
	typed := collector{}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Stint", Version: s.cfg.Version, Description: apiText},
			Components: &huma.Components{SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer", Description: "A token made by stint token create."},
			}},
		},
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
	config.AllowAdditionalPropertiesByDefault = true // answers may grow
	api := huma.NewAPI(config, typed)
	for _, rt := range s.table {
		op := rt.operation()
		if rt.rest != nil {
			rt.rest.register(api, op)
			continue
		}
		rt.doc.describe(api, &op)
		api.OpenAPI().AddOperation(&op)
	}
	allowNull(api.OpenAPI().Components.Schemas)
	spec, err := json.MarshalIndent(api.OpenAPI(), "", "  ")
	if err != nil {
		return nil, nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return typed, append(spec, '\n'), nil
}

// allowNull says of each field that is a pointer to a struct, and is always written, that
// it may be null. Huma leaves that out where the type has a name of its own.
func allowNull(schemas huma.Registry) {
	for name, schema := range schemas.Map() {
		t := schemas.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for i := range t.NumField() {
			field, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			p := schema.Properties[field]
			if p != nil && p.Ref != "" && t.Field(i).Type.Kind() == reflect.Pointer && options == "" {
				schema.Properties[field] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
			}
		}
	}
}

// operation is what every route of the table says of itself.
func (rt route) operation() huma.Operation {
	op := huma.Operation{
		Method: rt.method, Path: rt.pattern, Summary: rt.summary,
		OperationID: operationID(rt), Tags: []string{tagOf(rt)},
		Description:     rt.doc.text,
		MaxBodyBytes:    httpio.SmallBody,
		BodyReadTimeout: -1, // the table's guard sets the deadlines of every body
	}
	if rt.scope != access.Public {
		op.Security = []map[string][]string{{"token": {}}}
		op.Extensions = map[string]any{"x-scope": string(rt.scope)}
	}
	return op
}

// operationID is a name for generated clients: the method and the fixed parts of the path.
func operationID(rt route) string {
	words := []string{strings.ToLower(rt.method)}
	path := strings.TrimPrefix(strings.TrimPrefix(rt.pattern, "/api/v1/"), "/")
	for part := range strings.SplitSeq(path, "/") {
		part = strings.NewReplacer("{", "by-", "}", "", ".", "-").Replace(part)
		words = append(words, part)
	}
	return strings.Join(words, "-")
}

func tagOf(rt route) string {
	switch {
	case strings.HasPrefix(rt.pattern, "/compat/"):
		return "compat"
	case strings.Contains(rt.pattern, "/attempts/"):
		return "agents"
	case strings.HasPrefix(rt.pattern, "/api/v1/jobs"):
		return "jobs"
	case strings.HasPrefix(rt.pattern, "/api/v1/"):
		return "runs"
	}
	return "server"
}

// describe puts a plain handler's documentation into an operation.
func (d doc) describe(api huma.API, op *huma.Operation) {
	schemas := api.OpenAPI().Components.Schemas
	schemaOf := func(v any) *huma.MediaType {
		if v == nil {
			return &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
		}
		return &huma.MediaType{Schema: schemas.Schema(reflect.TypeOf(v), true, "")}
	}
	for _, name := range pathParams(op.Path) {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: name, In: "path", Required: true, Description: pathTexts[name], Schema: &huma.Schema{Type: pathKind(name)},
		})
	}
	for _, p := range d.params {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: p.name, In: p.in, Description: p.text, Schema: &huma.Schema{Type: p.kind},
		})
	}
	if d.request != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{d.request: schemaOf(d.body)}}
	}
	status := max(d.status, http.StatusOK)
	ok := &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{}}
	for _, c := range d.answers {
		one := schemaOf(c.value)
		if before := ok.Content[c.mediaType]; before != nil { // another kind of line
			one = &huma.MediaType{Schema: &huma.Schema{AnyOf: append(alternatives(before.Schema), one.Schema)}}
		}
		ok.Content[c.mediaType] = one
	}
	op.Responses = map[string]*huma.Response{strconv.Itoa(status): ok}
	fault := &huma.MediaType{Schema: schemas.Schema(reflect.TypeFor[httpio.Problem](), true, "")}
	for _, code := range d.errors {
		op.Responses[strconv.Itoa(code)] = &huma.Response{
			Description: http.StatusText(code), Content: map[string]*huma.MediaType{httpio.ProblemType: fault},
		}
	}
	op.Responses["default"] = &huma.Response{
		Description: "Error", Content: map[string]*huma.MediaType{httpio.ProblemType: fault},
	}
}

// alternatives are the schemas of which one holds.
func alternatives(s *huma.Schema) []*huma.Schema {
	if len(s.AnyOf) > 0 {
		return s.AnyOf
	}
	return []*huma.Schema{s}
}

// pathParams lists the {names} in a pattern.
func pathParams(pattern string) []string {
	var out []string
	for part := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			out = append(out, strings.TrimSuffix(name, "}"))
		}
	}
	return out
}

var pathTexts = map[string]string{
	"run":     "A run's id, 4 or more of its first characters, or job#number (write # as %23). Agents give the whole id.",
	"attempt": "The number of the attempt, from 1.",
	"job":     "The job's name.",
}

func pathKind(name string) string {
	if name == "attempt" {
		return "integer"
	}
	return "string"
}

const apiText = `The interface of a Stint server. Times are UTC as RFC 3339 writes them, sizes are bytes, ` +
	`and durations carry their unit in their name. Errors are RFC 9457 problem details: their type, for programs, begins ` +
	`with urn:stint:, and their detail says what was wrong, with what, and what to do. A query parameter that a call does not have is refused.`

// getOpenAPI answers the OpenAPI document.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) {
	s.fixed(w, r, "application/json", s.spec)
}

// getDocs answers the same as a page.
func (s *Server) getDocs(w http.ResponseWriter, r *http.Request) {
	pageHeaders(w, s.pageStyles)
	s.fixed(w, r, "text/html; charset=utf-8", s.page)
}

// fixed answers bytes that never change while the server runs.
func (s *Server) fixed(w http.ResponseWriter, r *http.Request, contentType string, data []byte) {
	if err := httpio.NewParams(r).Err; err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}
