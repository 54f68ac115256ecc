package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stint.dev/stint/internal/server"
)

// Every route is in the OpenAPI document, on the page, and in docs/api.md; and docs/api.md
// names no route that does not exist.
func TestEveryRouteIsDocumented(t *testing.T) {
	l := start(t, server.Config{Version: "1.2.3"})
	var spec struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			Summary     string
			OperationID string `json:"operationId"`
			Responses   map[string]any
			Parameters  []struct{ Name, In string }
		}
	}
	l.get("/api/openapi.json").ok(t, &spec)
	if !strings.HasPrefix(spec.OpenAPI, "3.1") || spec.Info.Version != "1.2.3" {
		t.Errorf("OpenAPI %q of version %q", spec.OpenAPI, spec.Info.Version)
	}
	page := string(l.get("/api/docs").body)
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	written := string(text)
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(GET|POST|PUT|PATCH|DELETE|OPTIONS) (/[^`?]*)").FindAllStringSubmatch(written, -1) {
		named[m[1]+" "+m[2]] = true
	}

	routes := server.RouteList(l.srv)
	if len(routes) < 15 {
		t.Fatalf("only %d routes", len(routes))
	}
	ids := map[string]bool{}
	for _, rt := range routes {
		op, ok := spec.Paths[rt.Pattern][strings.ToLower(rt.Method)]
		switch {
		case !ok:
			t.Errorf("%s %s is not in the OpenAPI document", rt.Method, rt.Pattern)
			continue
		case op.Summary == "" || op.Summary != rt.Summary || len(op.Responses) == 0:
			t.Errorf("%s %s is described as %+v", rt.Method, rt.Pattern, op)
		case ids[op.OperationID]:
			t.Errorf("operation id %s is given twice", op.OperationID)
		}
		ids[op.OperationID] = true
		if !strings.Contains(page, `id="`+op.OperationID+`"`) {
			t.Errorf("%s %s is not on the page", rt.Method, rt.Pattern)
		}
		key := rt.Method + " " + rt.Pattern
		if !named[key] {
			t.Errorf("%s is not in docs/api.md", key)
		}
		delete(named, key)
		for _, p := range op.Parameters {
			if p.In == "query" && !strings.Contains(written, "`"+p.Name+"`") {
				t.Errorf("parameter %s of %s is not in docs/api.md", p.Name, key)
			}
		}
	}
	for key := range named {
		t.Errorf("docs/api.md names %s, which does not exist", key)
	}
	if n := len(spec.Paths); n > len(routes) {
		t.Errorf("%d paths in the OpenAPI document, %d routes", n, len(routes))
	}
}

// The page loads nothing from anywhere else.
func TestDocsPageStandsAlone(t *testing.T) {
	l := start(t, server.Config{})
	r := l.get("/api/docs")
	if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "text/html") {
		t.Fatalf("Content-Type %q", ct)
	}
	for _, m := range regexp.MustCompile(`(?i)(src|href)\s*=\s*"([^"]*)"|@import|url\(`).FindAllStringSubmatch(string(r.body), -1) {
		if !strings.HasPrefix(m[2], "#") && m[2] != "/api/openapi.json" {
			t.Errorf("the page refers to %q", m[0])
		}
	}
	if regexp.MustCompile(`(?i)<script`).Match(r.body) {
		t.Error("the page has a script")
	}
}

// References in the OpenAPI document lead somewhere.
func TestOpenAPIReferences(t *testing.T) {
	l := start(t, server.Config{})
	var doc map[string]any
	l.get("/api/openapi.json").ok(t, &doc)
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	refs := regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllSubmatch(raw, -1)
	if len(refs) == 0 {
		t.Fatal("no references at all")
	}
	for _, m := range refs {
		if schemas[string(m[1])] == nil {
			t.Errorf("there is no schema %s", m[1])
		}
	}
	// A client made from the document must know what may be null, and that answers grow.
	run := schemas["Run"].(map[string]any)
	for _, field := range []string{"outcome", "cancel", "ended_at"} {
		p, err := json.Marshal(run["properties"].(map[string]any)[field])
		if err != nil || !strings.Contains(string(p), `"null"`) {
			t.Errorf("Run.%s is described as never null: %s", field, p)
		}
	}
	if run["additionalProperties"] == false {
		t.Error("Run is described as never getting further fields")
	}
	for _, name := range []string{"Run", "Problem", "Heartbeat", "HeartbeatReply", "AppendReply"} {
		if schemas[name] == nil {
			t.Errorf("there is no schema %s", name)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	ui := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("page " + r.URL.Path)) })
	l := start(t, server.Config{UI: ui})
	for _, path := range []string{"/api", "/api/", "/api/v1/nothing", "/api/v2/runs", "/compat", "/compat/x"} {
		l.get(path).problem(t, http.StatusNotFound)
	}
	r := l.do("DELETE", "/api/v1/runs", nil)
	r.problem(t, http.StatusMethodNotAllowed)
	if allow := r.header.Get("Allow"); allow != "GET, HEAD" {
		t.Errorf("Allow is %q", allow)
	}
	for _, path := range []string{"/", "/runs/x", "/apiary"} {
		r := l.get(path)
		if r.status != 200 || string(r.body) != "page "+path {
			t.Errorf("GET %s: %d %s", path, r.status, r.body)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy"} {
			if r.header.Get(name) == "" {
				t.Errorf("GET %s has no %s", path, name)
			}
		}
	}
	l.do("POST", "/", nil).problem(t, http.StatusMethodNotAllowed)
}

// No page may run or style what somebody managed to put into it.
func TestNoPageAllowsInlineCode(t *testing.T) {
	l := start(t, server.Config{UI: http.NotFoundHandler()})
	for _, path := range []string{"/", "/runs/x", "/api/docs"} {
		r := l.get(path)
		policy := r.header.Get("Content-Security-Policy")
		if policy == "" || strings.Contains(policy, "unsafe") {
			t.Errorf("GET %s: policy %q", path, policy)
		}
		for _, style := range regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllSubmatch(r.body, -1) {
			sum := sha256.Sum256(style[1])
			if source := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, source) {
				t.Errorf("GET %s: policy %q does not allow the page's own style %s", path, policy, source)
			}
		}
		if bytes.Contains(r.body, []byte(" style=")) {
			t.Errorf("GET %s has a style attribute, which its policy does not allow", path)
		}
	}
}

// Every path of the interface answers 405 to a method that it has not, with those that it
// has: none is taken for the path of another row.
func TestOtherMethodsAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	l.get("/api/openapi.json").ok(t, &doc)
	wildcard := regexp.MustCompile(`\{[^}]*\}`)
	tried := 0
	for path, operations := range doc.Paths {
		var has []string
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if operations[strings.ToLower(method)] != nil || method == "HEAD" && operations["get"] != nil {
				has = append(has, method)
			}
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			if slices.Contains(has, method) {
				continue
			}
			tried++
			r := l.do(method, wildcard.ReplaceAllString(path, "x"), nil)
			if r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != strings.Join(has, ", ") {
				t.Errorf("%s %s: %d, Allow %q; want 405, %v", method, path, r.status, r.header.Get("Allow"), has)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d methods were tried", tried)
	}
}

func TestServerWithoutPages(t *testing.T) {
	l := start(t, server.Config{})
	if r := l.get("/"); r.status != http.StatusNotFound || !strings.Contains(string(r.body), "/api/docs") {
		t.Errorf("%d %s", r.status, r.body)
	}
}
