// Package extreme makes JSON documents in which one field after the other has a value that
// nobody expects there: huge, negative, empty, of another type.
package extreme

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// values are what each field has in turn, as JSON. Some of them are no JSON.
var values = []string{
	`1e306`, `-1e306`, `1.7976931348623157e308`, `5e-324`, `9223372036854775807`, `-9223372036854775808`, `18446744073709551616`,
	`-1`, `0`, `null`, `""`, `"NaN"`, `NaN`, `Infinity`, `1e999`, `true`, `{}`, `[]`, `"\u0000\u202e\u001b[2J"`,
	`"0000-01-01T00:00:00Z"`, `"9999-12-31T23:59:59-23:59"`, `"10000-01-01T00:00:00Z"`, `"-0001-01-01T00:00:00Z"`,
}

// Document is a document with one field of which nobody expects the value.
type Document struct {
	Field, Value string
	Text         string // all of it
}

func (d Document) String() string { return d.Field + " " + d.Value }

// Documents returns a document for each field of a struct, those of inner structs among them,
// and each value. The other fields are as in valid.
func Documents(valid any) ([]Document, error) {
	text, err := json.Marshal(valid)
	if err != nil {
		return nil, err
	}
	var all []Document
	for _, path := range fields(reflect.TypeOf(valid)) {
		for _, value := range values {
			var doc any
			if err := json.Unmarshal(text, &doc); err != nil {
				return nil, err
			}
			all = append(all, Document{strings.Join(path, "."), value, render(set(doc, path, value))})
		}
	}
	return all, nil
}

// fields are the paths to the fields of a type in JSON; [] is the element of a list, and * that
// of a map.
func fields(of reflect.Type) (paths [][]string) {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return nil
	case of.Kind() == reflect.Pointer:
		return fields(of.Elem())
	case of.Kind() == reflect.Slice || of.Kind() == reflect.Map:
		step := map[reflect.Kind]string{reflect.Slice: "[]", reflect.Map: "*"}[of.Kind()]
		paths = append(paths, []string{step})
		for _, inner := range fields(of.Elem()) {
			paths = append(paths, append([]string{step}, inner...))
		}
	case of.Kind() == reflect.Struct:
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			paths = append(paths, []string{name})
			for _, inner := range fields(of.Field(i).Type) {
				paths = append(paths, append([]string{name}, inner...))
			}
		}
	}
	return paths
}

// raw is a value that is written as it is.
type raw string

// set puts a value into a document, which is returned, and makes what lies on the way.
func set(doc any, path []string, value string) any {
	if len(path) == 0 {
		return raw(value)
	}
	if path[0] == "[]" {
		list, _ := doc.([]any)
		if len(list) == 0 {
			list = []any{nil}
		}
		list[0] = set(list[0], path[1:], value)
		return list
	}
	object, ok := doc.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	object[path[0]] = set(object[path[0]], path[1:], value)
	return object
}

func render(doc any) string {
	switch doc := doc.(type) {
	case raw:
		return string(doc)
	case []any:
		parts := make([]string, len(doc))
		for i, one := range doc {
			parts[i] = render(one)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		var parts []string
		for name, one := range doc {
			parts = append(parts, fmt.Sprintf("%q:%s", name, render(one)))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	text, _ := json.Marshal(doc) // what was read from JSON can be written
	return string(text)
}
