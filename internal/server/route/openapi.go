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

// Doc documents a plain handler.
type Doc struct {
	Text    string  // a paragraph
	Params  []Param // besides those in the path
	Request string  // media type of the body; empty for none
	Body    any     // a value of the body's type, if it is JSON
	Answers []Content
	Status  int   // of success; 0 for 200
	Errors  []int // statuses besides those of all routes
}

// Param is a parameter that is not in the path.
type Param struct {
	name, in, text string
	kind           string // "string", "integer" or "boolean"
}

// Content is a media type of a response with its type.
type Content struct {
	mediaType string
	value     any // a value of its type, if it is JSON
}

// Query returns a parameter of the query with a description. kind is string, integer or boolean.
func Query(name, text, kind string) Param { return Param{name, "query", text, kind} }

// Header returns a parameter in a header.
func Header(name, text, kind string) Param { return Param{name, "header", text, kind} }

// AttemptText describes the parameter that selects an attempt.
const AttemptText = "This attempt; without it, the last."

// Attempt returns the parameter that selects an attempt.
func Attempt() Param { return Query("attempt", AttemptText, "integer") }

// JSON returns the Content of a JSON response that has the type of value.
func JSON(value any) Content { return Content{"application/json", value} }

// Media returns the Content of a response of a media type; value has its type, or is nil.
func Media(mediaType string, value any) Content { return Content{mediaType, value} }

// collector collects the handlers that are registered with huma, by the key of their row.
type collector map[string]http.HandlerFunc

func (c collector) Handle(op *huma.Operation, handler func(huma.Context)) {
	c[op.Method+" "+op.Path] = func(w http.ResponseWriter, r *http.Request) {
		handler(humago.NewContext(op, r, w))
	}
}

func (c collector) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "", http.StatusNotFound)
}

// Describe returns the typed handlers of a table by the key of their row, and the OpenAPI document of all
// rows.
func Describe(table []Row, version string) (map[string]http.HandlerFunc, []byte, error) {
	useProblems()
	typed := collector{}
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Stint", Version: DocumentVersion(version), Description: apiText,
				License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
				Contact: &huma.Contact{Name: "Stint", URL: "https://stint.dev"},
			},
			Servers: []*huma.Server{{URL: "/", Description: "The server that has this document."}},
			Components: &huma.Components{SecuritySchemes: map[string]*huma.SecurityScheme{
				"token": {Type: "http", Scheme: "bearer", Description: "A token made by stint token create."},
			}},
		},
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
	config.AllowAdditionalPropertiesByDefault = true // later versions may add fields to responses
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
	addRefusals(api.OpenAPI(), table)
	api.OpenAPI().Tags = tagsOf(table)
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

// operation returns the documentation that every route has.
func (rt Row) operation() huma.Operation {
	op := huma.Operation{
		Method: rt.Method, Path: rt.Pattern, Summary: rt.Summary,
		OperationID: operationID(rt), Tags: []string{tagOf(rt)},
		Description:     rt.description(),
		MaxBodyBytes:    httpio.MaxJSONBody,
		BodyReadTimeout: -1, // the server sets the deadlines of all bodies
	}
	op.Security = []map[string][]string{} // none
	if rt.Scope != access.Public {
		op.Security = []map[string][]string{{"token": {}}}
		op.Extensions = map[string]any{"x-scope": string(rt.Scope)}
	}
	return op
}

// operationID returns the name of an operation for generated clients: its method and path.
func operationID(rt Row) string {
	words := []string{strings.ToLower(rt.Method)}
	path := strings.TrimPrefix(strings.TrimPrefix(rt.Pattern, "/api/v1/"), "/")
	for part := range strings.SplitSeq(path, "/") {
		part = strings.NewReplacer("{", "by-", "}", "", ".", "-").Replace(part)
		words = append(words, part)
	}
	return strings.Join(words, "-")
}

// describe adds the documentation of a plain handler to an operation.
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
	status, headers := max(d.Status, http.StatusOK), map[string]*huma.Param(nil)
	if status >= http.StatusMultipleChoices {
		headers = map[string]*huma.Param{"Location": {Description: "Where the browser goes.", Schema: &huma.Schema{Type: "string", Format: "uri-reference"}}}
	}
	if d.Request != "" {
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{d.Request: schemaOf(d.Body)}}
	}
	ok := &huma.Response{Description: http.StatusText(status), Headers: headers, Content: map[string]*huma.MediaType{}}
	for _, c := range d.Answers {
		one := schemaOf(c.value)
		if before := ok.Content[c.mediaType]; before != nil { // NDJSON with several kinds of lines
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

// alternatives returns the schemas of which one applies.
func alternatives(s *huma.Schema) []*huma.Schema {
	if len(s.AnyOf) > 0 {
		return s.AnyOf
	}
	return []*huma.Schema{s}
}

// pathParams returns the names of the parameters in a pattern.
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
	"run":     "A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md. Agents send the whole id.",
	"attempt": "The number of the attempt, from 1.",
	"job":     "The job's name.",
}

func pathKind(name string) string {
	if name == "attempt" {
		return "integer"
	}
	return "string"
}

// apiText is the introduction of the OpenAPI document.
const apiText = `The API of a Stint server. Times are UTC in the format of RFC 3339, sizes are bytes, ` +
	`and the names of durations contain their unit. Errors are RFC 9457 problem details: their type, for programs, begins ` +
	`with urn:stint:, and their detail says what was wrong, with what, and what to do. A request with an unknown query parameter is refused.`
