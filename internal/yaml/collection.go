package yaml

import (
	"errors"
	"slices"
	"strings"

	"stint.dev/stint/job"
)

// Key is a key of a mapping.
type Key struct {
	Name  string
	place Value
}

// Wrong is a mistake at the place of the key.
func (k Key) Wrong(format string, args ...any) *Mistake { return k.place.Wrong(format, args...) }

// Empty reports whether a value is left out, or written as null.
func (v Value) Empty() bool {
	r := v.r
	switch r.peek() {
	case 0, '\n', ',', '}', ']':
		return true
	}
	if r.atMark("---") || r.atMark("...") {
		return true
	}
	for _, null := range []string{"~", "null", "Null", "NULL"} {
		if rest, ok := strings.CutPrefix(r.text[r.pos:], null); ok && (r.blank(r.pos+len(null)) || v.flow && strings.IndexByte(",}]", rest[0]) >= 0) {
			r.pos += len(null)
			return true
		}
	}
	return false
}

// Each calls f for every key of a mapping; of names it in mistakes. A key may be given once, and
// must be one of known unless that is nil. f reads the value.
func (v Value) Each(of string, known []string, f func(key Key, value Value) error) error {
	if v.Empty() {
		return nil
	}
	m := mapping{r: v.r, of: of, known: known, f: f}
	if known == nil {
		m.names = map[string]bool{}
	} else {
		m.given = make([]bool, len(known))
	}
	switch {
	case v.r.peek() == '{':
	case v.flow, !v.item && v.indent >= 0 && !v.r.ownLine(), v.item && !v.mapping():
		return v.Wrong("%s", m.expected())
	}
	if err := v.r.enter(); err != nil {
		return err
	}
	defer func() { v.r.depth-- }()
	if v.r.peek() == '{' {
		return m.braces()
	}
	return m.block(v)
}

// mapping reports whether a key with a colon begins here.
func (v Value) mapping() bool {
	ahead := *v.r
	v.r = &ahead
	_, err := v.word()
	ahead.skipBlanks()
	return err == nil && ahead.peek() == ':' && ahead.blank(ahead.pos+1)
}

// mapping is a mapping that is being read.
type mapping struct {
	r     *reader
	of    string
	known []string
	given []bool          // of known
	names map[string]bool // that were given, where every key is known
	f     func(key Key, value Value) error
}

func (m *mapping) expected() string {
	if m.known == nil {
		return m.of + " must be a list of keys and values"
	}
	return m.of + " must be a list of keys and values: " + strings.Join(m.known, ", ")
}

// block reads a mapping whose keys begin lines.
func (m *mapping) block(v Value) error {
	indent := m.r.indentHere()
	for more := true; more; {
		if err := m.r.tabbed(); err != nil {
			return err
		}
		err := m.pair(indent, false)
		if err == nil {
			more, err = m.r.next(indent, v.indent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// braces reads a mapping in braces, which may go over several lines.
func (m *mapping) braces() error {
	r := m.r
	r.pos++
	for {
		switch r.skipLines(); r.peek() {
		case '}':
			r.pos++
			return nil
		case 0:
			return r.wrong("this is not YAML: a closing brace is missing")
		}
		if err := m.pair(-1, true); err != nil {
			return err
		}
		r.skipLines()
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
		default:
			return r.wrong("this is not YAML: a comma or a closing brace is expected here")
		}
	}
}

// pair reads a key and has its value read.
func (m *mapping) pair(indent int, flow bool) error {
	r := m.r
	place := r.here()
	place.flow = flow
	if r.peek() == '[' || r.dash() {
		return r.wrong("%s", m.expected())
	}
	name, err := place.word()
	if err != nil {
		return r.wrong("here must be a key: %s", noPlainValue)
	}
	if r.skipBlanks(); r.peek() != ':' || !r.blank(r.pos+1) && !flow {
		wrong := place.Wrong("this is not YAML: %s must be a key with a colon and a blank behind it", job.Quote(name))
		wrong.final = true
		return wrong
	}
	r.pos++
	v := r.value(indent, flow, true)
	key := Key{name, place}
	if err := m.take(key); err != nil {
		return r.proceed(v, err)
	}
	return r.proceed(v, m.f(key, v))
}

// take notes that a key was given, and refuses one that is not known or was given before.
func (m *mapping) take(key Key) error {
	twice := m.names[key.Name]
	if m.known == nil {
		m.names[key.Name] = true
	} else {
		i := slices.Index(m.known, key.Name)
		if i < 0 {
			return key.Wrong("%s is not known in %s: there is %s", job.Quote(key.Name), m.of, strings.Join(m.known, ", "))
		}
		twice, m.given[i] = m.given[i], true
	}
	if twice {
		return key.Wrong("%s is already defined", job.Quote(key.Name))
	}
	return nil
}

// Items calls f for every item of a list, in order; of names it in mistakes. f reads the item.
func (v Value) Items(of string, f func(i int, item Value) error) error {
	if v.Empty() {
		return nil
	}
	r := v.r
	inBrackets := r.peek() == '['
	if !inBrackets && (v.flow || !r.dash() || !v.item && !r.ownLine()) {
		return v.Wrong("%s must be a list, such as [a, b]", of)
	}
	if err := r.enter(); err != nil {
		return err
	}
	defer func() { r.depth-- }()
	if inBrackets {
		return r.brackets(f)
	}
	return v.dashes(f)
}

// brackets reads a list in brackets, which may go over several lines.
func (r *reader) brackets(f func(int, Value) error) error {
	r.pos++
	for i := 0; ; i++ {
		switch r.skipLines(); r.peek() {
		case ']':
			r.pos++
			return nil
		case 0:
			return r.wrong("this is not YAML: a closing bracket is missing")
		case ',', '}':
			return r.wrong("this is not YAML: an item is expected here")
		}
		item := r.value(-1, true, false)
		if err := r.proceed(item, f(i, item)); err != nil {
			return err
		}
		r.skipLines()
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
		default:
			return r.wrong("this is not YAML: a comma or a closing bracket is expected here")
		}
	}
}

// dashes reads a list whose items begin with dashes.
func (v Value) dashes(f func(int, Value) error) error {
	r := v.r
	indent := r.pos - r.begin
	for i := 0; ; i++ {
		if err := r.tabbed(); err != nil {
			return err
		}
		line := r.line
		r.pos++
		item := r.value(indent, false, false)
		item.item = item.line == line
		if err := r.proceed(item, f(i, item)); err != nil {
			return err
		}
		end := *r
		more, err := r.next(indent, v.indent)
		switch {
		case err != nil:
			return err
		case !more:
			return nil
		case !r.dash() && indent == v.indent: // the next key of the mapping around it
			*r = end
			return nil
		case !r.dash():
			return r.wrong("this is not YAML: an item with a dash is expected here")
		}
	}
}

// Any reads a value of any form: a text as string, a mapping as map[string]any, a list as []any,
// and nothing as nil.
func (v Value) Any() (any, error) {
	value, err := v.any()
	if m := (*Mistake)(nil); errors.As(err, &m) {
		m.final = true // what can be read in no form cannot be skipped
	}
	return value, err
}

func (v Value) any() (any, error) {
	r := v.r
	switch {
	case v.Empty():
		return nil, nil //nolint:nilnil // nothing is a value
	case r.peek() == '[', !v.flow && r.dash():
		list := []any{}
		err := v.Items("this", func(_ int, item Value) error {
			one, err := item.Any()
			list = append(list, one)
			return err
		})
		return list, err
	case r.peek() == '{', !v.flow && (v.item || r.ownLine()) && v.mapping():
		all := map[string]any{}
		err := v.Each("this", nil, func(key Key, value Value) error {
			one, err := value.Any()
			all[key.Name] = one
			return err
		})
		return all, err
	}
	return v.Text()
}

// Ahead is the value once more: reading that reads nothing of this one, and what it finds wrong is
// an error.
func (v Value) Ahead() Value {
	ahead := *v.r
	ahead.most, ahead.mistakes = 1, nil
	v.r = &ahead
	return v
}
