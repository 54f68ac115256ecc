package access

import "stint.dev/stint/internal/server/route"

// Descriptions of the calls.
var (
	DocMe = route.Doc{
		Text: "Says who the server takes the sender for. scope is empty for who has to log in; login lists the ways. " +
			"A request with a session's cookie that changes something must bring the header X-Stint-CSRF: 1.",
		Answers: []route.Content{route.JSON(meAnswer{})}, Errors: []int{429},
	}
	DocLogin = route.Doc{
		Text:    "Answers with an HttpOnly cookie that replaces the token until it expires, 12 hours pass without a request, or 7 days in all.",
		Request: "application/json", Body: loginRequest{},
		Answers: []route.Content{route.JSON(meAnswer{})}, Errors: []int{400, 401, 403, 429},
	}
	DocLogout    = route.Doc{Text: "Ends the session of the cookie.", Answers: []route.Content{route.JSON(meAnswer{})}}
	DocOIDCStart = route.Doc{
		Text:    "Redirects a browser to the identity provider, if the server has one.",
		Params:  []route.Param{route.Query("return_to", "The path to come back to.", "string")},
		Answers: []route.Content{route.Media("text/html", nil)}, Errors: []int{404, 429},
	}
	DocOIDCCallback = route.Doc{
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
