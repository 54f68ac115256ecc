package server

import (
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job/api"
)

// Descriptions of the handlers of this package for the OpenAPI document.
var (
	docHealthz = route.Doc{Text: "Responds with 200 while the process runs.", Answers: []route.Content{route.JSON(api.ServerStatus{})}}
	docReadyz  = route.Doc{
		Text:    "Responds with 200 when the database responds and the server is not shutting down, else with 503 and the reason. With the status `degraded` the server works, and `degraded` lists what is impaired, such as that leases are extended. On a restored copy that was not activated, where nothing is judged, sent or deleted, `status` is `restored copy` and `copied_at` is when the copy was made.",
		Answers: []route.Content{route.JSON(api.ServerStatus{})}, Errors: []int{503},
	}
	docMetrics = route.Doc{Text: "Metrics in the text format of Prometheus.", Answers: []route.Content{route.Media("text/plain", nil)}}
	docOpenAPI = route.Doc{Text: "The OpenAPI document.", Answers: []route.Content{route.JSON(map[string]any{})}}
	docPage    = route.Doc{Text: "A page made from the OpenAPI document. It loads nothing from other servers.", Answers: []route.Content{route.Media("text/html", nil)}}
)
