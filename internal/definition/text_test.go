package definition

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// Texts are matched by hand, because expressions that are compiled when a program starts took each agent
// 0.9 ms. They match what these expressions do.
func TestTextsThatAreMatchedByHand(t *testing.T) {
	word := regexp.MustCompile(`^((today|yesterday)([+-][0-9]{1,6}[dw])?|now([+-][0-9]{1,6}[dwhms])?)$`)
	for name, c := range map[string]struct {
		like    string
		pattern string
		match   func(string) bool
	}{
		"variable":  {`[A-Za-z_0-9é-]{0,4}`, `^[A-Za-z_][A-Za-z0-9_]{0,127}$`, func(s string) bool { return isName(s, letters+"_") }},
		"long":      {`[A-Z]{126,130}`, `^[A-Za-z_][A-Za-z0-9_]{0,127}$`, func(s string) bool { return isName(s, letters+"_") }},
		"parameter": {`[A-Za-z_0-9]{0,4}`, `^[A-Z][A-Z0-9_]{0,127}$`, func(s string) bool { return isName(s, capitals) }},
		"number":    {`-?[0-9.]{0,3}[eE+-]{0,2}[0-9]{0,2}`, `^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`, isDecimal},
		"word":      {`(today|yesterday|now|to)[+-]{0,2}[0-9]{0,7}[dwhmsx]?`, word.String(), func(s string) bool { _, ok := readWord(s); return ok }},
		"plain":     {`[A-Za-z0-9_.%# -]{0,4}`, `^[0-9A-Za-z_.][0-9A-Za-z_.%-]*$`, isPlain},
	} {
		want := regexp.MustCompile(c.pattern)
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := rapid.StringMatching(c.like).Draw(t, "text")
				if got := c.match(text); got != want.MatchString(text) {
					t.Errorf("%q matches: %t", text, got)
				}
			})
		})
	}
}
