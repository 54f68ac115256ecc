package health

import (
	"slices"
	"testing"
	"time"
)

func TestFellSilentTogether(t *testing.T) {
	for _, c := range []struct {
		silent, active int
		want           bool
	}{
		{0, 0, false}, {9, 9, false}, {2, 10, false}, {3, 10, true}, {3, 11, false}, {4, 11, true}, {300, 1000, true}, {299, 1000, false},
	} {
		if got := FellSilentTogether(c.silent, c.active); got != c.want {
			t.Errorf("%d of %d silent: %v", c.silent, c.active, got)
		}
	}
}

func TestHold(t *testing.T) {
	var h hold
	steps := []struct {
		now            float64
		silent, active int
		want           holdChange
		until          float64 // 0: none
	}{
		{0, 1, 20, holdSame, 0},
		{1, 10, 20, holdBegan, 301},
		{2, 20, 20, holdSame, 301},
		{10, 5, 20, holdEnded, 40},   // most are back: the others have 30 s
		{20, 12, 20, holdBegan, 320}, // again
		{319, 12, 20, holdSame, 320},
		{320, 12, 20, holdSame, 0}, // its time is over; it does not begin anew
		{380, 12, 20, holdSame, 0},
		{390, 0, 20, holdEnded, 0},
		{400, 12, 20, holdBegan, 700},
	}
	for _, s := range steps {
		if got := h.update(at(s.now), s.silent, s.active); got != s.want {
			t.Fatalf("at %v: change %v, want %v", s.now, got, s.want)
		}
		want := time.Time{}
		if s.until > 0 {
			want = at(s.until)
		}
		if got := h.heldUntil(at(s.now)); !got.Equal(want) {
			t.Fatalf("at %v: held until %v, want %v", s.now, got, want)
		}
	}
}

func TestHoldsOfOwners(t *testing.T) {
	type counts = map[string]int
	for _, c := range []struct {
		name           string
		silent, active counts
		held           []string // owners
	}{
		{"one owner of all", counts{"": 3}, counts{"": 10}, []string{""}},
		{"one owner, few", counts{"": 2}, counts{"": 10}, nil},
		{"all of one, one of another", counts{"a": 40, "b": 1}, counts{"a": 40, "b": 10}, []string{"a"}},
		{"all of one and of another", counts{"a": 40, "b": 10, "c": 1}, counts{"a": 40, "b": 10, "c": 10}, []string{"a", "b", "c"}},
		{"all of both", counts{"a": 40, "b": 10}, counts{"a": 40, "b": 10}, []string{"a", "b"}},
		{"few of each of many", counts{"a": 4, "b": 4, "c": 4, "d": 4, "e": 4}, counts{"a": 4, "b": 4, "c": 4, "d": 4, "e": 4}, []string{"a", "b", "c", "d", "e"}},
		{"of another only one that is silent too", counts{"a": 3, "b": 1}, counts{"a": 10, "b": 1000}, []string{"a"}},
		{"of another none that is silent", counts{"a": 3}, counts{"a": 10, "b": 1000}, nil},
	} {
		h := holds{}
		h.update(at(0), c.silent, c.active)
		var held []string
		for owner := range c.active {
			if !h.heldUntil(owner, at(0)).IsZero() {
				held = append(held, owner)
			}
		}
		slices.Sort(held)
		if !slices.Equal(held, c.held) {
			t.Errorf("%s: the runs of %q are held, want %q", c.name, held, c.held)
		}
		if h.update(at(1), nil, nil); h.isOn() {
			t.Errorf("%s: a silence that has ended goes on", c.name)
		}
		if h.update(at(100), nil, nil); len(h) > 0 {
			t.Errorf("%s: %d holds are kept that are over", c.name, len(h))
		}
	}
}
