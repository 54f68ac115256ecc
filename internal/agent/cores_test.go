package agent

import (
	"slices"
	"testing"
)

func TestCores(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(c *cores)
		want []int
	}{
		{"a quiet job", func(c *cores) { c.calm() }, []int{1}},
		{"one that prints fast later", func(c *cores) { c.calm(); c.hurry(); c.hurry(); c.calm() }, []int{1, 2}},
		{"one that prints fast at once", func(c *cores) { c.hurry(); c.calm() }, []int{2}},
	} {
		var got []int
		c.does(&cores{use: func(n int) { got = append(got, n) }})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: cores %v, want %v", c.name, got, c.want)
		}
	}
	(&cores{}).calm() // nobody cares
	(&cores{}).hurry()
}
