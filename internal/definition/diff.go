package definition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stint.dev/stint/job"
)

// Diff says in words what differs between two definitions, one line for each key, in the order of
// the keys of a definition; nothing for the same content.
func Diff(before, after Definition) ([]string, error) {
	a, err := flatten(before)
	if err != nil {
		return nil, err
	}
	b, err := flatten(after)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	var lines []string
	for _, name := range slices.SortedFunc(maps.Keys(names), byKeys) {
		was, had := a[name]
		is, has := b[name]
		switch {
		case !had:
			lines = append(lines, name+": added, "+is.short())
		case !has:
			lines = append(lines, name+": removed, was "+was.short())
		case was.text != is.text:
			lines = append(lines, name+": "+changed(was, is))
		}
	}
	if len(lines) == 0 && !slices.EqualFunc(before.Parameters, after.Parameters, func(a, b Parameter) bool { return a.Name == b.Name }) {
		lines = append(lines, "parameters: the order changed")
	}
	return lines, nil
}

// leaf is a value of a definition.
type leaf struct {
	text  string
	words bool // of a list or a figure, which needs no quotes
}

// short is the value on one line.
func (l leaf) short() string {
	if n := strings.Count(strings.TrimSuffix(l.text, "\n"), "\n"); n > 0 {
		return fmt.Sprintf("%d lines", n+1)
	}
	if l.words {
		return shorten(l.text)
	}
	return job.Quote(l.text)
}

// changed says from what to what a value changed; of texts over several lines how many lines did.
func changed(was, is leaf) string {
	if !strings.Contains(strings.TrimSuffix(was.text, "\n"), "\n") && !strings.Contains(strings.TrimSuffix(is.text, "\n"), "\n") {
		return was.short() + " → " + is.short()
	}
	counts := map[string]int{}
	for _, line := range strings.Split(was.text, "\n") {
		counts[line]--
	}
	for _, line := range strings.Split(is.text, "\n") {
		counts[line]++
	}
	added, removed := 0, 0
	for _, n := range counts {
		added += max(n, 0)
		removed += max(-n, 0)
	}
	if added == 0 && removed == 0 {
		return "the order of its lines changed"
	}
	return fmt.Sprintf("%d lines added, %d removed", added, removed)
}

// flatten returns the values of a definition by the path of their keys.
func flatten(d Definition) (map[string]leaf, error) {
	text, err := d.Canonical()
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree map[string]any
	if err := decoder.Decode(&tree); err != nil {
		return nil, fmt.Errorf("decode the definition of job %s: %w", d.Job, err)
	}
	all := map[string]leaf{}
	for key, value := range tree {
		flattenValue(key, value, all)
	}
	return all, nil
}

func flattenValue(path string, value any, all map[string]leaf) {
	switch v := value.(type) {
	case map[string]any:
		for key, value := range v {
			flattenValue(path+"."+key, value, all)
		}
	case []any:
		if words, ok := wordsOf(v); ok {
			all[path] = leaf{"[" + strings.Join(words, ", ") + "]", true}
			return
		}
		for i, item := range v {
			flattenValue(path+itemName(i, item), item, all)
		}
	case string:
		all[path] = leaf{v, slices.Contains(plainKeys, path[strings.LastIndex(path, ".")+1:])}
	case nil:
		all[path] = leaf{"null", true}
	default:
		all[path] = leaf{fmt.Sprint(v), true}
	}
}

// plainKeys are the keys whose texts read well without quotes.
var plainKeys = strings.Fields("timeout install_timeout memory no_output backoff hold start_within window spread every type priority overlap catch_up")

// wordsOf are the items of a list of texts.
func wordsOf(list []any) (words []string, ok bool) {
	for _, item := range list {
		text, isText := item.(string)
		if !isText {
			return nil, false
		}
		words = append(words, job.Quote(text))
	}
	return words, true
}

// itemName is a parameter by its name, and anything else by its place.
func itemName(i int, item any) string {
	if all, ok := item.(map[string]any); ok {
		if name, ok := all["name"].(string); ok {
			return "." + name
		}
	}
	return fmt.Sprintf(".%d", i+1)
}

// byKeys orders paths by the place of their first key in a definition, then by name.
func byKeys(a, b string) int {
	place := func(path string) int {
		key, _, _ := strings.Cut(path, ".")
		return slices.Index(keyOrder, key)
	}
	if n := place(a) - place(b); n != 0 {
		return n
	}
	return strings.Compare(a, b)
}

// keyOrder is the order of the keys of a definition.
var keyOrder = func() (keys []string) {
	for _, f := range new(decoder).fields() {
		keys = append(keys, f.key)
	}
	return keys
}()
