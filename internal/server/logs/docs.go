package logs

import (
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/route"
)

// Descriptions of the calls.
var (
	DocLog = route.Doc{
		Text: "Returns the exact bytes that the run printed; with tail, from_line, lines or from_time, whole lines. " +
			"With Accept: application/x-ndjson, returns an object for each line, with its number, time, step and stream, and for each gap.",
		Params: []route.Param{
			route.Attempt(),
			route.Query("step", "Only this step: its index or name.", "string"),
			route.Query("stream", "Only stdout or stderr.", "string"),
			route.Query("tail", "Only the last N lines.", "integer"),
			route.Query("from_line", "Begin with this line; the first is 1.", "integer"),
			route.Query("lines", "The most lines to return.", "integer"),
			route.Query("from_time", "Begin with the first line at or after this time.", "string"),
			route.Query("to_time", "End before the first line after this time.", "string"),
			route.Query("download", "true: browsers save the response as a file.", "boolean"),
			route.Query("format", "gzip: the response is a gzip file.", "string"),
		},
		Answers: []route.Content{route.Media("text/plain", nil), route.Media("application/x-ndjson", logs.LogLine{}), route.Media("application/x-ndjson", logs.GapLine{}), route.Media("application/gzip", nil)},
		Errors:  []int{400, 404, 416},
	}
	DocGetJournal = route.Doc{
		Text: "Returns the stored journal from an offset to the end of its last complete record. " +
			"The header Stint-Journal-Size has the size that is durable.",
		Params:  []route.Param{route.Query("offset", "Where to begin; 0 by default.", "integer")},
		Answers: []route.Content{route.Media("application/octet-stream", nil)},
		Errors:  []int{400, 404, 410},
	}
)
