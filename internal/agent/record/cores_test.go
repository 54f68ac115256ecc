package record

import (
	"slices"
	"testing"
)

func TestCores(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(c *Cores)
		want []int
	}{
		{"a quiet job", func(c *Cores) { c.UseOne() }, []int{1}},
		{"one that prints fast later", func(c *Cores) { c.UseOne(); c.UseTwo(); c.UseTwo(); c.UseOne() }, []int{1, 2}},
		{"one that prints fast at once", func(c *Cores) { c.UseTwo(); c.UseOne() }, []int{2}},
	} {
		var got []int
		c.does(NewCores(func(n int) { got = append(got, n) }))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: cores %v, want %v", c.name, got, c.want)
		}
	}
	(&Cores{}).UseOne() // nobody needs it
	(&Cores{}).UseTwo()
}
