package servercmd

import (
	"strings"
	"testing"

	"stint.dev/stint/client"
)

func TestNamedToken(t *testing.T) {
	tokens := []client.Token{{ID: "1", Name: "ci"}, {ID: "2", Name: "two"}, {ID: "3", Name: "two"}}
	for which, want := range map[string]string{"1": "1", "ci": "1", "2": "2"} {
		if got, err := namedToken(tokens, which); err != nil || got.ID != want {
			t.Errorf("%s: %v, %v", which, got, err)
		}
	}
	for which, says := range map[string]string{"none": "stint token list", "two": "2 tokens have the name"} {
		if _, err := namedToken(tokens, which); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", which, err)
		}
	}
}
