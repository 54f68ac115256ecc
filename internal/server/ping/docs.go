package ping

import "stint.dev/stint/internal/server/route"

// Descriptions of the calls.
var (
	DocCompatStatus = route.Doc{
		Text: "The wire of the original tiny agent: a body of {\"status\":\"started\"}, \"completed\" or \"failed\". " +
			"started begins a run of the job, the others end it; repeating one is harmless.",
		Request: "application/json", Body: compatStatus{},
		Answers: []route.Content{route.JSON(compatReply{})},
		Errors:  []int{400, 429, 503},
	}
	DocCompatHeartbeat = route.Doc{
		Text:    "The wire of the original tiny agent: an empty body says that the job is alive.",
		Answers: []route.Content{route.JSON(compatReply{})},
		Errors:  []int{400, 429, 503},
	}
)
