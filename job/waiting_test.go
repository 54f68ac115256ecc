package job

import "testing"

// The same job and key are the same run, on every version of the program.
func TestRunIDForKey(t *testing.T) {
	id := RunIDForKey("report", "order-7")
	if err := CheckRunID(id); err != nil || id != RunIDForKey("report", "order-7") {
		t.Errorf("%s: %v", id, err)
	}
	if id[14] != '5' || id[19] != '8' && id[19] != '9' && id[19] != 'a' && id[19] != 'b' {
		t.Errorf("%s is not a UUID of version 5", id)
	}
	if want := "0d223d91-222c-5fe2-bc78-674d65d9ee4e"; id != want {
		t.Errorf("the id is %s, and was %s in earlier versions", id, want)
	}
	seen := map[string]string{id: "report order-7"}
	for _, other := range [][2]string{{"report", "order-8"}, {"repor", "torder-7"}, {"report2", "order-7"}, {"report", ""}} {
		got := RunIDForKey(other[0], other[1])
		if before, taken := seen[got]; taken {
			t.Errorf("%v has the id of %s", other, before)
		}
		seen[got] = other[0] + " " + other[1]
	}
}
