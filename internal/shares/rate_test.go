package shares

import (
	"fmt"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	r := NewRate(3, time.Hour, c.now)
	a, b := Owner{"a", "x"}, Owner{"b", "x"}
	for range 3 {
		if _, full := r.Full(a); full {
			t.Fatal("full too soon")
		}
		r.Count(a)
		c.at = c.at.Add(10 * time.Minute)
	}
	if wait, full := r.Full(Owner{"a", "elsewhere"}); !full || wait != 30*time.Minute {
		t.Errorf("%s, %v", wait, full)
	}
	if _, full := r.Full(b); full {
		t.Error("another token of the address is full, too")
	}
	c.at = c.at.Add(30 * time.Minute)
	if _, full := r.Full(a); full {
		t.Error("full for longer than a period")
	}
	none := NewRate(0, time.Hour, c.now)
	none.Count(a)
	if _, full := none.Full(a); full {
		t.Error("no bound is one")
	}
	for i := range 2 * manyOwners {
		r.Count(Owner{Token: fmt.Sprint(i)})
		c.at = c.at.Add(time.Second)
	}
	if len(r.owners) > manyOwners+1 {
		t.Errorf("%d owners are remembered", len(r.owners))
	}
}
