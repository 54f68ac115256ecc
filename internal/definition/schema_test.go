package definition

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	reference "go.yaml.in/yaml/v3"

	"stint.dev/stint/internal/policy"
)

// schema reads a JSON Schema.
func schema(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// refusedBy returns what a schema refuses in a value, as far as the schema of definitions uses
// JSON Schema; a keyword that is not known here fails the test.
func refusedBy(t *testing.T, s map[string]any, v any, path string) (wrong []string) {
	t.Helper()
	refuse := func(format string, args ...any) { wrong = append(wrong, path+": "+fmt.Sprintf(format, args...)) }
	object, _ := v.(map[string]any)
	list, _ := v.([]any)
	text, isText := v.(string)
	n, isNumber := number64(v)
	for keyword, rule := range s {
		switch keyword {
		case "$schema", "title", "description", "format":
		case "type":
			types, several := rule.([]any)
			if !several {
				types = []any{rule}
			}
			if !slices.ContainsFunc(types, func(one any) bool { return isOfType(v, one.(string)) }) {
				refuse("is not %v", rule)
			}
		case "properties":
			for key, value := range object {
				if sub, ok := rule.(map[string]any)[key]; ok {
					wrong = append(wrong, refusedBy(t, sub.(map[string]any), value, path+"."+key)...)
				}
			}
		case "additionalProperties":
			known, _ := s["properties"].(map[string]any)
			for key, value := range object {
				if _, ok := known[key]; ok {
					continue
				}
				if sub, ok := rule.(map[string]any); ok {
					wrong = append(wrong, refusedBy(t, sub, value, path+"."+key)...)
				} else {
					refuse("%s is not known", key)
				}
			}
		case "propertyNames":
			for key := range object {
				wrong = append(wrong, refusedBy(t, rule.(map[string]any), key, path+"."+key)...)
			}
		case "required":
			for _, key := range rule.([]any) {
				if _, ok := object[key.(string)]; !ok {
					refuse("%s is missing", key)
				}
			}
		case "oneOf":
			fits := 0
			for _, sub := range rule.([]any) {
				if len(refusedBy(t, sub.(map[string]any), v, path)) == 0 {
					fits++
				}
			}
			if fits != 1 {
				refuse("fits %d of %v", fits, rule)
			}
		case "not":
			if len(refusedBy(t, rule.(map[string]any), v, path)) == 0 {
				refuse("fits %v", rule)
			}
		case "items":
			for i, item := range list {
				wrong = append(wrong, refusedBy(t, rule.(map[string]any), item, fmt.Sprintf("%s.%d", path, i))...)
			}
		case "enum":
			if !slices.Contains(rule.([]any), v) {
				refuse("is none of %v", rule)
			}
		case "pattern":
			if isText && !regexp.MustCompile(rule.(string)).MatchString(text) {
				refuse("does not match %v", rule)
			}
		case "minLength", "maxLength":
			if isText && (keyword == "minLength" && float64(len(text)) < rule.(float64) || keyword == "maxLength" && float64(len(text)) > rule.(float64)) {
				refuse("%s %v", keyword, rule)
			}
		case "minItems", "maxItems", "maxProperties":
			size := float64(len(list) + len(object))
			if keyword == "minItems" && list != nil && size < rule.(float64) || keyword != "minItems" && size > rule.(float64) {
				refuse("%s %v", keyword, rule)
			}
		case "uniqueItems":
			for i, item := range list {
				if slices.Index(list, item) != i {
					refuse("%v is there twice", item)
				}
			}
		case "minimum", "maximum", "exclusiveMinimum":
			limit := rule.(float64)
			if isNumber && (keyword == "minimum" && n < limit || keyword == "maximum" && n > limit || keyword == "exclusiveMinimum" && n <= limit) {
				refuse("%s %v", keyword, rule)
			}
		default:
			t.Fatalf("%s: the test does not know the keyword %s", path, keyword)
		}
	}
	return wrong
}

func number64(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func isOfType(v any, name string) bool {
	n, isNumber := number64(v)
	switch name {
	case "object":
		return reflect.ValueOf(v).Kind() == reflect.Map
	case "array":
		return reflect.ValueOf(v).Kind() == reflect.Slice
	case "string":
		return reflect.ValueOf(v).Kind() == reflect.String
	case "boolean":
		return reflect.ValueOf(v).Kind() == reflect.Bool
	case "integer":
		return isNumber && n == float64(int64(n))
	case "number":
		return isNumber
	}
	return false
}

func asTree(t *testing.T, text string) any {
	t.Helper()
	var tree any
	if err := reference.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// The schema and the reader agree: on what is good, and on mistakes that a schema can say.
func TestSchemaAgreesWithTheReader(t *testing.T) {
	s := schema(t, schemaText)
	good := []string{
		everything, everythingCanonical,
		"job: a\nscript: |\n  x\n  y\n", "job: a\nscript: x\npolicy: {keep: {days: 0.5, runs: 500}}\n",
		"job: a\ncommand: [sleep, 5]\nenv: {X: 1.5, B: true}\nparameters: [{name: A, type: boolean, default: true}]\nretries: {limit: 0}\nlimits: {memory: 1048576, timeout: 1d12h}\n",
	}
	for _, text := range good {
		mustParse(t, text)
		if wrong := refusedBy(t, s, asTree(t, text), "definition"); len(wrong) > 0 {
			t.Errorf("%s\n%s", text, strings.Join(wrong, "\n"))
		}
	}
	const head = "job: a\ncommand: [b]\n"
	for _, text := range []string{
		"{}", "job: a\n", "command: [a]\n", head + "script: x\n", "job: a\ncommand: python\n", "job: a\ncommand: []\n", head + "dir: srv\n", head + "dirr: /srv\n",
		head + "install: pip\n", head + "install_cache: {files: [a]}\n", head + "env: {1A: b}\n", head + "env: {STINT_A: b}\n", head + "env: {A: [b]}\n",
		head + "parameters: [{name: A}]\n", head + "parameters: [{name: a, type: text}]\n", head + "parameters: [{name: A, type: secret}]\n",
		head + "parameters: [{name: A, type: text, must: 1}]\n", head + "limits: {timeout: 5}\n", head + "limits: {timeout: soon}\n", head + "limits: {cpu: 0}\n",
		head + "retries: {backoff: 1m}\n", head + "retries: {limit: 101}\n", head + "retries: {limit: 1, on: [canceled]}\n", head + "retries: {limit: 1, on: [signal, signal]}\n",
		head + "priority: urgent\n", head + "overlap: replace\n", head + "keep: {days: 0}\n", head + "schedules: [{window: 1h}]\n", head + "policy: {ruls: {}}\n", head + "policy: {keep: {day: 4}}\n",
	} {
		if _, mistakes := parse([]byte(text), nil, policy.Check); len(mistakes) == 0 {
			t.Errorf("the reader takes %q", text)
		}
		if len(refusedBy(t, s, asTree(t, text), "definition")) == 0 {
			t.Errorf("the schema takes %q", text)
		}
	}
}

// The schema that people get has every key that the reader acts on, and no other.
func TestSchemaHasEveryKey(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range new(decoder).fields() {
		if later[f.key] == "" {
			want = append(want, f.key)
		}
	}
	slices.Sort(want)
	got := slices.Sorted(maps.Keys(schema(t, text)["properties"].(map[string]any)))
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for key, of := range map[string]any{"limits": Limits{}, "retries": Retries{}, "keep": Keep{}, "install_cache": Cache{}} {
		checkKeys(t, schema(t, schemaText)["properties"].(map[string]any)[key].(map[string]any), of)
	}
	for key, of := range map[string]any{"parameters": Parameter{}, "schedules": Schedule{}} {
		checkKeys(t, schema(t, schemaText)["properties"].(map[string]any)[key].(map[string]any)["items"].(map[string]any), of)
	}
	for _, reason := range RetryReasons {
		if !strings.Contains(string(schemaText), fmt.Sprintf("%q", reason)) {
			t.Errorf("the schema has no %s", reason)
		}
	}
}

func checkKeys(t *testing.T, s map[string]any, of any) {
	t.Helper()
	var want []string
	for i := range reflect.TypeOf(of).NumField() {
		name, _, _ := strings.Cut(reflect.TypeOf(of).Field(i).Tag.Get("json"), ",")
		want = append(want, name)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(s["properties"].(map[string]any))); !slices.Equal(got, want) {
		t.Errorf("%T: %v, want %v", of, got, want)
	}
}
