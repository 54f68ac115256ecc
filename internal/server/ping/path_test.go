package ping

import "testing"

func TestPathOf(t *testing.T) {
	const id, key = "07c2f548-9850-4b27-af5d-6c9dc157ec02", "abcdefghij0123456789zz"
	for path, want := range map[string]string{
		"/ping/" + id + "/":             "/ping/" + id,
		"/ping/a/b/":                    "/ping/a/b",
		"/ping/a/b/start/":              "/ping/a/b/start",
		"/" + id:                        "/ping/" + id,
		"/" + id + "/":                  "/ping/" + id,
		"/" + id + "/255":               "/ping/" + id + "/255",
		"/" + key + "/backup":           "/ping/" + key + "/backup",
		"/" + key + "/backup/fail/":     "/ping/" + key + "/backup/fail",
		"/ABC-efghij_123456789zz/b":     "/ping/ABC-efghij_123456789zz/b",
		"/ping/" + id:                   "",
		"/ping/a/b/start":               "",
		"/ping/a/b/c/d/":                "",
		"/ping/":                        "",
		"/ping":                         "",
		"/":                             "",
		"":                              "",
		"/" + key:                       "",
		"/" + key + "/":                 "",
		"/" + id + "/a/b":               "",
		"/" + key + "/a/b/c":            "",
		"/jobs/backup":                  "",
		"/runs/" + id:                   "",
		"/api/v1/jobs":                  "",
		"/assets/index-abcdefghij.js":   "",
		"/07c2f54898504b27af5d6c9dc157": "",
	} {
		got, ok := PathOf(path)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t; want %q", path, got, ok, want)
		}
	}
}
