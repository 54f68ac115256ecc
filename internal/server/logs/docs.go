package logs

import (
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/route"
)

// Descriptions of the calls.
var (
	DocLog = route.Doc{
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
	DocGetJournal = route.Doc{
		Text: "Returns the stored journal from an offset on, up to its last whole record. " +
			"The header Stint-Journal-Size says how many bytes are durable.",
		Params:  []route.Param{route.Query("offset", "Where to begin; 0 when left out.", "integer")},
		Answers: []route.Content{route.Media("application/octet-stream", nil)},
		Errors:  []int{400, 404, 410},
	}
)
