package server_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
)

const (
	hostileBody = 64 << 10 // the largest body of routes that take no journal
	hostileHead = 12 << 10 // of a header or a query, within what the server reads of both
	// hostileMemory is what a request may allocate beyond a plain one: eight times its body.
	hostileMemory = 8 * hostileBody
)

// hostileTexts are texts of a size that are hard on parsers: deep, long, many.
func hostileTexts(size int) map[string]string {
	all := map[string]string{"empty": ""}
	for _, piece := range []string{
		"a", "9", "[", "{", "(", "*", "?", "%", "%25", "\\", "/", "../", ".", ",", ";", ":", "=", "a=b&", "&", "-", "+", " ", "\t", "\"", "'", "#",
		"é", "\xff", "\x00", "\n", "a,", "a, ", "*,", "\"a\", ", "W/\"a\",", "bytes=0-1,", "0-1,", "text/html;q=0.1,", "a=b; ", "1h", "1ns", "9e9", "0x",
		"[a-z]", "[^", "{{", "a:\n", "- ", "- a\n", "a: {", "&a ", "*a ", "1-59/1,", "0 ", "* ", "https://", "@", "a@b.c,", "[::1]", "xn--", "stint_", "==", "<a>",
	} {
		all[piece] = strings.Repeat(piece, size/len(piece))
	}
	return all
}

// hostileJSON are JSON values of a size, of every kind.
func hostileJSON(size int) map[string]string {
	in := func(open, piece, end string) string {
		return open + strings.TrimSuffix(strings.Repeat(piece, (size-len(open)-len(end))/len(piece)), ",") + end
	}
	deep := size / 2
	return map[string]string{
		"deep arrays": strings.Repeat("[", deep) + strings.Repeat("]", deep), "open arrays": strings.Repeat("[", size), "open objects": in("", `{"a":`, ""),
		"deep in bounds": strings.Repeat("[", 30) + in("", "[],", "") + strings.Repeat("]", 30),
		"empty arrays":   in("[", "[],", "]"), "empty objects": in("[", "{},", "]"), "objects": in("[", `{"a":1},`, "]"), "numbers": in("[", "1,", "]"),
		"floats": in("[", "1e5,", "]"), "nulls": in("[", "null,", "]"), "truths": in("[", "true,", "]"), "texts": in("[", `"a",`, "]"), "empty texts": in("[", `"",`, "]"),
		"arrays of arrays": in("[", "[[[[]]]],", "]"), "commas in a text": in(`"`, ",", `"`), "brackets in a text": in(`"`, "[", `"`),
		"a long text": in(`"`, "a", `"`), "escapes": in(`"`, `\u0041`, `"`), "controls": in(`"`, `\u0000`, `"`), "quotes": in(`"`, `\"`, `"`), "surrogates": in(`"`, `\ud800`, `"`),
		"bad UTF-8": in(`"`, "\xff", `"`), "a long number": in("1", "1", ""), "a long fraction": in("0.", "1", ""), "a long exponent": in("1e", "9", ""), "blanks": in("", " ", "1"),
		"keys": manyKeys(size, "1"), "deep keys": manyKeys(size, `{"b":[]}`), "the same key": in("{", `"a":1,`, "}"), "a long key": `{` + in(`"`, "k", `"`) + `:1}`,
		"empty key": in("{", `"":1,`, "}"),
	}
}

func manyKeys(size int, value string) string {
	var b strings.Builder
	for i := 0; b.Len() < size-40; i++ {
		fmt.Fprintf(&b, `,"%x":%s`, i, value)
	}
	return "{" + b.String()[1:] + "}"
}

// fieldPaths are the fields of a JSON type, each as what precedes and follows its value.
func fieldPaths(t reflect.Type, before, behind string, depth int) (paths [][2]string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case depth > 3:
	case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]():
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" || name == "" {
				continue
			}
			open := before + `{"` + name + `":`
			paths = append(paths, [2]string{open, "}" + behind})
			paths = append(paths, fieldPaths(f.Type, open, "}"+behind, depth+1)...)
		}
	case t.Kind() == reflect.Slice:
		paths = append(paths, [2]string{before + "[", "]" + behind})
		paths = append(paths, fieldPaths(t.Elem(), before+"[", "]"+behind, depth+1)...)
	case t.Kind() == reflect.Map:
		paths = append(paths, [2]string{before + `{"k":`, "}" + behind})
	}
	return paths
}

// hostileBodies are bodies for a route. A type of body that is not here fails the test.
func hostileBodies(t *testing.T, rt server.RouteRow) map[string]string {
	bodies := map[string]string{}
	switch rt.Takes {
	case "": // it is read by nobody
		bodies["a body that is not asked for"] = strings.Repeat("[", hostileBody)
	case "application/octet-stream": // a journal; its records have a table of their own
		for name, text := range hostileTexts(hostileBody) {
			bodies[name] = text
			bodies["header and "+name] = "STINTJ\x00\x01" + text
		}
	case "application/yaml":
		for name, text := range hostileTexts(hostileBody - 60) {
			for _, before := range []string{"", "rules: {quiet: {on: ", "rules:\n  stalled:\n    after: ", "actions:\n  lost: {backoff: "} {
				bodies[before+name] = before + text
			}
		}
	case "application/json":
		paths := append([][2]string{{"", ""}}, fieldPaths(rt.Body, "", "", 0)...)
		if len(paths) == 1 {
			t.Errorf("%s %s: no field of %s is known", rt.Method, rt.Pattern, rt.Body)
		}
		for _, p := range paths {
			for name, value := range hostileJSON(hostileBody - len(p[0]) - len(p[1])) {
				bodies[p[0]+name] = p[0] + value + p[1]
			}
			for name, text := range hostileTexts(hostileBody/2 - len(p[0]) - len(p[1])) {
				if value, err := json.Marshal(text); err == nil && len(value) < hostileBody {
					bodies[p[0]+"text of "+name] = p[0] + string(value) + p[1]
				}
			}
		}
	default:
		t.Errorf("%s %s takes %s, of which this test knows no hostile bodies", rt.Method, rt.Pattern, rt.Takes)
	}
	return bodies
}
