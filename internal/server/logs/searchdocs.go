package logs

import (
	"stint.dev/stint/internal/logs/search"
	"stint.dev/stint/internal/server/route"
)

// DocSearch describes a call.
var DocSearch = route.Doc{
	Text: "Looks for text, or with regex=true for a regular expression (RE2), in each line of what the run printed, as it is " +
		"stored: escape sequences of terminals are part of a line. The answer is NDJSON, one object a line, sent as it is found: " +
		"lines that match, with context the lines around them, now and then progress, and at last done. " +
		"Matches come in the order of their lines, but for a line that took long to end. With direction=back they come from " +
		"the last to the first. A line longer than 256 KiB is searched in pieces of that size. A search that takes too long " +
		"ends with stopped=time, and next_line says where to go on.",
	Params: []route.Param{
		route.Query("q", "What to look for, at most 1000 bytes.", "string"),
		route.Query("regex", "true: q is a regular expression.", "boolean"),
		route.Query("case", "true: capital and small letters differ.", "boolean"),
		route.Attempt(),
		route.Query("step", "Only this step: its index or name.", "string"),
		route.Query("stream", "Only stdout or stderr.", "string"),
		route.Query("from_line", "Only this line and later ones; lines count from 1.", "integer"),
		route.Query("to_line", "Only this line and earlier ones.", "integer"),
		route.Query("before", "How many lines before each match to show, up to 100.", "integer"),
		route.Query("after", "How many lines after each match to show, up to 100.", "integer"),
		route.Query("limit", "The most matches to return, up to 10000; 0 only counts. Without it 1000.", "integer"),
		route.Query("direction", "back: search from to_line, or the end, towards the beginning.", "string"),
	},
	Answers: []route.Content{
		route.Media("application/x-ndjson", search.SearchedLine{}),
		route.Media("application/x-ndjson", search.SearchProgressLine{}),
		route.Media("application/x-ndjson", search.SearchDoneLine{}),
	},
	Errors: []int{400, 404, 422, 429, 503},
}
