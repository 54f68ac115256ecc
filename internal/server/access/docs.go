package access

import (
	"net/http"

	"stint.dev/stint/internal/server/route"
)

// Descriptions of the calls.
var (
	DocMe = route.Doc{
		Text: "Responds with the identity of the caller. scope is empty if the caller has to log in; login lists the ways. " +
			"A request with the cookie of a session that changes something must have the header X-Stint-CSRF: 1.",
		Answers: []route.Content{route.JSON(meAnswer{})}, Errors: []int{429},
	}
	DocLogin = route.Doc{
		Text:    "Exchanges a token for a session, whose HttpOnly cookie replaces the token until the token expires, for 12 hours without a request, and for at most 7 days.",
		Request: "application/json", Body: loginRequest{},
		Answers: []route.Content{route.JSON(meAnswer{})}, Errors: []int{400, 401, 403, 429},
	}
	DocLogout    = route.Doc{Text: "Ends the session of the cookie.", Answers: []route.Content{route.JSON(meAnswer{})}}
	DocOIDCStart = route.Doc{
		Text:   "Redirects a browser to the identity provider, if the server has one.",
		Params: []route.Param{route.Query("return_to", "The path to which the login returns.", "string")},
		Status: http.StatusFound, Answers: []route.Content{route.Media("text/html", nil)}, Errors: []int{404, 429},
	}
	DocOIDCCallback = route.Doc{
		Text: "Receives the browser from the identity provider. A failed login redirects to the web page with ?login_error=.",
		Params: []route.Param{
			route.Query("code", "The code of the provider.", "string"),
			route.Query("state", "The state with which the login began.", "string"),
			route.Query("error", "Why the provider refused the login.", "string"),
			route.Query("error_description", "The same as text.", "string"),
		},
		Status: http.StatusSeeOther, Answers: []route.Content{route.Media("text/html", nil)}, Errors: []int{404},
	}
)
