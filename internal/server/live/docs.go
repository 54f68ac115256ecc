package live

import "stint.dev/stint/internal/server/route"

// Descriptions of the calls.
var (
	DocStreamRun = route.Doc{
		Text: "Server-sent events of one run: output, samples, steps, gaps, notes, and the run itself whenever it changes. " +
			"The last event is end. The schema has a field for each kind of event, with its data. Reconnect with Last-Event-ID to continue without missing or repeated events.",
		Params: []route.Param{
			route.Attempt(),
			route.Query("step", "Only output of this step: its index or name.", "string"),
			route.Query("stream", "Only output of stdout or stderr.", "string"),
			route.Query("from", "Begin after the event with this id, attempt:offset.", "string"),
			route.Query("tail", "Begin N lines before the end.", "integer"),
			route.Query("output", "false: all events except output.", "boolean"),
			route.Header("Last-Event-ID", "The id of the last event received.", "string"),
		},
		Answers: []route.Content{route.Media("text/event-stream", runEvents{})},
		Errors:  []int{400, 404},
	}
	DocStreamAll = route.Doc{
		Text: "Server-sent events of all runs: every change of state and health, and the runs that changed. " +
			"Without Last-Event-ID the stream begins with the next change.",
		Params:  []route.Param{route.Header("Last-Event-ID", "The id of the last event received.", "string")},
		Answers: []route.Content{route.Media("text/event-stream", allEvents{})},
		Errors:  []int{400},
	}
)
