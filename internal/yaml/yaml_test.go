package yaml

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	reference "go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// readAny reads a text of any form.
func readAny(text string) (value any, mistakes []*Mistake) {
	mistakes = Document(text, "text", 100, func(v Value) (err error) {
		value, err = v.Any()
		return err
	})
	return value, mistakes
}

type (
	m = map[string]any
	l = []any
)

func TestForms(t *testing.T) {
	for text, want := range map[string]any{
		"":                               nil,
		"a: 1\nb: two words # a comment": m{"a": "1", "b": "two words"},
		"a: 1.10\nb: 2026-11-27\nc: yes": m{"a": "1.10", "b": "2026-11-27", "c": "yes"},
		"a:\nb: ~\nc: null\nd: \"\"":     m{"a": nil, "b": nil, "c": nil, "d": ""},
		"[a, [b, c], {d: e}, ]":          l{"a", l{"b", "c"}, m{"d": "e"}},
		"- a\n- b: 1\n  c: 2\n-\n  - d\n- - e\n  - f\n-\n- {}": l{"a", m{"b": "1", "c": "2"}, l{"d"}, l{"e", "f"}, nil, m{}},
		"a:\n- x\n- y\nb:\n  - z\n":                            m{"a": l{"x", "y"}, "b": l{"z"}},
		"- a:\n  - x\n  b: 1\n- c\n":                           l{m{"a": l{"x"}, "b": "1"}, "c"},
		"a: it's\nb: 'it''s'\nc: \"\\\"\\t\\u00e9\\x41\\\\\"":  m{"a": "it's", "b": "it's", "c": "\"\té" + "A\\"},
		"a: {b: 'c, d', \"e\":f, g: h:i}":                      m{"a": m{"b": "c, d", "e": "f", "g": "h:i"}},
		"a: one\n  two\n\n  three\nb: 1":                       m{"a": "one two\nthree", "b": "1"},
		"- one\n  - two\n- 3":                                  l{"one - two", "3"},
		"a: |\n  one\n   two\n\n  three\n\n\nb: 1":             m{"a": "one\n two\n\nthree\n", "b": "1"},
		"a: |-\n  one\nb: |+\n  two\n\nc: |2\n    three\n":     m{"a": "one", "b": "two\n\n", "c": "  three\n"},
		"a: |+2\n\nb: |\nc: |-\n\n  x":                         m{"a": "\n", "b": "", "c": "\nx"},
		"a: >\n  one\n  two\n\n  three\n    four\n  five\n":    m{"a": "one two\nthree\n  four\nfive\n"},
		"a: >-\n\n  one\n\n\n  two\n":                          m{"a": "\none\n\ntwo"},
		"a: | # no text\n  # text\n # no text\nb: 1":           m{"a": "# text\n", "b": "1"},
		"a: |\n  at the end":                                   m{"a": "at the end"},
		"- |\n a\n- >\n b\n":                                   l{"a\n", "b\n"},
		"script: |\r\n  a\r\n  b\r\nc: d\r\n":                  m{"script": "a\nb\n", "c": "d"},
		"a: http://x/y#z\nb: -1\nc: ?x\nd: :x\ne: a#b":         m{"a": "http://x/y#z", "b": "-1", "c": "?x", "d": ":x", "e": "a#b"},
		"--- # begin\na: 1\n...\n":                             m{"a": "1"},
		"plain":                                                "plain",
		"\"a b\": 1\n'c': 2\n? x":                              nil,
	} {
		got, mistakes := readAny(text)
		if strings.Contains(text, "? x") {
			if len(mistakes) != 1 {
				t.Errorf("%q: %v, want one mistake", text, mistakes)
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || len(mistakes) > 0 {
			t.Errorf("%q: %v (-want +got) %s", text, mistakes, diff)
		}
	}
}

func TestMistakesHaveTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"a: &x 1":                       "1:4 anchors, aliases and tags",
		"a: *x":                         "1:4 anchors, aliases and tags",
		"a: !!str 1":                    "1:4 anchors, aliases and tags",
		"<<: {a: 1}\n<<: {}":            "2:1 already defined",
		"a: 1\na: 2\n":                  "2:1 already defined",
		"é: [ü, b":                      "1:9 closing bracket",
		"[a,,b]":                        "1:4 an item is expected",
		"[a b: c]":                      "1:5 a comma or a closing bracket",
		"{a: 1 b: 2}":                   "1:8 a comma or a closing brace",
		"a: [1]]":                       "1:7 the line goes on",
		"a: \"x\" y":                    "1:8 the line goes on",
		"a: 'x":                         "1:4 quotes must close",
		"a: \"x\n  y\"":                 "1:4 quotes must close",
		"a: \"\\d\"":                    "1:5 escape",
		"a: \"\\ud800\"":                "1:5 escape",
		"a: \"\\x4\"":                   "1:5 escape",
		"a: b: c":                       "1:5 the line goes on",
		"a: b\n  c: d\n":                "2:4 put the text in quotes",
		"- a\nb: 1":                     "2:1 dash is expected",
		"a: 1\n- b":                     "2:1 list of keys and values",
		"a: - b":                        "1:4 must be a list",
		"a:\n\t- b":                     "2:1 a tab",
		"a: |\n\tb":                     "2:1 a tab",
		"a: |x\n  b":                    "1:5 may be + or -",
		"a: |\n     \n  b":              "3:3 a blank line above",
		"a: |\n  b\n c":                 "3:2 indented by 1",
		"a:\n    b: 1\n   c: 2":         "3:4 indented by 3",
		"a: 1\x00":                      "1:5 U+0000",
		"a: \u0085":                     "1:4 U+0085",
		"a: 1\rb: 2":                    "1:5 carriage return",
		"\xffa: 1":                      "1:1 UTF-8",
		"a: 1\n---\nb: 2":               "3:1 a second one",
		"a: @x":                         "1:4 one plain value",
		"a: %x":                         "1:4 one plain value",
		"[?x]":                          "1:2 one plain value",
		strings.Repeat("[", 65):         "1:65 nested more than 64 deep",
		strings.Repeat("- ", 65) + "a":  "1:129 nested more than 64 deep",
		strings.Repeat("{a: ", 65):      "1:257 nested more than 64 deep",
		strings.Repeat("[", 1000) + "]": "1:65 nested more than 64 deep",
	} {
		_, mistakes := readAny(text)
		got := ""
		if len(mistakes) > 0 {
			got = fmt.Sprintf("%d:%d %s", mistakes[0].Line, mistakes[0].Column, mistakes[0].Why)
		}
		place, why, _ := strings.Cut(want, " ")
		if len(mistakes) != 1 || !strings.HasPrefix(got, place+" ") || !strings.Contains(got, why) {
			t.Errorf("%q: %v, want %s", text, mistakes, want)
		}
	}
}

// All mistakes of a text are found, each once, and what is between them is read.
func TestEveryMistakeIsFound(t *testing.T) {
	text := "a: 5\nb: [x, y]\nnone: {deep: [1, {2: 3}]}\nc:\n  k: [1\n   , 2]\n  k: again\n- a\n"
	var good []string
	read := func(v Value) error {
		return v.Each("text", []string{"a", "b", "c", "d"}, func(key Key, v Value) error {
			switch key.Name {
			case "a":
				return v.Each("a", []string{"x"}, func(Key, Value) error { return nil })
			case "b":
				return v.Items("b", func(i int, v Value) error {
					text, err := v.Text()
					if err == nil && i == 0 {
						return v.Wrong("%s is refused", text)
					}
					good = append(good, text)
					return err
				})
			}
			return v.Each("c", nil, func(key Key, v Value) error {
				good = append(good, key.Name)
				return nil // what is not read is skipped
			})
		})
	}
	want := []string{"1:4 a must be", "2:5 x is refused", `3:1 "none" is not known`, `7:3 "k" is already defined`, "8:1 text must be"}
	mistakes := Document(text, "text", 100, read)
	if len(mistakes) != len(want) {
		t.Fatalf("%v, want %d", mistakes, len(want))
	}
	for i, m := range mistakes {
		if got := fmt.Sprintf("%d:%d %s", m.Line, m.Column, m.Why); !strings.HasPrefix(got, want[i]) {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
	if diff := cmp.Diff([]string{"y", "k"}, good); diff != "" {
		t.Error("(-want +got)", diff)
	}
	if mistakes := Document(text, "text", 2, read); len(mistakes) != 2 {
		t.Errorf("%v, want the first 2", mistakes)
	}
}

func TestAheadReadsNothing(t *testing.T) {
	var tree, again any
	mistakes := Document("a: {b: [1, 2]}\nc: 3\n", "text", 10, func(v Value) (err error) {
		if tree, err = v.Ahead().Any(); err != nil {
			return err
		}
		again, err = v.Any()
		return err
	})
	if len(mistakes) > 0 || !cmp.Equal(tree, again) || !cmp.Equal(tree, any(m{"a": m{"b": l{"1", "2"}}, "c": "3"})) {
		t.Errorf("%v: %v, then %v", mistakes, tree, again)
	}
}

// referenceTree is what a parser of all of YAML makes of a text, with texts as they were written.
func referenceTree(text string) (any, error) {
	var doc reference.Node
	if err := reference.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	return nodeTree(&doc), nil
}

func nodeTree(n *reference.Node) any {
	switch n.Kind {
	case reference.DocumentNode:
		return nodeTree(n.Content[0])
	case reference.MappingNode:
		all := m{}
		for i := 0; i < len(n.Content); i += 2 {
			all[n.Content[i].Value] = nodeTree(n.Content[i+1])
		}
		return all
	case reference.SequenceNode:
		all := l{}
		for _, item := range n.Content {
			all = append(all, nodeTree(item))
		}
		return all
	}
	if n.Kind == 0 || n.Tag == "!!null" {
		return nil
	}
	return n.Value
}

// What is read is YAML also for a parser of all of it, with the same values.
func FuzzReadsTheSameAsOthers(f *testing.F) {
	for _, text := range []string{
		"a: 1\nb: [x, {y: z}]\nc:\n- d\n- |\n  e\n\n- >-\n  f\n  g\n   h\n", "- - a\n  - b: c\n    d: e\n-\n  f", "a: \"\\u00e9\\n\"\nb: 'c''d'\n",
		"a: b\n  c\n\n  d # e\n", "{\"a\":1,b: c:d, e: }", "--- |\n a\n...\n", "a: |+\n\n  x\n \n\nb: ~", "a:\r\n  - b\r\n", "x: >\n\n a\n  b\n\n c\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, mistakes := readAny(text)
		for _, m := range mistakes {
			if m.Line < 1 || m.Column < 1 {
				t.Fatalf("a place that does not exist: %v", m)
			}
		}
		if len(mistakes) > 0 || len(text) > 4<<10 || strings.Contains("\n"+text, "\n...") {
			return // others differ in whether a document may end that has not begun
		}
		want, err := referenceTree(text)
		if err != nil && strings.Contains(text, "\t") {
			return // tabs between words are blanks here everywhere
		}
		if err != nil {
			t.Fatalf("%q is read as %v, and is not YAML: %v", text, got, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-others +here) %s", text, diff)
		}
	})
}

// trees are values of every form.
func trees() *rapid.Generator[any] {
	texts := rapid.OneOf(
		rapid.SampledFrom([]string{"", "true", "null", "~", "1.10", "- a", "a: b", "# c", "it's", "\"q\"", " lead", "trail ", "a\nb\n", "\n\na", "a\n\n\n", "x\n  y\nz", "|", ">", "{}", "[a]", "&a", "*a", "!a", "@", "%", "a #b", "a:", "-", "?", "---", "...", "é", "\u2028", "\x07", "\t", "\r\n"}),
		rapid.String(),
	)
	return rapid.Custom(func(t *rapid.T) any {
		var build func(depth int) any
		build = func(depth int) any {
			switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
			case kind == 0 && depth > 0:
				return l(anys(rapid.IntRange(0, 3).Draw(t, "items"), func() any { return build(depth - 1) }))
			case kind == 1 && depth > 0:
				all := m{}
				for range rapid.IntRange(0, 3).Draw(t, "keys") {
					all[texts.Draw(t, "key")] = build(depth - 1)
				}
				return all
			case kind == 2:
				return nil
			}
			return texts.Draw(t, "text")
		}
		return build(4)
	})
}

func anys(n int, one func() any) []any {
	all := []any{}
	for range n {
		all = append(all, one())
	}
	return all
}

// What others write is read as it was.
func TestWhatOthersWriteIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := trees().Draw(t, "tree")
		asYAML, err := reference.Marshal(want)
		if err != nil {
			t.Skip(err)
		}
		asJSON, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(asYAML), string(asJSON)} {
			if others, err := referenceTree(text); err != nil || !cmp.Equal(want, others) {
				continue // it does not read that itself: of texts in lists it writes a wrong indentation
			}
			got, mistakes := readAny(text)
			if len(mistakes) == 1 && (strings.Contains(mistakes[0].Why, "aliases and tags") || strings.Contains(mistakes[0].Why, "cannot be read here")) {
				continue // a key such as ?, a tag; JSON has some control characters as they are
			}
			if diff := cmp.Diff(want, got); diff != "" || len(mistakes) > 0 {
				t.Fatalf("%q: %v (-want +got) %s", text, mistakes, diff)
			}
		}
	})
}

// No text costs more memory than a hundred times its size.
func TestMemoryOfHardTexts(t *testing.T) {
	const size = 64 << 10
	for _, piece := range []string{"[", "{", "{a: ", "- ", "? ", "a: ", "[],", "a,", "\n", "#\n", "a:\n", "- a\n", "\"", "'", "x", "|\n", "a: |\n", "\\", "\"\\u0041", "{}", "\r\n", "é"} {
		for _, before := range []string{"", "[", "a: {", "a:\n  ", "a: |\n  ", "a: \"", "a: x\n  "} {
			text := before + strings.Repeat(piece, size/len(piece))
			var a, b runtime.MemStats
			runtime.ReadMemStats(&a)
			_, _ = readAny(text)
			runtime.ReadMemStats(&b)
			if got := b.TotalAlloc - a.TotalAlloc; got > uint64(100*len(text)) {
				t.Errorf("%q and then %q cost %d bytes of memory, %d times their size", before, piece, got, got/uint64(len(text)))
			}
		}
	}
}
