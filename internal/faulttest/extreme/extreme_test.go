package extreme

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// Each field, also of inner structs, lists and maps, has each value once, and the others stay.
func TestDocuments(t *testing.T) {
	type inner struct {
		Share float64 `json:"share"`
	}
	type outer struct {
		Count  int               `json:"count"`
		At     time.Time         `json:"at"`
		Inner  *inner            `json:"inner,omitempty"`
		List   []inner           `json:"list"`
		Labels map[string]string `json:"labels"`
		hidden int
	}
	all, err := Documents(outer{Count: 7, hidden: 1})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range all {
		if !slices.Contains(names, d.Field) {
			names = append(names, d.Field)
		}
		if json.Valid([]byte(d.Value)) != json.Valid([]byte(d.Text)) {
			t.Errorf("%s: %s", d, d.Text)
		}
	}
	want := []string{"count", "at", "inner", "inner.share", "list", "list.[]", "list.[].share", "labels", "labels.*"}
	if !slices.Equal(names, want) || len(all) != len(want)*len(values) {
		t.Errorf("%d documents of the fields %q, want %q", len(all), names, want)
	}
	var got struct {
		Count int
		List  []map[string]float64
	}
	i := slices.IndexFunc(all, func(d Document) bool { return d.Field == "list.[].share" && d.Value == "-1" })
	if err := json.Unmarshal([]byte(all[i].Text), &got); err != nil || got.Count != 7 || len(got.List) != 1 || got.List[0]["share"] != -1 {
		t.Errorf("%s: %+v, %v", all[i].Text, got, err)
	}
}
