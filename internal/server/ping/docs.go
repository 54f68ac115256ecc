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
	DocPingUUID = docPing("A success of the job whose expectation has this UUID, which is a secret, and enough. docs/pings.md has the rules.",
		route.Query("rid", "A UUID that identifies the run; the start and the end of a run have the same.", "string"))
	DocPingSlug = docPing("A success of the job with this slug; the key is a token of the scope ping. "+
		"With a UUID for the key, and a signal for the slug (start, fail, log or an exit code), the signal of the job with the UUID. "+
		"docs/pings.md has the rules.", slugParams()...)
	DocPingSignal  = docPing("A signal of the job with this slug: start, fail, log or an exit code. docs/pings.md has the rules.", slugParams()...)
	DocPingOptions = route.Doc{Text: "Answers the question of a browser whether a page may ping. It is no ping.", Status: 204}
)

func slugParams() []route.Param {
	return []route.Param{
		route.Query("rid", "A UUID that identifies the run; the start and the end of a run have the same.", "string"),
		route.Query("create", "1 to create the job's expectation, one run each day, if there is none; the answer is then 201.", "string"),
	}
}

// docPing returns the description of a ping. The body has any type, and there need not be one.
func docPing(text string, params ...route.Param) route.Doc {
	return route.Doc{
		Text: text + " The body is output of the run. Errors are texts, as those of Healthchecks, and not problems.", Params: params,
		Answers: []route.Content{route.Media("text/plain", nil)}, Errors: []int{400, 404, 429, 503},
	}
}
