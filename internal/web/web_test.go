package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

const testIndex = `<!doctype html><head><base href="./"><meta name="stint-version" content=""></head>`

func testFiles() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		"index.html":          file(testIndex),
		".keep":               file(""),
		"favicon.svg":         file("<svg/>"),
		"assets/app-1a.js":    file("raw"),
		"assets/app-1a.js.gz": file("as gzip"),
		"assets/app-1a.js.br": file("as brotli"),
		"assets/one-2b.css":   file("css"),
	}
}

func get(t *testing.T, h http.Handler, method, path, accept string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept-Encoding", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestSiteRoutes(t *testing.T) {
	h := handler(testFiles(), `1.2"3`)
	tests := []struct {
		path, accept string
		status       int
		body         string // part of it
		encoding     string
		cache        string
	}{
		{"/", "", 200, `<base href="./"`, "", "no-cache"},
		{"/runs", "gzip", 200, `<base href="./"`, "", "no-cache"},
		{"/runs/0199", "gzip", 200, `<base href="../"`, "", "no-cache"},
		{"/runs/train%2312", "", 200, `<base href="../"`, "", "no-cache"},
		{"/jobs/nightly%20backup", "", 200, `<base href="../"`, "", "no-cache"},
		{"/compare", "", 200, `<base href="./"`, "", "no-cache"},
		{"/settings", "", 200, `<base href="./"`, "", "no-cache"},
		{"/queue", "", 200, `<base href="./"`, "", "no-cache"},
		{"/workers", "", 200, `<base href="./"`, "", "no-cache"},
		{"/workers/w%201", "", 200, `<base href="../"`, "", "no-cache"},
		{"/workers/w1/x", "", 404, "no page or file", "", ""},
		{"/queue/x", "", 404, "no page or file", "", ""},
		{"/settings/tokens", "", 404, "no page or file", "", ""},
		{"/runs/", "", 200, `<base href="../"`, "", "no-cache"},
		{"/", "", 200, `content="1.2&#34;3"`, "", "no-cache"},
		{"/assets/app-1a.js", "", 200, "raw", "", cacheForever},
		{"/assets/app-1a.js", "gzip", 200, "as gzip", "gzip", cacheForever},
		{"/assets/app-1a.js", "gzip, br", 200, "as brotli", "br", cacheForever},
		{"/assets/app-1a.js", "br;q=0, gzip;q=0.5", 200, "as gzip", "gzip", cacheForever},
		{"/assets/one-2b.css", "br, gzip", 200, "css", "", cacheForever},
		{"/favicon.svg", "br", 200, "<svg/>", "", "no-cache"},
		{"/assets/gone-3c.js", "", 404, "no page or file", "", ""},
		{"/runs/0199/app.js", "", 404, "no page or file", "", ""},
		{"/nothing", "", 404, "no page or file", "", ""},
		{"/assets", "", 404, "no page or file", "", ""},
		{"/.keep", "", 404, "no page or file", "", ""},
		{"/index.html", "", 404, "no page or file", "", ""},
		{"/assets/app-1a.js.br", "", 404, "no page or file", "", ""},
		{"/../../web.go", "", 404, "no page or file", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.accept, func(t *testing.T) {
			res, body := get(t, h, http.MethodGet, tt.path, tt.accept)
			if res.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %q, want %d with %q", res.StatusCode, body, tt.status, tt.body)
			}
			if got := res.Header.Get("Content-Encoding"); got != tt.encoding {
				t.Errorf("encoding %q, want %q", got, tt.encoding)
			}
			if got := res.Header.Get("Cache-Control"); got != tt.cache {
				t.Errorf("cache %q, want %q", got, tt.cache)
			}
		})
	}
}

func TestHeadersKeepScriptsOut(t *testing.T) {
	for name, h := range map[string]http.Handler{"site": handler(testFiles(), "1"), "plain": plain("1")} {
		res, _ := get(t, h, http.MethodGet, "/", "")
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", name, policy)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: types may be sniffed", name)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	for name, h := range map[string]http.Handler{"site": handler(testFiles(), "1"), "plain": plain("1")} {
		res, _ := get(t, h, http.MethodPost, "/", "")
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: POST answered %d", name, res.StatusCode)
		}
		res, body := get(t, h, http.MethodHead, "/runs", "")
		if res.StatusCode != http.StatusOK || body != "" {
			t.Errorf("%s: HEAD answered %d %q", name, res.StatusCode, body)
		}
	}
}

func TestPlainPageWithoutTheBuild(t *testing.T) {
	h := handler(fstest.MapFS{".keep": {}}, "<v1>")
	for path, root := range map[string]string{"/": `href="./"`, "/runs/0199": `href="../"`} {
		res, body := get(t, h, http.MethodGet, path, "gzip")
		for _, want := range []string{root, "make ui", "api/docs", "api/v1/runs", "stint run", "&lt;v1&gt;"} {
			if res.StatusCode != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s answered %d without %q", path, res.StatusCode, want)
			}
		}
		if strings.Contains(body, "<script") {
			t.Errorf("%s needs a script", path)
		}
	}
	if res, _ := get(t, h, http.MethodGet, "/assets/app.js", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("a missing file answered %d", res.StatusCode)
	}
}

// The embedded files are what they claim to be, whether or not the page was built here.
func TestEmbedded(t *testing.T) {
	res, body := get(t, Handler("dev"), http.MethodGet, "/", "")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("answered %d", res.StatusCode)
	}
	if Built() != strings.Contains(body, `<meta name="stint-version" content="dev"`) {
		t.Errorf("Built() is %v, the page: %s", Built(), body)
	}
}

func TestPagesPreloadTheirCode(t *testing.T) {
	files := testFiles()
	files[".vite/manifest.json"] = &fstest.MapFile{Data: []byte(`{
		"index.html": {"file": "assets/index-1.js", "isEntry": true},
		"_part-2.js": {"file": "assets/part-2.js"},
		"src/pages/Run.svelte": {"file": "assets/Run-3.js", "imports": ["index.html", "_part-2.js"]}}`)}
	h := handler(files, "1")
	_, run := get(t, h, "GET", "/runs/0199", "")
	links := `<link rel="modulepreload" crossorigin href="./assets/Run-3.js"><link rel="modulepreload" crossorigin href="./assets/part-2.js"></head>`
	if !strings.Contains(run, links) {
		t.Errorf("the page of a run does not fetch its code at once: %s", run)
	}
	for _, path := range []string{"/", "/runs", "/jobs/a", "/settings"} {
		if _, page := get(t, h, "GET", path, ""); strings.Contains(page, "modulepreload") {
			t.Errorf("%s fetches code that it does not need, or has not: %s", path, page)
		}
	}
	files[".vite/manifest.json"] = &fstest.MapFile{Data: []byte("{")}
	if _, page := get(t, handler(files, "1"), "GET", "/runs/0199", ""); strings.Contains(page, "modulepreload") {
		t.Errorf("links of a manifest that cannot be read: %s", page)
	}
}
