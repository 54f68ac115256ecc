package server

import "stint.dev/stint/internal/server/route"

// What the plain handlers say of themselves in the OpenAPI document.

var (
	docHealthz = route.Doc{Text: "Answers 200 while the process lives.", Answers: []route.Content{route.JSON(healthAnswer{})}}
	docReadyz  = route.Doc{
		Text:    "Answers 200 when the database answers and the server is not shutting down, else 503 and why. With the status `degraded` it does its work, and `degraded` says what works less well, such as that leases are extended. On a restored copy that was not activated, where nothing is judged, sent or deleted, `status` is `restored copy` and `copied_at` says when the copy was made.",
		Answers: []route.Content{route.JSON(healthAnswer{})}, Errors: []int{503},
	}
	docMetrics = route.Doc{Text: "Figures in the text format of Prometheus.", Answers: []route.Content{route.Media("text/plain", nil)}}
	docOpenAPI = route.Doc{Text: "This document.", Answers: []route.Content{route.JSON(map[string]any{})}}
	docPage    = route.Doc{Text: "A page made from the OpenAPI document; it loads nothing from elsewhere.", Answers: []route.Content{route.Media("text/html", nil)}}
)
