package command

import (
	"encoding/json"
	"testing"
)

// A list without items is [] in JSON, as that of the API: programs go through it.
func TestReadPagesOfNothing(t *testing.T) {
	for _, all := range []bool{false, true} {
		items, next, err := ReadPages(Page{Limit: 1, All: all}, func(Page) ([]int, string, error) { return nil, "", nil })
		if text, _ := json.Marshal(items); string(text) != "[]" || next != "" || err != nil {
			t.Errorf("%s, %q, %v", text, next, err)
		}
	}
}

func TestReadPages(t *testing.T) {
	ask := func(p Page) ([]int, string, error) {
		if p.Cursor == "" {
			return []int{1, 2}, "c", nil
		}
		return []int{3}, "", nil
	}
	for all, want := range map[bool]string{false: "[1,2] c", true: "[1,2,3] "} {
		items, next, err := ReadPages(Page{Limit: 2, All: all}, ask)
		if text, _ := json.Marshal(items); string(text)+" "+next != want || err != nil {
			t.Errorf("%s, %q, %v, want %s", text, next, err, want)
		}
	}
}
