package server

import (
	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/route"
)

// accessRoutes are about who may come in and what they did.
func (s *Server) accessRoutes() []route.Row {
	const v1 = "/api/v1"
	return []route.Row{
		{Method: "GET", Pattern: v1 + "/me", Scope: access.Public, Handle: s.getMe, Summary: "Tell who I am here, and how to log in", Doc: docMe},
		{Method: "POST", Pattern: v1 + "/login", Scope: access.Public, Handle: s.postLogin, Summary: "Change a token into a session's cookie", Doc: docLogin},
		{Method: "POST", Pattern: v1 + "/logout", Scope: access.Public, Handle: s.postLogout, Summary: "End the session", Doc: docLogout},
		{Method: "GET", Pattern: v1 + "/oidc/start", Scope: access.Public, Handle: s.getOIDCStart, Summary: "Go to the identity provider", Doc: docOIDCStart},
		{Method: "GET", Pattern: v1 + "/oidc/callback", Scope: access.Public, Handle: s.getOIDCCallback, Summary: "Come back from the identity provider", Doc: docOIDCCallback},
		{Method: "GET", Pattern: v1 + "/tokens", Scope: access.Admin, Typed: route.Typed(s.listTokens), Summary: "List tokens, without their secrets"},
		{Method: "POST", Pattern: v1 + "/tokens", Scope: access.Admin, Typed: route.Typed(s.createToken), Summary: "Make a token; the answer is the only one with its secret"},
		{Method: "DELETE", Pattern: v1 + "/tokens/{id}", Scope: access.Admin, Typed: route.Typed(s.revokeToken), Summary: "Revoke a token"},
		{Method: "GET", Pattern: v1 + "/settings", Scope: access.Read, Typed: route.Typed(s.getSettings), Summary: "Tell how this server was started"},
		{Method: "GET", Pattern: v1 + "/troubled", Scope: access.Read, Typed: route.Typed(s.runs.ListTroubled), Summary: "List what the server could not do for single items, and tries again later"},
		{Method: "GET", Pattern: v1 + "/audit", Scope: access.Admin, Typed: route.Typed(s.listAudit), Summary: "List what people changed, newest first"},
	}
}

var (
	docMe = route.Doc{
		Text: "Says who the server takes the sender for. scope is empty for who has to log in; login lists the ways. " +
			"A request with a session's cookie that changes something must bring the header X-Stint-CSRF: 1.",
		Answers: []route.Content{route.JSON(meAnswer{})}, Errors: []int{429},
	}
	docLogin = route.Doc{
		Text:    "Answers with an HttpOnly cookie that stands for the token until it expires, 12 hours pass without a request, or 7 days in all.",
		Request: "application/json", Body: loginRequest{},
		Answers: []route.Content{route.JSON(meAnswer{})}, Errors: []int{400, 401, 403, 429},
	}
	docLogout    = route.Doc{Text: "Ends the session of the cookie.", Answers: []route.Content{route.JSON(meAnswer{})}}
	docOIDCStart = route.Doc{
		Text:    "Redirects a browser to the identity provider, if the server has one.",
		Params:  []route.Param{route.Query("return_to", "The path to come back to.", "string")},
		Answers: []route.Content{route.Media("text/html", nil)}, Errors: []int{404, 429},
	}
	docOIDCCallback = route.Doc{
		Text: "Where the identity provider sends the browser back to. A failed login leads to the page with ?login_error=.",
		Params: []route.Param{
			route.Query("code", "From the provider.", "string"),
			route.Query("state", "What the browser was sent away with.", "string"),
			route.Query("error", "Why the provider refused.", "string"),
			route.Query("error_description", "The same in words.", "string"),
		},
		Answers: []route.Content{route.Media("text/html", nil)}, Errors: []int{404},
	}
)
