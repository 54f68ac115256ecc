package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"path"
	"time"
)

//go:embed plain.html
var plainHTML string

const plainStyle = `:root{color-scheme:light dark;--ground:#fff;--panel:#f6f7f9;--text:#14181f;--muted:#586172;--accent:#0b63ce;--line:#dfe3e8}
@media (prefers-color-scheme:dark){:root{--ground:#0e1116;--panel:#161b22;--text:#e6eaf0;--muted:#98a2b3;--accent:#5aa9ff;--line:#2a313c}}
body{margin:0;background:var(--ground);color:var(--text);font:14px/20px ui-sans-serif,system-ui,sans-serif}
main{max-width:640px;margin:0 auto;padding:48px 16px}
h1{font-size:20px;line-height:28px;margin:0 0 8px}h2{font-size:14px;margin:32px 0 8px}p{margin:0 0 8px;color:var(--muted)}
ul{margin:0;padding:0;list-style:none}li{padding:8px 0;border-top:1px solid var(--line)}
a{color:var(--accent)}code,pre{font:13px/20px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--text)}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:12px;margin:0;overflow-x:auto}`

// plain serves the page of a binary that was built without the UI. It needs no script. It says what
// is missing, how to build it, and where everything else is.
func plain(version string) http.Handler {
	tmpl := template.Must(template.New("plain").Parse(plainHTML))
	sum := sha256.Sum256([]byte(plainStyle))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowRead(w, r) {
			return
		}
		if !isPage(path.Clean("/" + r.URL.Path)) {
			http.Error(w, "There is no page or file at "+r.URL.Path+".", http.StatusNotFound)
			return
		}
		var page bytes.Buffer
		err := tmpl.Execute(&page, map[string]any{
			"Version": version,
			"Style":   template.CSS(plainStyle),
			"Root":    relativeRoot(r.URL.EscapedPath()),
		})
		if err != nil {
			http.Error(w, "The page could not be written: "+err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		setSecurityHeaders(h, policy)
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(page.Bytes()))
	})
}
