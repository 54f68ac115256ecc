package route

import (
	"testing"

	"stint.dev/stint/internal/access"
)

func TestDocumentVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "1.2.3": "1.2.3", "v1.2.3-4-gabc1234": "1.2.3-4-gabc1234", "v1.2.3-dirty": "1.2.3-dirty",
		"d22bdc04": "0.0.0+d22bdc04", "d22bdc04-dirty": "0.0.0+d22bdc04-dirty", "dev": "0.0.0+dev", "(devel)": "0.0.0+devel", "": "0.0.0",
	} {
		if got := DocumentVersion(version); got != want {
			t.Errorf("%q: %q, want %q", version, got, want)
		}
	}
}

func TestEachRouteHasASection(t *testing.T) {
	for pattern, want := range map[string]string{
		"/api/v1/runs/{run}": "runs", "/api/v1/runs/{run}/attempts/{attempt}/journal": "agents", "/api/v1/jobs": "jobs", "/api/v1/logout": "access",
		"/api/v1/settings": "server", "/healthz": "server", "/ping/{uuid}": "ping", "/schema/definition.json": "definitions",
	} {
		if got := tagOf(Row{Pattern: pattern}); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func TestDescriptionsNameTheScope(t *testing.T) {
	for _, c := range []struct {
		row  Row
		want string
	}{
		{Row{Summary: "List runs", Scope: access.Read}, "List runs. A token needs the scope `read`."},
		{Row{Summary: "Log in", Scope: access.Public, Doc: Doc{Text: "Takes a token."}}, "Takes a token. No token is needed."},
	} {
		if got := c.row.description(); got != c.want {
			t.Errorf("%q", got)
		}
	}
}
