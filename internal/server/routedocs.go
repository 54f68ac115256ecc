package server

import "stint.dev/stint/job"

// What the plain handlers say of themselves in the OpenAPI document.

var attemptParam = param{"attempt", "query", "This attempt; without it, the last.", "integer"}

var (
	docPostJournal = doc{
		text: "Stores the body's bytes at exactly this offset of the attempt's journal; the answer's size is durable. " +
			"Of records that are much work the beginning is taken: go on from the answer's size. " +
			"The first append creates the run. An append that does not begin where the stored journal ends is answered 409 " +
			"urn:stint:wrong-offset with size: go on from there. 409 urn:stint:run-id-used means that the stored journal is " +
			"another one, 422 urn:stint:journal-refused that these bytes can never be taken. An empty body asks how far the " +
			"journal is; with writer it also makes its sender the journal's writer, if the number is greater than the one before. " +
			"An append of any other writer is refused with 409 urn:stint:journal-taken and the writer's number. Bytes may be cut anywhere. Content-Encoding: zstd is understood.",
		params: []param{
			{"offset", "query", "Where in the journal the body begins.", "integer"},
			{"writer", "query", "The number of the process that sends, among those that have written the journal; 0, when left out, is its agent.", "integer"},
		},
		request: "application/octet-stream",
		answers: []content{{"application/json", job.AppendReply{}}},
		errors:  []int{400, 403, 409, 413, 415, 422, 429, 503},
	}
	docGetJournal = doc{
		text: "Returns the stored journal from an offset on, up to its last whole record. " +
			"The header Stint-Journal-Size says how many bytes are durable.",
		params:  []param{{"offset", "query", "Where to begin; 0 when left out.", "integer"}},
		answers: []content{{"application/octet-stream", nil}},
		errors:  []int{400, 404, 410},
	}
	docHeartbeat = doc{
		text: "Renews the attempt's lease. The reply names run and attempt, and says how long the lease holds, when to send the next heartbeat, whether the attempt " +
			"still owns the run, and what the agent is asked to do.",
		request: "application/json", body: job.Heartbeat{},
		answers: []content{{"application/json", job.HeartbeatReply{}}},
		errors:  []int{400, 429, 503},
	}
	docLog = doc{
		text: "Returns the exact bytes the run printed. With tail, from_line, lines or from_time, whole lines. " +
			"Accept: application/x-ndjson gives one object per line with its number, time, step and stream, and gaps in place.",
		params: []param{
			attemptParam,
			{"step", "query", "Only this step: its index or name.", "string"},
			{"stream", "query", "Only stdout or stderr.", "string"},
			{"tail", "query", "Only the last N lines.", "integer"},
			{"from_line", "query", "Begin with this line; lines count from 1.", "integer"},
			{"lines", "query", "The most lines to return.", "integer"},
			{"from_time", "query", "Begin with the first line at or after this time.", "string"},
			{"to_time", "query", "End before the first line after this time.", "string"},
			{"download", "query", "true: ask browsers to save the answer.", "boolean"},
			{"format", "query", "gzip: the same, compressed.", "string"},
		},
		answers: []content{{"text/plain", nil}, {"application/x-ndjson", logLine{}}, {"application/x-ndjson", gapLine{}}, {"application/gzip", nil}},
		errors:  []int{400, 404, 416},
	}
	docSamples = doc{
		text: "Returns samples, reduced by minimum and maximum so that spikes survive.",
		params: []param{
			attemptParam,
			{"points", "query", "About how many points to return, 1 to 5000.", "integer"},
			{"from", "query", "Only from this time on.", "string"},
			{"to", "query", "Only up to this time.", "string"},
		},
		answers: []content{{"application/json", sampleSeries{}}},
		errors:  []int{400, 404},
	}
	docStreamRun = doc{
		text: "Server-sent events of one run: output, samples, steps, gaps, notes, and the run itself whenever it changes. " +
			"The last event is end. The schema has a field for each kind of event, with its data. Reconnect with Last-Event-ID to go on without a gap or a double.",
		params: []param{
			attemptParam,
			{"step", "query", "Only output of this step: its index or name.", "string"},
			{"stream", "query", "Only output of stdout or stderr.", "string"},
			{"from", "query", "Begin here: an event id, attempt:offset.", "string"},
			{"tail", "query", "Begin N lines before the end.", "integer"},
			{"output", "query", "false: everything but what the run prints.", "boolean"},
			{"Last-Event-ID", "header", "The id of the last event received.", "string"},
		},
		answers: []content{{"text/event-stream", runEvents{}}},
		errors:  []int{400, 404},
	}
	docStreamAll = doc{
		text: "Server-sent events of all runs: every change of state and health, and the runs that changed. " +
			"Without Last-Event-ID it begins now.",
		params:  []param{{"Last-Event-ID", "header", "The id of the last event received.", "string"}},
		answers: []content{{"text/event-stream", allEvents{}}},
		errors:  []int{400},
	}
	docCompatStatus = doc{
		text: "The wire of the original tiny agent: a body of {\"status\":\"started\"}, \"completed\" or \"failed\". " +
			"started begins a run of the job, the others end it; repeating one is harmless.",
		request: "application/json", body: compatStatus{},
		answers: []content{{"application/json", compatReply{}}},
		errors:  []int{400, 429, 503},
	}
	docCompatHeartbeat = doc{
		text:    "The wire of the original tiny agent: an empty body says that the job is alive.",
		answers: []content{{"application/json", compatReply{}}},
		errors:  []int{400, 429, 503},
	}
	docHealthz = doc{text: "Answers 200 while the process lives.", answers: []content{{"application/json", healthAnswer{}}}}
	docReadyz  = doc{
		text:    "Answers 200 when the database answers and the server is not shutting down, else 503 and why. With the status `degraded` it does its work, and `degraded` says what works less well, such as that leases are extended. On a restored copy that was not activated, where nothing is judged, sent or deleted, `status` is `restored copy` and `copied_at` says when the copy was made.",
		answers: []content{{"application/json", healthAnswer{}}}, errors: []int{503},
	}
	docMetrics = doc{text: "Figures in the text format of Prometheus.", answers: []content{{"text/plain", nil}}}
	docOpenAPI = doc{text: "This document.", answers: []content{{"application/json", map[string]any{}}}}
	docPage    = doc{text: "A page made from the OpenAPI document; it loads nothing from elsewhere.", answers: []content{{"text/html", nil}}}
)
