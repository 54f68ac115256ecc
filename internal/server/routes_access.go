package server

import "stint.dev/stint/internal/access"

// accessRoutes are about who may come in and what they did.
func (s *Server) accessRoutes() []route {
	const v1 = "/api/v1"
	return []route{
		{method: "GET", pattern: v1 + "/me", scope: access.Public, handle: s.getMe, summary: "Tell who I am here, and how to log in", doc: docMe},
		{method: "POST", pattern: v1 + "/login", scope: access.Public, handle: s.postLogin, summary: "Change a token into a session's cookie", doc: docLogin},
		{method: "POST", pattern: v1 + "/logout", scope: access.Public, handle: s.postLogout, summary: "End the session", doc: docLogout},
		{method: "GET", pattern: v1 + "/oidc/start", scope: access.Public, handle: s.getOIDCStart, summary: "Go to the identity provider", doc: docOIDCStart},
		{method: "GET", pattern: v1 + "/oidc/callback", scope: access.Public, handle: s.getOIDCCallback, summary: "Come back from the identity provider", doc: docOIDCCallback},
		{method: "GET", pattern: v1 + "/tokens", scope: access.Admin, rest: rest(s.listTokens), summary: "List tokens, without their secrets"},
		{method: "POST", pattern: v1 + "/tokens", scope: access.Admin, rest: rest(s.createToken), summary: "Make a token; the answer is the only one with its secret"},
		{method: "DELETE", pattern: v1 + "/tokens/{id}", scope: access.Admin, rest: rest(s.revokeToken), summary: "Revoke a token"},
		{method: "GET", pattern: v1 + "/settings", scope: access.Read, rest: rest(s.getSettings), summary: "Tell how this server was started"},
		{method: "GET", pattern: v1 + "/troubled", scope: access.Read, rest: rest(s.listTroubled), summary: "List what the server could not do for single items, and tries again later"},
		{method: "GET", pattern: v1 + "/audit", scope: access.Admin, rest: rest(s.listAudit), summary: "List what people changed, newest first"},
	}
}

var (
	docMe = doc{
		text: "Says who the server takes the sender for. scope is empty for who has to log in; login lists the ways. " +
			"A request with a session's cookie that changes something must bring the header X-Stint-CSRF: 1.",
		answers: []content{{"application/json", meAnswer{}}}, errors: []int{429},
	}
	docLogin = doc{
		text:    "Answers with an HttpOnly cookie that stands for the token until it expires, 12 hours pass without a request, or 7 days in all.",
		request: "application/json", body: loginRequest{},
		answers: []content{{"application/json", meAnswer{}}}, errors: []int{400, 401, 403, 429},
	}
	docLogout    = doc{text: "Ends the session of the cookie.", answers: []content{{"application/json", meAnswer{}}}}
	docOIDCStart = doc{
		text:    "Redirects a browser to the identity provider, if the server has one.",
		params:  []param{{"return_to", "query", "The path to come back to.", "string"}},
		answers: []content{{"text/html", nil}}, errors: []int{404, 429},
	}
	docOIDCCallback = doc{
		text: "Where the identity provider sends the browser back to. A failed login leads to the page with ?login_error=.",
		params: []param{
			{"code", "query", "From the provider.", "string"},
			{"state", "query", "What the browser was sent away with.", "string"},
			{"error", "query", "Why the provider refused.", "string"},
			{"error_description", "query", "The same in words.", "string"},
		},
		answers: []content{{"text/html", nil}}, errors: []int{404},
	}
)
