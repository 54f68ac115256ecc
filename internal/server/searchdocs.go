package server

import "stint.dev/stint/internal/logs/search"

var docSearch = doc{
	text: "Looks for text, or with regex=true for a regular expression (RE2), in each line of what the run printed, as it is " +
		"stored: escape sequences of terminals are part of a line. The answer is NDJSON, one object a line, sent as it is found: " +
		"lines that match, with context the lines around them, now and then progress, and at last done. " +
		"Matches come in the order of their lines, but for a line that took long to end. With direction=back they come from " +
		"the last to the first. A line longer than 256 KiB is searched in pieces of that size. A search that takes too long " +
		"ends with stopped=time, and next_line says where to go on.",
	params: []param{
		{"q", "query", "What to look for, at most 1000 bytes.", "string"},
		{"regex", "query", "true: q is a regular expression.", "boolean"},
		{"case", "query", "true: capital and small letters differ.", "boolean"},
		attemptParam,
		{"step", "query", "Only this step: its index or name.", "string"},
		{"stream", "query", "Only stdout or stderr.", "string"},
		{"from_line", "query", "Only this line and later ones; lines count from 1.", "integer"},
		{"to_line", "query", "Only this line and earlier ones.", "integer"},
		{"before", "query", "How many lines before each match to show, up to 100.", "integer"},
		{"after", "query", "How many lines after each match to show, up to 100.", "integer"},
		{"limit", "query", "The most matches to return, up to 10000; 0 only counts. Without it 1000.", "integer"},
		{"direction", "query", "back: search from to_line, or the end, towards the beginning.", "string"},
	},
	answers: []content{
		{"application/x-ndjson", search.SearchedLine{}},
		{"application/x-ndjson", search.SearchProgressLine{}},
		{"application/x-ndjson", search.SearchDoneLine{}},
	},
	errors: []int{400, 404, 422, 429, 503},
}
