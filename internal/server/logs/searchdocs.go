package logs

import (
	"stint.dev/stint/internal/logs/search"
	"stint.dev/stint/internal/server/route"
)

// DocSearch describes SearchLog.
var DocSearch = route.Doc{
	Text: "Searches each line of the log for text or, with regex=true, for a regular expression (RE2). Lines are searched as they are " +
		"stored, with the escape sequences of terminals. The response is NDJSON, with objects that are sent as soon as they are known: " +
		"the matching lines, with context the lines around them, from time to time the progress, and at the end done. " +
		"Matches are in the order of their lines, except for a line that took long to end; with direction=back, from " +
		"the last to the first. A line longer than 256 KiB is searched in parts of that size. A search that takes too long " +
		"ends with stopped=time, and next_line is where to continue.",
	Params: []route.Param{
		route.Query("q", "The text or regular expression, at most 1000 bytes.", "string"),
		route.Query("regex", "true: q is a regular expression.", "boolean"),
		route.Query("case", "true: upper and lower case differ.", "boolean"),
		route.Attempt(),
		route.Query("step", "Only this step: its index or name.", "string"),
		route.Query("stream", "Only stdout or stderr.", "string"),
		route.Query("from_line", "Only this line and later ones; the first is 1.", "integer"),
		route.Query("to_line", "Only this line and earlier ones.", "integer"),
		route.Query("before", "How many lines before each match to show, up to 100.", "integer"),
		route.Query("after", "How many lines after each match to show, up to 100.", "integer"),
		route.Query("limit", "The most matches to return, up to 10000; 0 only counts them. The default is 1000.", "integer"),
		route.Query("direction", "back: search from to_line, or the end, towards the beginning.", "string"),
	},
	Answers: []route.Content{
		route.Media("application/x-ndjson", search.SearchedLine{}),
		route.Media("application/x-ndjson", search.SearchProgressLine{}),
		route.Media("application/x-ndjson", search.SearchDoneLine{}),
	},
	Errors: []int{400, 404, 422, 429, 503},
}
