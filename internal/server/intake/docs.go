package intake

import (
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// Descriptions of the calls.
var (
	DocPostJournal = route.Doc{
		Text: "Stores the bytes of the body at exactly this offset of the attempt's journal, and responds with the size of the journal that is durable. " +
			"If the records take long to process, only a part is stored: continue at the returned size. " +
			"The first append creates the run. An append that does not begin where the stored journal ends gets 409 " +
			"urn:stint:wrong-offset with the size: continue there. 409 urn:stint:run-id-used means that the stored journal is " +
			"a different one, 422 urn:stint:journal-refused that these bytes will never be accepted. An empty body only returns the size of the " +
			"journal; with writer it also makes the sender the journal's writer, if the number is greater than that of the last writer. " +
			"An append of any other writer gets 409 urn:stint:journal-taken with the writer's number. " +
			"For an attempt of a submitted run the first append asks for the permit to start it, with two headers and the journal up to its identity: the reply has permit (granted or refused), why, lease_ms and attempt_token too, " +
			"and nothing is stored if it is refused. An append to a submitted run by anybody else gets 409 urn:stint:run-submitted. A body may begin and end at any byte. Content-Encoding: zstd is supported.",
		Params: []route.Param{
			route.Query("offset", "The offset in the journal at which the body begins.", "integer"),
			route.Header(job.HeaderClaim, "The token of the claim, to ask for the permit to start an attempt of a submitted run. It needs no other token.", "string"),
			route.Header(job.HeaderIncarnation, "The process that asks for the permit: 128 random bits as 32 hexadecimal digits.", "string"),
			route.Query("writer", "The number of the process that sends the journal, counted over all processes that have written it; 0, the default, is its agent.", "integer"),
		},
		Request: "application/octet-stream",
		Answers: []route.Content{route.JSON(job.AppendReply{})},
		Errors:  []int{400, 403, 409, 413, 415, 422, 429, 503},
	}
	DocHeartbeat = route.Doc{
		Text: "Renews the attempt's lease. The reply has the length of the lease, when to send the next heartbeat, whether the attempt " +
			"still owns the run, and commands for the agent.",
		Request: "application/json", Body: job.Heartbeat{},
		Answers: []route.Content{route.JSON(job.HeartbeatReply{})},
		Errors:  []int{400, 429, 503},
	}
)
