package definition

import (
	"slices"
	"strings"

	"stint.dev/stint/internal/yaml"
	"stint.dev/stint/job"
)

func (d *decoder) parameters(v yaml.Value) error {
	return v.Items("parameters", func(i int, v yaml.Value) error {
		p := parameterDecoder{given: map[string]bool{}, places: map[string]yaml.Value{}}
		if err := p.read(v); err != nil {
			return err
		}
		if i >= mostParameters {
			return v.Wrong("there are more than %d parameters", mostParameters)
		}
		for _, m := range p.checks(v) {
			if err := v.Note(m); err != nil {
				return err
			}
		}
		place, named := p.places["name"]
		if named && slices.ContainsFunc(d.Parameters, func(other Parameter) bool { return other.Name == p.Name }) {
			return place.Wrong("the parameter %s is there twice", p.Name)
		}
		d.Parameters = append(d.Parameters, p.Parameter)
		if named {
			d.once("parameters", p.Name, place.Wrong)
		}
		return nil
	})
}

// parameterDecoder is a parameter that is being read.
type parameterDecoder struct {
	Parameter
	given  map[string]bool       // keys
	places map[string]yaml.Value // of the values that could be read, by key
}

func (p *parameterDecoder) read(v yaml.Value) error {
	note := func(key string, read func(yaml.Value) error) field {
		return field{key, func(v yaml.Value) error {
			p.given[key] = true
			err := read(v)
			if err == nil {
				p.places[key] = v
			}
			return err
		}}
	}
	return readFields(v, "a parameter", []field{
		note("name", text(&p.Name, nil)),
		note("type", oneOf(&p.Type, parameterTypes...)),
		note("default", func(v yaml.Value) error {
			p.Default = new(string)
			return textOrEmpty(p.Default, atMost(MaxValueBytes))(v)
		}),
		note("choices", p.readChoices),
		note("min", text(&p.Min, nil)),
		note("max", text(&p.Max, nil)),
		note("pattern", text(&p.Pattern, atMost(1000))),
		note("help", text(&p.Help, atMost(1000))),
	})
}

func (p *parameterDecoder) readChoices(v yaml.Value) error {
	return v.Items("choices", func(i int, v yaml.Value) error {
		choice := ""
		if err := textOrEmpty(&choice, atMost(1000))(v); err != nil {
			return err
		}
		if i >= mostChoices {
			return v.Wrong("there are more than %d choices", mostChoices)
		}
		if slices.Contains(p.Choices, choice) {
			return v.Wrong("the choice %s is there twice", job.Quote(choice))
		}
		p.Choices = append(p.Choices, choice)
		return nil
	})
}

// checks are what the keys of a parameter say together.
func (p *parameterDecoder) checks(of yaml.Value) (wrong []*Mistake) {
	has := func(key string) bool { _, ok := p.places[key]; return ok }
	refuse := func(key, format string, args ...any) {
		place, ok := p.places[key]
		if !ok {
			place = of
		}
		wrong = append(wrong, place.Wrong(format, args...))
	}
	if !p.given["name"] || !p.given["type"] {
		refuse("", "a parameter needs a name and a type: {name: DAY, type: date}; the types are %s", strings.Join(parameterTypes, ", "))
	}
	if !has("name") || !has("type") {
		return wrong
	}
	if why := checkParameterName(p.Name); why != "" {
		refuse("name", "%s", why)
	}
	if has("choices") != (p.Type == Choice) || p.Type == Choice && len(p.Choices) == 0 {
		refuse("choices", "choices belong to the type choice, which has at least one")
	}
	if p.Type != Text && has("pattern") {
		refuse("pattern", "a pattern is for the type text")
	}
	if p.Type != Number && p.Type != Integer && p.Type != Date {
		for _, key := range []string{"min", "max"} {
			if has(key) {
				refuse(key, "%s is for the types number, integer and date", key)
			}
		}
	}
	if _, err := compilePattern(p.Pattern); err != nil {
		refuse("pattern", "this is not a regular expression: %s", err)
	}
	if len(wrong) > 0 {
		return wrong
	}
	return append(wrong, p.checkValues()...)
}

// checkValues are the mistakes of the bounds and the default, which must fit each other.
func (p *parameterDecoder) checkValues() (wrong []*Mistake) {
	free := Parameter{Type: p.Type}
	for key, bound := range map[string]string{"min": p.Min, "max": p.Max} {
		if place, ok := p.places[key]; ok {
			if why := free.Check(bound); why != "" {
				wrong = append(wrong, place.Wrong("%s", why))
			}
		}
	}
	place, hasMax := p.places["max"]
	if len(wrong) == 0 && hasMax && p.Min != "" && p.Check(p.Max) != "" {
		wrong = append(wrong, place.Wrong("max (%s) is less than min (%s)", p.Max, p.Min))
	}
	if place, ok := p.places["default"]; ok && len(wrong) == 0 {
		if _, isWord := readWord(*p.Default); isWord && p.Type == Date {
			return wrong // it is checked when it is resolved
		}
		if why := p.Check(*p.Default); why != "" {
			wrong = append(wrong, place.Wrong("the default %s", why))
		}
	}
	return wrong
}
