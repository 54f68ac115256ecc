package route

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

// Doc is what a plain handler says of itself. Typed handlers are described by their
// types.
type Doc struct {
	Text    string  // a paragraph
	Params  []Param // besides those in the path
	Request string  // media type of the body; empty for none
	Body    any     // a value of the body's type, when it is JSON
	Answers []Content
	Status  int   // of success; 0 for 200
	Errors  []int // beyond those every route can answer
}

// Param is a parameter that is not in the path.
type Param struct {
	name, in, text string
	kind           string // "string", "integer" or "boolean"
}

// Content is one form of an answer.
type Content struct {
	mediaType string
	value     any // a value of its type, when it is JSON
}

// Query is a parameter of the query: its name, what it is for, and its kind: string, integer or
// boolean.
func Query(name, text, kind string) Param { return Param{name, "query", text, kind} }

// Header is a parameter in a header.
func Header(name, text, kind string) Param { return Param{name, "header", text, kind} }

// AttemptText describes the parameter that chooses an attempt.
const AttemptText = "This attempt; without it, the last."

// Attempt is the parameter that chooses an attempt.
func Attempt() Param { return Query("attempt", AttemptText, "integer") }

// JSON is an answer in JSON of the type of value.
func JSON(value any) Content { return Content{"application/json", value} }

// Media is an answer of a media type; value is of its type where it has one, else nil.
func Media(mediaType string, value any) Content { return Content{mediaType, value} }

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

// Describe registers the typed handlers, which it returns by the key of their row, and writes the
// OpenAPI document of all rows.
func Describe(table []Row, version string) (map[string]http.HandlerFunc, []byte, error) {
	useProblems()
	typed := collector{}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Stint", Version: version, Description: apiText},
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
	for _, rt := range table {
		op := rt.operation()
		if rt.Typed != nil {
			rt.Typed.register(api, op)
			continue
		}
		rt.Doc.describe(api, &op)
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
func (rt Row) operation() huma.Operation {
	op := huma.Operation{
		Method: rt.Method, Path: rt.Pattern, Summary: rt.Summary,
		OperationID: operationID(rt), Tags: []string{tagOf(rt)},
		Description:     rt.Doc.Text,
		MaxBodyBytes:    httpio.SmallBody,
		BodyReadTimeout: -1, // the table's guard sets the deadlines of every body
	}
	if rt.Scope != access.Public {
		op.Security = []map[string][]string{{"token": {}}}
		op.Extensions = map[string]any{"x-scope": string(rt.Scope)}
	}
	return op
}

// operationID is a name for generated clients: the method and the fixed parts of the path.
func operationID(rt Row) string {
	words := []string{strings.ToLower(rt.Method)}
	path := strings.TrimPrefix(strings.TrimPrefix(rt.Pattern, "/api/v1/"), "/")
	for part := range strings.SplitSeq(path, "/") {
		part = strings.NewReplacer("{", "by-", "}", "", ".", "-").Replace(part)
		words = append(words, part)
	}
	return strings.Join(words, "-")
}

func tagOf(rt Row) string {
	switch {
	case strings.HasPrefix(rt.Pattern, "/compat/"):
		return "compat"
	case strings.Contains(rt.Pattern, "/attempts/"):
		return "agents"
	case strings.HasPrefix(rt.Pattern, "/api/v1/jobs"):
		return "jobs"
	case strings.HasPrefix(rt.Pattern, "/api/v1/"):
		return "runs"
	}
	return "server"
}

// describe puts a plain handler's documentation into an operation.
func (d Doc) describe(api huma.API, op *huma.Operation) {
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
	for _, p := range d.Params {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: p.name, In: p.in, Description: p.text, Schema: &huma.Schema{Type: p.kind},
		})
	}
	if d.Request != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{d.Request: schemaOf(d.Body)}}
	}
	status := max(d.Status, http.StatusOK)
	ok := &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{}}
	for _, c := range d.Answers {
		one := schemaOf(c.value)
		if before := ok.Content[c.mediaType]; before != nil { // another kind of line
			one = &huma.MediaType{Schema: &huma.Schema{AnyOf: append(alternatives(before.Schema), one.Schema)}}
		}
		ok.Content[c.mediaType] = one
	}
	op.Responses = map[string]*huma.Response{strconv.Itoa(status): ok}
	fault := &huma.MediaType{Schema: schemas.Schema(reflect.TypeFor[httpio.Problem](), true, "")}
	for _, code := range d.Errors {
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
