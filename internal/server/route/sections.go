package route

import (
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
)

// sections are the sections of the documentation in their order. A route belongs to the first one of which a prefix begins its path.
var sections = []struct {
	tag, title, text string
	prefixes         []string
}{
	{"runs", "Runs", "Runs: what they are, printed and used, and what people do with them.", []string{"/api/v1/runs", "/api/v1/overview", "/api/v1/stream"}},
	{"jobs", "Jobs", "Jobs with their figures, policies, and when somebody else starts them.", []string{"/api/v1/jobs"}},
	{"definitions", "Definitions and schedules", "What jobs are that the server starts, and when it does.", []string{"/api/v1/definitions", "/api/v1/schedules", "/schema/"}},
	{"queue", "Queue and workers", "Submitted runs, groups with limits, and workers.", []string{"/api/v1/queue", "/api/v1/groups", "/api/v1/workers"}},
	{"notifications", "Notifications", "Routes of notifications, and what was sent and done.", []string{"/api/v1/routes", "/api/v1/actions"}},
	{"access", "Access", "Logins, tokens and the audit log.", []string{"/api/v1/me", "/api/v1/log", "/api/v1/oidc", "/api/v1/tokens", "/api/v1/audit"}},
	{"agents", "Agents", "What agents send and ask while a run goes on.", nil}, // by /attempts/ in the path
	{"ping", "Pings", "The wire of Healthchecks.", []string{"/ping/"}},
	{"compat", "The API of the original tiny agent", "The wire of the original tiny agent.", []string{"/compat/"}},
	{"server", "The server itself", "The server itself.", []string{"/"}},
}

// tagOf returns the section to which a route belongs.
func tagOf(rt Row) string {
	if strings.Contains(rt.Pattern, "/attempts/") {
		return "agents"
	}
	for _, s := range sections {
		for _, prefix := range s.prefixes {
			if strings.HasPrefix(rt.Pattern, prefix) {
				return s.tag
			}
		}
	}
	return ""
}

// tagsOf returns the sections that routes of a table belong to.
func tagsOf(table []Row) []*huma.Tag {
	used := map[string]bool{}
	for _, rt := range table {
		used[tagOf(rt)] = true
	}
	var out []*huma.Tag
	for _, s := range sections {
		if used[s.tag] {
			out = append(out, &huma.Tag{Name: s.tag, Description: s.text})
		}
	}
	return out
}

// description returns what a route does, and what a token needs for it.
func (rt Row) description() string {
	text := rt.Doc.Text
	if text == "" {
		text = rt.Summary + "."
	}
	if rt.Scope == access.Public {
		return text + " No token is needed."
	}
	return text + " A token needs the scope `" + string(rt.Scope) + "`."
}

// addRefusals adds to each operation the errors that every route of its kind may return.
func addRefusals(doc *huma.OpenAPI, table []Row) {
	fault := &huma.MediaType{Schema: doc.Components.Schemas.Schema(reflect.TypeFor[httpio.Problem](), true, "")}
	for _, rt := range table {
		op := operationOf(doc.Paths[rt.Pattern], rt.Method)
		codes := []int{http.StatusBadRequest}
		if rt.Scope != access.Public {
			codes = append(codes, http.StatusUnauthorized, http.StatusForbidden)
		}
		for _, code := range codes {
			if status := strconv.Itoa(code); op.Responses[status] == nil {
				op.Responses[status] = &huma.Response{Description: http.StatusText(code), Content: map[string]*huma.MediaType{httpio.ProblemType: fault}}
			}
		}
	}
}

// operationOf returns the operation of a path that has a method.
func operationOf(path *huma.PathItem, method string) *huma.Operation {
	return map[string]*huma.Operation{
		http.MethodGet: path.Get, http.MethodPut: path.Put, http.MethodPost: path.Post, http.MethodDelete: path.Delete, http.MethodOptions: path.Options,
	}[method]
}

// Compiled when a server makes its document, not before each command.
var (
	semantic = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^v?(\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]*)?)$`)
	})
	notOfBuild = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^0-9A-Za-z-]+`) })
)

// DocumentVersion returns the version of a program in the form of Semantic Versioning, which generators of clients expect. A build
// without a version has 0.0.0 with its commit.
func DocumentVersion(version string) string {
	if m := semantic().FindStringSubmatch(version); m != nil {
		return m[1]
	}
	build := strings.Trim(notOfBuild().ReplaceAllString(version, "."), ".")
	if build == "" {
		return "0.0.0"
	}
	return "0.0.0+" + build
}
