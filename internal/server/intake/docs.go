package intake

import (
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// Descriptions of the calls.
var (
	DocPostJournal = route.Doc{
		Text: "Stores the body's bytes at exactly this offset of the attempt's journal; the answer's size is durable. " +
			"Of records that are much work the beginning is taken: go on from the answer's size. " +
			"The first append creates the run. An append that does not begin where the stored journal ends is answered 409 " +
			"urn:stint:wrong-offset with size: go on from there. 409 urn:stint:run-id-used means that the stored journal is " +
			"another one, 422 urn:stint:journal-refused that these bytes can never be taken. An empty body asks how far the " +
			"journal is; with writer it also makes its sender the journal's writer, if the number is greater than the one before. " +
			"An append of any other writer is refused with 409 urn:stint:journal-taken and the writer's number. Bytes may be cut anywhere. Content-Encoding: zstd is understood.",
		Params: []route.Param{
			route.Query("offset", "Where in the journal the body begins.", "integer"),
			route.Query("writer", "The number of the process that sends, among those that have written the journal; 0, when left out, is its agent.", "integer"),
		},
		Request: "application/octet-stream",
		Answers: []route.Content{route.JSON(job.AppendReply{})},
		Errors:  []int{400, 403, 409, 413, 415, 422, 429, 503},
	}
	DocHeartbeat = route.Doc{
		Text: "Renews the attempt's lease. The reply names run and attempt, and says how long the lease holds, when to send the next heartbeat, whether the attempt " +
			"still owns the run, and what the agent is asked to do.",
		Request: "application/json", Body: job.Heartbeat{},
		Answers: []route.Content{route.JSON(job.HeartbeatReply{})},
		Errors:  []int{400, 429, 503},
	}
)
