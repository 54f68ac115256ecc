package server

import (
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/route"
)

// What the plain handlers say of themselves in the OpenAPI document.

var (
	docGetJournal = route.Doc{
		Text: "Returns the stored journal from an offset on, up to its last whole record. " +
			"The header Stint-Journal-Size says how many bytes are durable.",
		Params:  []route.Param{route.Query("offset", "Where to begin; 0 when left out.", "integer")},
		Answers: []route.Content{route.Media("application/octet-stream", nil)},
		Errors:  []int{400, 404, 410},
	}
	docLog = route.Doc{
		Text: "Returns the exact bytes the run printed. With tail, from_line, lines or from_time, whole lines. " +
			"Accept: application/x-ndjson gives one object per line with its number, time, step and stream, and gaps in place.",
		Params: []route.Param{
			route.Attempt(),
			route.Query("step", "Only this step: its index or name.", "string"),
			route.Query("stream", "Only stdout or stderr.", "string"),
			route.Query("tail", "Only the last N lines.", "integer"),
			route.Query("from_line", "Begin with this line; lines count from 1.", "integer"),
			route.Query("lines", "The most lines to return.", "integer"),
			route.Query("from_time", "Begin with the first line at or after this time.", "string"),
			route.Query("to_time", "End before the first line after this time.", "string"),
			route.Query("download", "true: ask browsers to save the answer.", "boolean"),
			route.Query("format", "gzip: the same, compressed.", "string"),
		},
		Answers: []route.Content{route.Media("text/plain", nil), route.Media("application/x-ndjson", logs.LogLine{}), route.Media("application/x-ndjson", logs.GapLine{}), route.Media("application/gzip", nil)},
		Errors:  []int{400, 404, 416},
	}
	docHealthz = route.Doc{Text: "Answers 200 while the process lives.", Answers: []route.Content{route.JSON(healthAnswer{})}}
	docReadyz  = route.Doc{
		Text:    "Answers 200 when the database answers and the server is not shutting down, else 503 and why. With the status `degraded` it does its work, and `degraded` says what works less well, such as that leases are extended. On a restored copy that was not activated, where nothing is judged, sent or deleted, `status` is `restored copy` and `copied_at` says when the copy was made.",
		Answers: []route.Content{route.JSON(healthAnswer{})}, Errors: []int{503},
	}
	docMetrics = route.Doc{Text: "Figures in the text format of Prometheus.", Answers: []route.Content{route.Media("text/plain", nil)}}
	docOpenAPI = route.Doc{Text: "This document.", Answers: []route.Content{route.JSON(map[string]any{})}}
	docPage    = route.Doc{Text: "A page made from the OpenAPI document; it loads nothing from elsewhere.", Answers: []route.Content{route.Media("text/html", nil)}}
)
