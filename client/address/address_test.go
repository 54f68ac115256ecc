package address

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseRefusesWhatCannotBeAServer(t *testing.T) {
	for _, raw := range []string{
		"", "127.0.0.1:7846", "ftp://host", "http://", "http://:7846", "http://user:hunter2@host", "http://host:99999",
		"http://host:0", "http://host?x=1", "http://host/#top", "http://[::1", "http://ho st", "://", "http://host:port",
	} {
		var bad *Error
		if _, err := Parse(raw); !errors.As(err, &bad) {
			t.Errorf("%q: got %v, want *Error", raw, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows the password: %v", raw, err)
		}
	}
	for raw, want := range map[string]string{
		"http://127.0.0.1:7846": "http://127.0.0.1:7846", "https://stint.example/": "https://stint.example",
		"http://host/sub/path/": "http://host/sub/path", "http://[::1]:80": "http://[::1]:80",
	} {
		if u, err := Parse(raw); err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v; want %s", raw, u, err, want)
		}
	}
}

// The environment has one address a line, and a flag may have several with commas.
func TestSplit(t *testing.T) {
	want := []string{"http://a", "http://b", "http://c"}
	for _, texts := range [][]string{
		{"http://a", "http://b", "http://c"},
		{"http://a\nhttp://b\r\n\nhttp://c\n"},
		{" http://a, http://b,,http://c ,"},
		{"http://a,http://b", "http://b", "http://c"},
		{Join(want)},
	} {
		if got := Split(texts); !slices.Equal(got, want) {
			t.Errorf("%q: %q", texts, got)
		}
	}
	if got := Split([]string{"", " ,\n"}); len(got) != 0 {
		t.Errorf("nothing: %q", got)
	}
}

// A bad address beside good ones takes none of them away.
func TestParseAll(t *testing.T) {
	good, bad := ParseAll([]string{"http://a/", "b:7846", "https://c", "http://a"})
	if len(good) != 2 || good[0].String() != "http://a" || good[1].String() != "https://c" || len(bad) != 1 || !strings.Contains(bad[0].Error(), "b:7846") {
		t.Errorf("%v, %v", good, bad)
	}
}
