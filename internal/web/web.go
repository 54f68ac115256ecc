// Package web serves the page: the built files of web/ if they are embedded, else a plain page that
// says how to build them. All addresses in it are relative, so it works at the root of a host and
// under any path prefix of a proxy.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed all:dist
var embedded embed.FS

const (
	basePlaceholder    = `<base href="./"`
	versionPlaceholder = `<meta name="stint-version" content=""`

	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
	cacheForever = "public, max-age=31536000, immutable"
)

// Built reports whether this binary contains the built page.
func Built() bool { return built(dist()) }

// Handler serves the page at /, its routes (/runs, /runs/{run}, /jobs, /jobs/{job},
// /queue, /workers, /compare, /settings) and its files. Other paths are 404. The version is shown on the page.
func Handler(version string) http.Handler { return handler(dist(), version) }

func dist() fs.FS {
	sub, err := fs.Sub(embedded, "dist")
	if err != nil { // only for a malformed constant path
		return embedded
	}
	return sub
}

func built(files fs.FS) bool {
	info, err := fs.Stat(files, "index.html")
	return err == nil && info.Mode().IsRegular()
}

func handler(files fs.FS, version string) http.Handler {
	if !built(files) {
		return plain(version)
	}
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return plain(version)
	}
	meta := fmt.Sprintf(`<meta name="stint-version" content="%s"`, html.EscapeString(version))
	index = bytes.Replace(index, []byte(versionPlaceholder), []byte(meta), 1)
	return &site{files: files, index: index, preload: preloads(files)}
}

// site serves a built page.
type site struct {
	files   fs.FS
	index   []byte
	preload map[string][]byte // by kind of page: the links that load its code
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !allowRead(w, r) {
		return
	}
	if name, ok := fileName(r.URL.Path); ok {
		s.serveFile(w, r, name)
		return
	}
	s.servePage(w, r)
}

// allowRead refuses methods other than GET and HEAD; it reports whether the request may go on.
func allowRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "The method "+r.Method+" is not allowed for a page: use GET.", http.StatusMethodNotAllowed)
	return false
}

// fileName returns the name of the embedded file at a path; ok is false for routes of the page.
func fileName(urlPath string) (name string, ok bool) {
	clean := path.Clean("/" + urlPath)
	if isPage(clean) {
		return "", false
	}
	return strings.TrimPrefix(clean, "/"), true
}

// isPage reports whether a clean path is a route of the page.
func isPage(clean string) bool {
	switch clean {
	case "/", "/runs", "/jobs", "/queue", "/workers", "/compare", "/settings":
		return true
	}
	for _, under := range []string{"/runs/", "/jobs/", "/workers/"} {
		if rest, found := strings.CutPrefix(clean, under); found {
			return !strings.Contains(rest, "/")
		}
	}
	return false
}

func (s *site) servePage(w http.ResponseWriter, r *http.Request) {
	base := fmt.Sprintf(`<base href="%s"`, relativeRoot(r.URL.EscapedPath()))
	page := bytes.Replace(s.index, []byte(basePlaceholder), []byte(base), 1)
	if links := s.preload[kindOf(r.URL.Path)]; links != nil {
		page = bytes.Replace(page, []byte("</head>"), links, 1)
	}
	h := w.Header()
	setSecurityHeaders(h, pagePolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page))
}

// relativeRoot returns the relative path from a page to the root of the site. The browser resolves
// it, so a proxy can strip a prefix that the server does not know.
func relativeRoot(escapedPath string) string {
	depth := strings.Count(strings.TrimPrefix(escapedPath, "/"), "/")
	if depth == 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}

func (s *site) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	contentType := mime.TypeByExtension(path.Ext(name))
	if known, ok := contentTypes[path.Ext(name)]; ok {
		contentType = known
	}
	info, err := fs.Stat(s.files, name)
	hidden := strings.HasPrefix(path.Base(name), ".") || name == "index.html"
	if err != nil || hidden || !info.Mode().IsRegular() || contentType == "" {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.Error(w, "There is no page or file at "+r.URL.Path+".", http.StatusNotFound)
		return
	}
	h := w.Header()
	setSecurityHeaders(h, pagePolicy)
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") { // their names change with their content
		h.Set("Cache-Control", cacheForever)
	}
	data, encoding, err := s.variant(name, r.Header.Get("Accept-Encoding"))
	if err != nil {
		http.Error(w, "The file "+r.URL.Path+" cannot be read from the binary.", http.StatusInternalServerError)
		return
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// contentTypes are the types of the page's files, independent of the table of the system.
var contentTypes = map[string]string{
	".js":          "text/javascript; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".svg":         "image/svg+xml",
	".webmanifest": "application/manifest+json",
	".txt":         "text/plain; charset=utf-8",
}

// variant returns the smallest form of a file that the client accepts. The build writes compressed
// forms beside the files that they make smaller.
func (s *site) variant(name, accept string) (data []byte, encoding string, err error) {
	for _, v := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !accepts(accept, v.encoding) {
			continue
		}
		if data, err := fs.ReadFile(s.files, name+v.suffix); err == nil {
			return data, v.encoding, nil
		}
	}
	data, err = fs.ReadFile(s.files, name)
	return data, "", err
}

// accepts reports whether an Accept-Encoding header names an encoding, and not with q=0.
func accepts(header, encoding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		q := strings.ReplaceAll(strings.ToLower(params), " ", "")
		weight, given := strings.CutPrefix(q, "q=")
		return !given || strings.Trim(weight, "0.") != ""
	}
	return false
}

// setSecurityHeaders sets the headers that prevent framing, content sniffing and foreign scripts.
func setSecurityHeaders(h http.Header, policy string) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}
