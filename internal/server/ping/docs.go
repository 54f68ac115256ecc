package ping

import "stint.dev/stint/internal/server/route"

// Descriptions of the calls.
var (
	DocCompatStatus = route.Doc{
		Text: "The API of the original tiny agent: a body of {\"status\":\"started\"}, \"completed\" or \"failed\". " +
			"started begins a run of the job, the others end it. A repeated call changes nothing.",
		Request: "application/json", Body: compatStatus{},
		Answers: []route.Content{route.JSON(compatReply{})},
		Errors:  []int{400, 429, 503},
	}
	DocCompatHeartbeat = route.Doc{
		Text:    "The API of the original tiny agent: reports that the job is alive. The body is ignored.",
		Answers: []route.Content{route.JSON(compatReply{})},
		Errors:  []int{400, 429, 503},
	}
)
