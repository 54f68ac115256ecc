package route

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"sort"
	"strings"
)

//go:embed page.html
var docsTemplate string

// RenderPage returns the HTML page of an OpenAPI document. It uses nothing else, so that the page and the
// document have the same content.
func RenderPage(spec []byte) ([]byte, error) {
	var d apiDocument
	if err := json.Unmarshal(spec, &d); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	t, err := template.New("docs").Funcs(template.FuncMap{"upper": strings.ToUpper}).Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse the page: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, d.view()); err != nil {
		return nil, fmt.Errorf("fill the page: %w", err)
	}
	return out.Bytes(), nil
}

// StylesOf returns the source, for a content security policy, of the style element of a page.
func StylesOf(page []byte) string {
	_, rest, _ := bytes.Cut(page, []byte("<style>"))
	style, _, _ := bytes.Cut(rest, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// apiDocument is the part of an OpenAPI document that the page shows.
type apiDocument struct {
	Info struct {
		Title, Version, Description string
	}
	Paths      map[string]map[string]apiOperation
	Components struct {
		Schemas map[string]apiSchema
	}
}

type apiOperation struct {
	OperationID string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Scope       string `json:"x-scope"`
	Parameters  []struct {
		Name, In, Description string
		Required              bool
		Schema                apiSchema
	}
	RequestBody struct {
		Content map[string]struct{ Schema apiSchema }
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema apiSchema }
	}
}

type apiSchema struct {
	Ref         string `json:"$ref"`
	Type        any    // a name, or a list of names
	Format      string
	Description string
	Properties  map[string]apiSchema
	Required    []string
	Items       *apiSchema
	AnyOf       []apiSchema
	Additional  any `json:"additionalProperties"`
}

// The page has sections of calls, and then the types.
type (
	docsView struct {
		Title, Version, Text string
		Sections             []docsSection
		Types                []docsType
	}
	docsSection struct {
		Name  string
		Calls []docsCall
	}
	docsCall struct {
		ID, Method, Path, Summary, Text, Scope string
		Params                                 []docsField
		Request                                []docsBody
		Answers                                []docsBody
	}
	docsField struct {
		Name, In, Text string
		Required       bool
		Type           docsRef
	}
	docsBody struct {
		Status, Media string
		Type          docsRef
	}
	docsType struct {
		Name   string
		Fields []docsField
	}
	// docsRef is the name of a type, with a link if the page shows its fields.
	docsRef struct{ Before, Name, After, Link string }
)

// view returns the content of the page.
func (d apiDocument) view() docsView {
	v := docsView{Title: d.Info.Title, Version: d.Info.Version, Text: d.Info.Description}
	for _, section := range sections {
		s := docsSection{Name: section.title}
		for path, methods := range d.Paths {
			for method, op := range methods {
				if slices.Contains(op.Tags, section.tag) {
					s.Calls = append(s.Calls, op.call(method, path))
				}
			}
		}
		sort.Slice(s.Calls, func(i, j int) bool {
			a, b := s.Calls[i], s.Calls[j]
			return a.Path < b.Path || a.Path == b.Path && a.Method < b.Method
		})
		v.Sections = append(v.Sections, s)
	}
	for name, schema := range d.Components.Schemas {
		v.Types = append(v.Types, docsType{name, schema.fields()})
	}
	sort.Slice(v.Types, func(i, j int) bool { return v.Types[i].Name < v.Types[j].Name })
	return v
}

func (op apiOperation) call(method, path string) docsCall {
	c := docsCall{
		ID: op.OperationID, Method: strings.ToUpper(method), Path: path,
		Summary: op.Summary, Text: op.Description, Scope: op.Scope,
	}
	for _, p := range op.Parameters {
		c.Params = append(c.Params, docsField{p.Name, p.In, p.Description, p.Required, p.Schema.ref()})
	}
	for media, content := range op.RequestBody.Content {
		c.Request = append(c.Request, docsBody{Media: media, Type: content.Schema.ref()})
	}
	for status, r := range op.Responses {
		if len(r.Content) == 0 {
			c.Answers = append(c.Answers, docsBody{Status: status})
		}
		for media, content := range r.Content {
			c.Answers = append(c.Answers, docsBody{status, media, content.Schema.ref()})
		}
	}
	sort.Slice(c.Answers, func(i, j int) bool {
		a, b := c.Answers[i], c.Answers[j]
		return a.Status < b.Status || a.Status == b.Status && a.Media < b.Media
	})
	return c
}

func (s apiSchema) fields() []docsField {
	var out []docsField
	for name, p := range s.Properties {
		out = append(out, docsField{Name: name, Text: p.Description, Required: slices.Contains(s.Required, name), Type: p.ref()})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// ref returns the name of a schema: its type, or the type to which it refers.
func (s apiSchema) ref() docsRef {
	if s.Ref != "" {
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return docsRef{Name: name, Link: name}
	}
	if len(s.AnyOf) > 0 {
		r := s.AnyOf[0].ref()
		for _, other := range s.AnyOf[1:] {
			r.After += " or " + other.kind()
		}
		return r
	}
	kind := s.kind()
	switch {
	case s.Items != nil:
		r := s.Items.ref()
		r.Before = "list of " + r.Before
		return r
	case strings.HasPrefix(kind, "object"):
		return docsRef{Name: "object"}
	case s.Format != "":
		return docsRef{Name: kind, After: " (" + s.Format + ")"}
	}
	return docsRef{Name: kind}
}

// kind returns the names of the schema's types, separated by "or".
func (s apiSchema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		var names []string
		for _, name := range t {
			names = append(names, fmt.Sprint(name))
		}
		return strings.Join(names, " or ")
	}
	return "any"
}
