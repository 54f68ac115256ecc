package httpio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample has all kinds of fields that bodies have.
type sample struct {
	Name  string            `json:"name"`
	Count *int              `json:"count,omitempty"`
	At    time.Time         `json:"at"`
	Inner *sample           `json:"inner"`
	List  []sample          `json:"list"`
	Map   map[string]sample `json:"map"`
	Any   any               `json:"any"`
	Plain bool
	Not   int `json:"-"`
	Embedded
}

// Embedded has a field of the struct that embeds it.
type Embedded struct {
	Deep string `json:"deep"`
}

var bodies = map[string]string{
	`{"name":"a","count":1,"at":"2026-01-01T00:00:00Z","deep":"x","Plain":true}`: "",
	`{"name":"a","name":"b"}`:                           `the key "name" twice`,
	`{"name":"a","NAME":"b"}`:                           `the key "NAME" twice`,
	`{"n\u0061me":"a","name":"b"}`:                      `the key "name" twice`,
	`{"inner":{"name":1,"name":2}}`:                     `the key "name" twice`,
	`{"inner":{"inner":{"x":1}}}`:                       `the key "x", which`,
	`{"list":[{"name":"a"},{"name":"a"},{"y":1}]}`:      `the key "y", which`,
	`{"map":{"a":{"name":1},"b":{"z":1}}}`:              `the key "z", which`,
	`{"map":{"a":{},"a":{}}}`:                           `the key "a" twice`,
	`{"any":{"x":{"y":[1,{"z":1}]},"w":"\"}{\\"}}`:      "",
	`{"any":[{"x":1,"x":2}]}`:                           `the key "x" twice`,
	`{"Not":1}`:                                         `the key "Not", which`,
	`{"Name":"a"}`:                                      `the key "Name", which`,
	`{"name":"{\"name\":1,\"name\":2}"}`:                "",
	`["name","name"]`:                                   "",
	`{"at":{"x":1,"x":1}}`:                              `the key "x" twice`,
	strings.Repeat("[", 33) + strings.Repeat("]", 33):   "deeper than 32",
	`{"any":` + wide(30) + `}`:                          "",
	`{"any":` + wide(30) + `,"name":1,"any":2}`:         `the key "any" twice`,
	`{"any":{` + wide(30)[1:29*7] + `,"k29":1,"k3":2}}`: `the key "k3" twice`,
	`{"`: "", `"`: "", `}`: "", `]`: "", `{"a\`: "", `{"\u00":1}`: "", "": "", `{"name":1,,"name":2}`: "",
}

// wide is an object with n keys.
func wide(n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf(`"k%d":%d`, i, i%10))
	}
	return "{" + strings.Join(keys, ",") + "}"
}

func TestCheckKeys(t *testing.T) {
	for body, want := range bodies {
		err := checkKeys([]byte(body), reflect.TypeFor[sample](), true, maxValues)
		if !json.Valid([]byte(body)) {
			continue // it is refused where the body is read
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

// FuzzCheckKeys compares checkKeys with a reading by the decoder of the library.
func FuzzCheckKeys(f *testing.F) {
	for body := range bodies {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, strict bool) {
		err := checkKeys(body, reflect.TypeFor[sample](), strict, maxValues)
		if !utf8.Valid(body) || !json.Valid(body) || countValues(body) > maxValues {
			return
		}
		want := decodedKeys(body, strict)
		switch {
		case errors.Is(want, errDeep) && err != nil && strings.Contains(err.Error(), "nested deeper"):
			return
		case err == nil && want == nil:
			return
		}
		if err == nil || want == nil || err.Error() != want.Error() {
			t.Errorf("%q, strict %t: %v, want %v", body, strict, err, want)
		}
	})
}

var errDeep = errors.New("too deep")

// decodedKeys is checkKeys by the tokens of the library.
func decodedKeys(body []byte, strict bool) error {
	if !json.Valid(body) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value func(typ reflect.Type, depth int) error
	object := func(frame jsonFrame, depth int) error {
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			quoted, err := json.Marshal(key)
			if err != nil {
				return err
			}
			of, err := frame.enter(quoted, strict)
			if err == nil {
				err = value(of, depth)
			}
			if err != nil {
				return err
			}
		}
		_, err := dec.Token()
		return err
	}
	value = func(typ reflect.Type, depth int) error {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		open := token == json.Delim('{')
		if !open && token != json.Delim('[') {
			return nil
		}
		if depth == maxDepth {
			return errDeep
		}
		frame := newFrame(open, typ)
		if open {
			return object(frame, depth+1)
		}
		for dec.More() {
			if err := value(frame.elem, depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	}
	return value(reflect.TypeFor[sample](), 0)
}
